# SPDX-License-Identifier: Apache-2.0
"""triton_work.py ROW cpu|cuda - one piece of work by Triton's kernels on PyTorch's memory; its last line is a checksum.

Numbers are such that every order of operations gives the same bytes, and the processor computes them without Triton.
"""
import hashlib
import sys

import numpy
import torch
import triton
import triton.language as tl

ROW, DEVICE = sys.argv[1:]
numbers = numpy.random.default_rng(11)
on_device = DEVICE == 'cuda'
digest = hashlib.sha256()


def result(tensor):
    digest.update(tensor.cpu().numpy().tobytes())


@triton.jit
def add_kernel(left, right, out, count, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    tl.store(out + at, tl.load(left + at, inside) + 3 * tl.load(right + at, inside), inside)


def add():
    """Sums of forty-four vectors of 4 MiB, each of which is in two of them; a part of the last block is outside."""
    count = (1 << 20) - 77
    many = [torch.from_numpy(numbers.integers(-1 << 28, 1 << 28, count, dtype=numpy.int32)).to(DEVICE) for _ in range(44)]
    for i, left in enumerate(many):
        right, out = many[(i + 5) % 44], torch.empty_like(left)
        if on_device:
            add_kernel[(triton.cdiv(count, 1024),)](left, right, out, count, BLOCK=1024)
        else:
            out = left + 3 * right
        many[i] = out
    for tensor in many:
        result(tensor)


@triton.jit
def share_kernel(rows, out, width, BLOCK: tl.constexpr):
    row, at = tl.program_id(0), tl.arange(0, BLOCK)
    inside = at < width
    found = tl.load(rows + row * width + at, inside, other=-1000000)
    above = found - tl.min(tl.where(inside, found, 1000000), axis=0)
    whole = tl.sum(tl.where(inside, above, 0), axis=0)
    tl.store(out + row * width + at, above * 1000 + tl.max(found, axis=0) - whole, inside)


def reductions():
    """The least, the largest and the sum of each row of thirty-two matrices of 4 MiB."""
    height, width = 1050, 998
    many = [torch.from_numpy(numbers.integers(-1000, 1000, (height, width), dtype=numpy.int32)).to(DEVICE) for _ in range(32)]
    for rows in many:
        out = torch.empty_like(rows)
        if on_device:
            share_kernel[(height,)](rows, out, width, BLOCK=1024)
        else:
            above = rows - rows.min(dim=1, keepdim=True).values
            out = above * 1000 + rows.max(dim=1, keepdim=True).values - above.sum(dim=1, keepdim=True, dtype=torch.int32)
        result(out)


@triton.jit
def product_kernel(left, right, out, SIDE: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    down = tl.program_id(0) * TILE + tl.arange(0, TILE)
    across = tl.program_id(1) * TILE + tl.arange(0, TILE)
    along = tl.arange(0, DEPTH)
    total = tl.zeros((TILE, TILE), dtype=tl.float32)
    for start in range(0, SIDE, DEPTH):
        piece = tl.load(left + down[:, None] * SIDE + (start + along)[None, :])
        other = tl.load(right + (start + along)[:, None] * SIDE + across[None, :])
        total = tl.dot(piece, other, total)
    tl.store(out + down[:, None] * SIDE + across[None, :], total)


def products():
    """Products of matrices of small whole numbers in half precision, by tensor cores: exact in single precision."""
    side = 512
    many = [torch.from_numpy(numbers.integers(-8, 8, (side, side)).astype(numpy.float16)).to(DEVICE) for _ in range(48)]
    for i in range(0, 48, 4):
        left, right = many[i], many[(i * 7 + 3) % 48]
        if on_device:
            out = torch.empty(side, side, dtype=torch.float32, device=DEVICE)
            product_kernel[(side // 64, side // 64)](left, right, out, SIDE=side, TILE=64, DEPTH=32)
        else:
            out = left.float() @ right.float()
        result(out)


{'add': add, 'reductions': reductions, 'products': products}[ROW]()
print(digest.hexdigest())
