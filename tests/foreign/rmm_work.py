# SPDX-License-Identifier: Apache-2.0
"""rmm_work.py ROW cpu|cuda - vectors in memory of RMM's resource ROW, by rmm_work.cu, and on the processor the same by NumPy; its
last line is a checksum of all that they have.
"""
import ctypes
import hashlib
import os
import sys

import numpy

ROW, DEVICE = sys.argv[1:]
COUNT, VECTORS, TURNS = 1 << 19, 36, 30


def by_numpy():
    """All vectors, modulo 2^32."""
    steps = numpy.arange(COUNT, dtype=numpy.uint32)
    every = [steps * numpy.uint32(i * 2 + 1) + numpy.uint32(i) for i in range(VECTORS)]
    for turn in range(TURNS):
        left, right = every[turn % VECTORS], every[(turn * 7 + 3) % VECTORS]
        out = (left ^ right >> numpy.uint32(1)) + numpy.uint32(turn * 2654435761 & 0xffffffff)
        if turn % 10 == 0:
            out.sort()
        if turn % 5 == 0:
            out = numpy.cumsum(out, dtype=numpy.uint32)
        every[(turn * 11 + 5) % VECTORS] = out
    return every


def by_rmm():
    results = numpy.empty((VECTORS, COUNT), dtype=numpy.uint32)
    library = ctypes.CDLL(os.path.join(os.environ['PYTHONPATH'], 'librmm_work.so'))
    if library.work(ROW.encode(), ctypes.c_void_p(results.ctypes.data)):
        sys.exit(1)
    return results


digest = hashlib.sha256()
for vector in by_rmm() if DEVICE == 'cuda' else by_numpy():
    digest.update(vector)
print(digest.hexdigest())
