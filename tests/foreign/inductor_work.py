# SPDX-License-Identifier: Apache-2.0
"""inductor_work.py ROW cpu|cuda - training by kernels that torch.compile makes; its last line is a checksum of all results.

Nothing runs on the device but those kernels and copies: what would go to a kernel of PyTorch's own, or to a library, ends the
run. $FOREIGN_NUMBERS is the file for the results as floats in single precision, for the processor's and the device's sums are
not of one order.
"""
import hashlib
import os
import sys

import numpy
import torch
from torch import nn

ROW, DEVICE = sys.argv[1:]
LAYERS, WIDTH, HEADS, LENGTH, BATCH, WORDS, CLASSES, STEPS = 2, 64, 4, 32, 4, 40960, 2048, 3
RATE, DECAY, MEAN_KEPT, SQUARE_KEPT = 1e-2, 1e-2, 0.9, 0.999

# Of Triton's products the first is taken, for a simulated GPU has no time by which to choose. Patterns would make a call of a
# library out of attention, and constants would be folded by a kernel of PyTorch's.
OPTIONS = {'deterministic': True, 'max_autotune_gemm': True, 'max_autotune_gemm_backends': 'TRITON', 'implicit_fallbacks': False,
           'triton.num_decompose_k_splits': 0, 'triton.autotune_pointwise': False, 'pattern_matcher': False,
           'joint_graph_constant_folding': False, 'compile_threads': 1}


class Layer(nn.Module):
    """Attention to what came before, and two products with a bend between them."""

    def __init__(self):
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.asked, self.answered = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def attention(self, found, future):
        query, key, value = (part.view(BATCH, LENGTH, HEADS, -1).transpose(1, 2) for part in self.asked(found).chunk(3, -1))
        weight = query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5 + future
        return self.answered((weight.softmax(-1) @ value).transpose(1, 2).reshape(BATCH, LENGTH, WIDTH))

    def forward(self, found, future):
        found = found + self.attention(self.before(found), future)
        return found + self.narrow(nn.functional.gelu(self.wide(self.between(found))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.pairs, self.triples = (nn.Embedding(WORDS, WIDTH) for _ in range(3))
        self.places = nn.Parameter(torch.randn(LENGTH, WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.last, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES, bias=False)
        self.register_buffer('future', torch.full((LENGTH, LENGTH), -1e9).triu(1))

    def forward(self, text):
        third, second, first = text[:, :-3], text[:, 1:-2], text[:, 2:-1]
        pair = (first * 31 + second) % WORDS
        found = self.words(first) + self.pairs(pair) + self.triples((pair * 31 + third) % WORDS) + self.places
        for layer in self.layers:
            found = layer(found, self.future)
        return nn.functional.cross_entropy(self.head(self.last(found)).flatten(0, 1), text[:, 3:].flatten() % CLASSES)


def adam(weights, gradients, means, squares, step):
    """A step of Adam with decay, in place."""
    for weight, gradient, mean, square in zip(weights, gradients, means, squares):
        mean.lerp_(gradient, 1 - MEAN_KEPT)
        square.lerp_(gradient * gradient, 1 - SQUARE_KEPT)
        change = (mean / (1 - MEAN_KEPT ** step)) / ((square / (1 - SQUARE_KEPT ** step)).sqrt() + 1e-6)
        weight.sub_(RATE * (change + DECAY * weight))


def train(precision):
    """Three steps on one text, all state of the model's and Adam's on the device; the losses, and what became of the weights."""
    torch.manual_seed(5)
    model = Transformer().to(DEVICE)
    weights = list(model.parameters())
    means, squares = ([torch.zeros(weight.shape).to(DEVICE) for weight in weights] for _ in range(2))
    compiled, change = model, adam
    if DEVICE == 'cuda':
        compiled, change = (torch.compile(what, fullgraph=True, options=OPTIONS) for what in (model, adam))
    text, losses = torch.randint(0, WORDS, (BATCH, LENGTH + 3)).to(DEVICE), []
    for step in range(STEPS):
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == 'mixed'):
            loss = compiled(text)
        loss.backward(torch.tensor(1.0).to(DEVICE))  # without it, a kernel of PyTorch's makes the 1
        with torch.no_grad():
            change(weights, [weight.grad for weight in weights], means, squares, torch.tensor(step + 1.0).to(DEVICE))
        model.zero_grad()
        losses.append(loss.detach())
    return [[tensor.detach().cpu().numpy().ravel() for tensor in tensors] for tensors in (losses, weights)]


losses, weights = train(ROW)
# Where weights are rounded to sixteen bits a step of Adam may go either way, and losses alone are comparable.
numpy.concatenate(losses + weights if ROW == 'single' else losses).tofile(os.environ['FOREIGN_NUMBERS'])
print(hashlib.sha256(b''.join(result.tobytes() for result in losses + weights)).hexdigest())
