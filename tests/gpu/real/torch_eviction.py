#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `eviction` asks, for PyTorch and with it cuBLAS and cuDNN: trains while an allocator moves blocks at random
around every module, forward and backward. Losses and parameters must be those of a run that moves nothing, to the bit.

usage: torch_eviction.py ALLOCATOR [--simulated]       prints rows and a verdict
       torch_eviction.py ALLOCATOR --moves MODEL      the child that trains
"""
import ctypes
import importlib.util
import json
import subprocess
import sys

STEPS, ROUNDS = 4, 5
sys.dont_write_bytecode = True


def train(evict, model_name, seed, device):
    """One training; a seed of 0 moves nothing."""
    import torch_training  # before torch, as cuBLAS reads its variable when it is loaded
    import torch

    moves = [0, 0]

    def move(*_):
        moves[0] += 1
        if seed:
            moves[1] += evict.evict_some(seed * 1000000 + moves[0])

    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    model, given, wanted, loss_of = torch_training.make(model_name, True, device)
    for module in model.modules():
        module.register_forward_pre_hook(move)
        module.register_full_backward_hook(move)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = loss_of(model(given), wanted)
        loss.backward()
        optimizer.step()
        move()
        return loss.detach()

    losses = torch_training.train(model, step, STEPS)
    return {"losses": losses, "hash": torch_training.digest(model), "moves": moves[1]}


def train_all(library, model_name):
    """Without moves and with those of each seed, on the allocator; one JSON line."""
    import torch_training  # noqa: F401
    import torch

    allocator = torch.cuda.memory.CUDAPluggableAllocator(library, "evict_alloc", "evict_free")
    torch.cuda.memory.change_current_allocator(allocator)
    evict = ctypes.CDLL(library)
    evict.evict_some.restype, evict.evict_some.argtypes = ctypes.c_uint64, [ctypes.c_uint64]
    print(json.dumps([train(evict, model_name, seed, "cuda") for seed in range(ROUNDS + 1)]))


def child(library, model_name):
    """The trainings in a process of their own, as the driver may end it."""
    done = subprocess.run([sys.executable, __file__, library, "--moves", model_name], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[{")]
    if done.returncode or not lines:
        sys.exit(f"exit status {done.returncode}: {' '.join(done.stderr.strip().splitlines()[-2:])}")
    return json.loads(lines[-1])


def main():
    """All rounds of both models."""
    if "--moves" in sys.argv:
        train_all(sys.argv[1], sys.argv[3])
        return 0
    print("# are PyTorch's results bit-identical while blocks move at random?")
    if "--simulated" in sys.argv or not importlib.util.find_spec("torch"):
        print("torch absent module")
        print("verdict: open: PyTorch is not there")
        return 0
    moves = different = 0
    for model_name in ("transformer", "resnet"):
        plain, *rounds = child(sys.argv[1], model_name)
        moves += sum(found["moves"] for found in rounds)
        wrong = sum((found["hash"], found["losses"]) != (plain["hash"], plain["losses"]) for found in rounds)
        print(f"torch_{model_name}_identical {ROUNDS - wrong} of_5", flush=True)
        different += wrong
    print(f"moves {moves} moves")
    good = not different and moves
    print(f"verdict: {'confirms' if good else 'contradicts'}: {different} of {2 * ROUNDS} trainings differ after "
          f"{moves} moves")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
