# SPDX-License-Identifier: Apache-2.0
"""taichi_work.py ROW cpu|cuda - one piece of work by Taichi; its last line is a checksum of all results."""
import hashlib
import sys

import taichi as ti

ROW, DEVICE = sys.argv[1:]
ti.init(arch=getattr(ti, DEVICE), device_memory_GB=0.06, log_level=ti.ERROR, offline_cache=False)
digest = hashlib.sha256()


def result(value):
    digest.update(value.tobytes() if hasattr(value, 'tobytes') else repr(value).encode())


def fields():
    """Reductions over twelve fields of 4 MiB, twice in turn."""
    many = [ti.field(ti.i32, shape=1 << 20) for _ in range(12)]

    @ti.kernel
    def fill(field: ti.template(), factor: ti.i32):
        for i in field:
            field[i] = i * factor + (i ^ factor)

    @ti.kernel
    def total(field: ti.template()) -> ti.i64:
        total = ti.i64(0)
        for i in field:
            total += field[i]
        return total

    for turn in range(2):
        for factor, field in enumerate(many):
            fill(field, factor + turn)
        for field in many:
            result(total(field))
    for field in many:
        result(field.to_numpy())


def stencil():
    """A cellular automaton on a torus, eight planes, each read while the next is written."""
    side = 1024
    planes = [ti.field(ti.i32, shape=(side, side)) for _ in range(8)]

    @ti.kernel
    def sow(plane: ti.template()):
        for i, j in plane:
            plane[i, j] = ((i * 7919 + j * 104729) >> 3) & 1

    @ti.kernel
    def step(before: ti.template(), after: ti.template()):
        for i, j in before:
            near = 0
            for k in ti.static(range(9)):
                if ti.static(k != 4):
                    near += before[(i + k // 3 - 1) % side, (j + k % 3 - 1) % side]
            after[i, j] = 1 if near == 3 or (near == 2 and before[i, j] == 1) else 0

    sow(planes[0])
    for turn in range(16):
        step(planes[turn % 8], planes[(turn + 1) % 8])
    for plane in planes:
        result(plane.to_numpy())


def sparse():
    """A tree of cells that come into being where they are written, beside dense fields."""
    side = 512
    cells = ti.field(ti.i32)
    ti.root.pointer(ti.ij, side // 16).dense(ti.ij, 16).place(cells)
    dense = [ti.field(ti.i32, shape=1 << 20) for _ in range(6)]

    @ti.kernel
    def grow():
        for i in range(side):
            cells[i, (i * i) % side] += i + 1
            cells[i, i] += 3

    @ti.kernel
    def count() -> ti.i32:
        count = 0
        for i, j in cells:
            if cells[i, j] != 0:
                count += 1
        return count

    @ti.kernel
    def spread(field: ti.template(), turn: ti.i32):
        for i in field:
            field[i] = cells[i % side, (i // side) % side] + turn

    for turn, field in enumerate(dense):
        grow()
        spread(field, turn)
        result(count())
    for field in dense:
        result(field.to_numpy())


{'fields': fields, 'stencil': stencil, 'sparse': sparse}[ROW]()
print(digest.hexdigest())
