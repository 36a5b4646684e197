# SPDX-License-Identifier: Apache-2.0
"""drjit_work.py ROW cpu|cuda - one piece of work by Dr.Jit, on the processor by NumPy; its last line is a checksum."""
import hashlib
import sys

import numpy

ROW, DEVICE = sys.argv[1:]
on_device = DEVICE == 'cuda'
if on_device:
    import drjit as dr
    from drjit.cuda import UInt
COUNT, MANY = 1 << 19, 28
digest = hashlib.sha256()


def mixed(left, right, turn):
    """One kernel: both, the right one backwards, by way of indices."""
    if on_device:
        index = dr.arange(UInt, COUNT)
        out = dr.select(left > right, left * 3 + turn, left ^ (right >> 1)) + dr.gather(UInt, right, COUNT - 1 - index)
        dr.eval(out)
        return out
    return numpy.where(left > right, left * numpy.uint32(3) + numpy.uint32(turn), left ^ (right >> numpy.uint32(1))) + right[::-1]


def running(array):
    """Its own kernel for prefix sums."""
    return dr.cumsum(array) if on_device else numpy.cumsum(array, dtype=numpy.uint32)


def total(array):
    """Its own kernel for sums."""
    return int(dr.sum(array)[0]) if on_device else int(array.sum(dtype=numpy.uint32))


def traced():
    """Kernels that it traces, gathers, running sums and sums over twenty-eight arrays of 2 MiB."""
    base = dr.arange(UInt, COUNT) if on_device else numpy.arange(COUNT, dtype=numpy.uint32)
    many = []
    for factor in range(MANY):
        many.append(base * (factor * 2 + 1))
        if on_device:
            dr.eval(many[-1])  # in one kernel all would be needed at once
    for turn in range(2 * MANY):
        left, right = many[turn % MANY], many[(turn * 5 + 3) % MANY]
        out = mixed(left, right, turn)
        many[(turn * 3 + 1) % MANY] = running(out) if turn % 4 == 0 else out
    for array in many:
        digest.update(total(array).to_bytes(4, 'little'))
        digest.update(numpy.asarray(array).tobytes())


{'traced': traced}[ROW]()
print(digest.hexdigest())
