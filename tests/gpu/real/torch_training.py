#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Deterministic training with PyTorch, for a comparison to the bit: prints one JSON line for each way, as it ends, with
every loss and a hash of all parameters. Knows nothing of ebbtide.

usage: torch_training.py {transformer,resnet} [--way {plain,graph,compile}...] [--steps N] [--seed N] [--device NAME]
                         [--small]
The caching allocator or expandable segments: PYTORCH_CUDA_ALLOC_CONF, as ever.
"""
import argparse
import hashlib
import json
import os
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch  # noqa: E402 (cuBLAS reads its variable when it is loaded)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402


class Attention(nn.Module):
    """Causal self-attention written out, since fused kernels have backward passes that are not deterministic."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        query, key, value = (part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
                             for part in self.joint(x).chunk(3, dim=2))
        scores = query @ key.transpose(2, 3) / (width // self.heads) ** 0.5
        ahead = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        mixed = scores.masked_fill(ahead, float("-inf")).softmax(3) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """One transformer layer."""

    def __init__(self, width, heads):
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.between = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.before(x))
        return x + self.feed(self.between(x))


class Transformer(nn.Module):
    """Predicts the next symbol. Input comes one-hot, as an embedding's backward pass adds in no fixed order."""

    def __init__(self, symbols, width, layers, heads):
        super().__init__()
        self.enter = nn.Linear(symbols, width)
        self.layers = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.leave = nn.Linear(width, symbols)

    def forward(self, x):
        return self.leave(self.layers(self.enter(x)))


class Residual(nn.Module):
    """One ResNet basic block."""

    def __init__(self, inner, outer, stride):
        super().__init__()
        self.path = nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(),
                                  nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer))
        self.skip = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1, stride, bias=False)

    def forward(self, x):
        return functional.relu(self.path(x) + self.skip(x))


def resnet(width, classes):
    """A small ResNet."""
    return nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                         Residual(width, width, 1), Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2),
                         nn.Flatten(2), Mean(), nn.Linear(4 * width, classes))


class Mean(nn.Module):
    """Over the last dimension; adaptive pooling has no deterministic backward pass."""

    def forward(self, x):
        return x.mean(2)


def one_hot(classes, count):
    """One row per class index."""
    return functional.one_hot(classes, count).float()


def make(which, small, device):
    """The model, a batch, and the loss of its output. All random numbers come from the CPU."""
    if which == "transformer":
        symbols, width, layers, heads, batch, length = (32, 64, 2, 4, 4, 32) if small else (256, 512, 8, 8, 32, 256)
        model = Transformer(symbols, width, layers, heads)
        text = torch.randint(symbols, (batch, length + 1))
        given, wanted = one_hot(text[:, :-1], symbols), one_hot(text[:, 1:], symbols)
    else:
        width, classes, batch, side = (8, 10, 4, 16) if small else (64, 100, 128, 64)
        model = resnet(width, classes)
        given, wanted = torch.randn(batch, 3, side, side), one_hot(torch.randint(classes, (batch,)), classes)

    def loss_of(output, target):
        return -(functional.log_softmax(output, -1) * target).sum(-1).mean()

    return model.to(device), given.to(device), wanted.to(device), loss_of


def train(model, step, steps):
    """The losses, as the bits they are."""
    return [float(step()).hex() for _ in range(steps)]


def captured(step, model):
    """The step as a CUDA graph, after the warm-up on another stream that capture asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


def digest(model):
    """Of every parameter and buffer."""
    result = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        result.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return result.hexdigest()


def run(options, way):
    """One training from the beginning; its line."""
    torch.manual_seed(options.seed)
    model, given, wanted, loss_of = make(options.model, options.small, options.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    forward = torch.compile(model) if way == "compile" else model

    def step():
        optimizer.zero_grad(set_to_none=way != "graph")
        loss = loss_of(forward(given), wanted)
        loss.backward()
        optimizer.step()
        return loss.detach()

    started_s = time.monotonic()
    losses = train(model, captured(step, model) if way == "graph" else step, options.steps)
    seconds = time.monotonic() - started_s
    peak = torch.cuda.max_memory_reserved() if options.device == "cuda" else 0
    return {"way": way, "losses": losses, "hash": digest(model), "seconds": seconds, "peak_bytes": peak}


def main():
    """Trains in each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["transformer", "resnet"])
    parser.add_argument("--way", choices=["plain", "graph", "compile"], nargs="+", default=["plain"])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    for way in options.way:
        print(json.dumps(run(options, way)), flush=True)
        # The next starts with nothing in the cache, so that its peak is its own.
        if options.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
