# SPDX-License-Identifier: Apache-2.0
"""pytorch_work.py ROW cpu|cuda - one piece of work by PyTorch; its last line is a checksum of all results.

Its kernels are machine code, which the simulated GPU does not run: memory, copies, streams and events are what it does here.
"""
import hashlib
import os
import sys

ROW, DEVICE = sys.argv[1:]
ALLOCATORS = {'async': 'backend:cudaMallocAsync', 'segments': 'expandable_segments:True'}
os.environ['PYTORCH_ALLOC_CONF'] = ALLOCATORS.get(ROW, '')  # read when it is imported
import numpy
import torch

MIB = 1 << 20
numbers = numpy.random.default_rng(7)
on_device = DEVICE == 'cuda'
digest = hashlib.sha256()


def result(tensor):
    digest.update(tensor.cpu().numpy().tobytes())


def made(count):
    """Random numbers in the host's memory."""
    return torch.from_numpy(numbers.integers(0, 1 << 31, count, dtype=numpy.int32))


def tensors():
    """Forty tensors of 4 MiB that change places with each other, with the host, and in parts."""
    many = [made(MIB).to(DEVICE) for _ in range(40)]
    for turn in range(2):
        for i in numbers.permutation(len(many)):
            other = many[(i * 5 + turn) % len(many)]
            many[i] = other.clone()
            many[i][turn * 1000:turn * 1000 + 70000] = made(70000).to(DEVICE)
            many[i][500000:800000].copy_(other[100000:400000])
        result(many[turn][turn::1])
    for tensor in many:
        result(tensor)


def streams():
    """A pipeline of pinned buffers and three streams, ordered by events alone."""
    many = [torch.empty(MIB, dtype=torch.int32, device=DEVICE) for _ in range(20)]
    if not on_device:
        for turn in range(3):
            for tensor in many:
                tensor.copy_(made(MIB))
            for i in range(len(many)):
                many[i] = torch.roll(many[i], 1 << 19)
                result(many[i])
        return
    up, work, down = (torch.cuda.Stream() for _ in range(3))
    for turn in range(3):
        back = []
        for tensor in many:
            with torch.cuda.stream(up):
                tensor.copy_(made(MIB).pin_memory(), non_blocking=True)
        for i, tensor in enumerate(many):
            work.wait_event(up.record_event())
            with torch.cuda.stream(work):
                rolled = torch.empty_like(tensor)
                rolled[1 << 19:].copy_(tensor[:1 << 19], non_blocking=True)
                rolled[:1 << 19].copy_(tensor[1 << 19:], non_blocking=True)
                tensor.record_stream(work)
            down.wait_event(work.record_event())
            with torch.cuda.stream(down):
                rolled.record_stream(down)
                here = torch.empty(MIB, dtype=torch.int32, pin_memory=True)
                here.copy_(rolled, non_blocking=True)
                back.append((here, down.record_event()))
            many[i] = rolled
        up.wait_stream(work)
        for here, event in back:
            event.synchronize()
            result(here)


def churn():
    """Tensors of many sizes that come and go, so that blocks are split, joined, cached and given back."""
    held = {}
    for turn in range(600):
        name = int(numbers.integers(0, 40))
        if name in held:
            result(held.pop(name))
        else:
            count = int(2 ** numbers.uniform(4, 21.3))
            held[name] = made(count).to(DEVICE)
        if turn % 150 == 149 and on_device:
            torch.cuda.empty_cache()
    for name in sorted(held):
        result(held[name])


def graph():
    """Copies that were captured once, and run again with other contents."""
    inputs = [torch.empty(MIB, dtype=torch.int32, device=DEVICE) for _ in range(16)]
    outputs = [torch.empty(MIB, dtype=torch.int32, device=DEVICE) for _ in range(16)]

    def shift():
        for i, tensor in enumerate(inputs):
            outputs[(i + 3) % 16].copy_(tensor)
            outputs[(i + 7) % 16][:1000].copy_(tensor[1000:2000])

    if on_device:
        captured = torch.cuda.CUDAGraph()
        shift()
        with torch.cuda.graph(captured):
            shift()
        replay = captured.replay
    else:
        replay = shift
    for turn in range(4):
        for tensor in inputs:
            tensor.copy_(made(MIB))
        replay()
        for tensor in outputs:
            result(tensor)


{'tensors': tensors, 'streams': streams, 'churn': churn, 'async': tensors, 'segments': churn, 'graph': graph}[ROW]()
print(digest.hexdigest())
