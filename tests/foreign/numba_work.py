# SPDX-License-Identifier: Apache-2.0
"""numba_work.py ROW cpu|cuda - one piece of work by Numba; its last line is a checksum of all results.

Its own tests are in its package. On the processor they run in its simulator of a device, which leaves out some of them.
"""
import hashlib
import os
import sys

ROW, DEVICE = sys.argv[1:]
os.environ.update(NUMBA_ENABLE_CUDASIM=str(int(DEVICE == 'cpu')), NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS='0',
                  NUMBA_CUDA_WARN_ON_IMPLICIT_COPY='0')

import numpy  # pylint: disable=wrong-import-position
from numba import cuda  # pylint: disable=wrong-import-position

import suite  # pylint: disable=wrong-import-position

MODULES = {'arrays': ['cudadrv.test_cuda_array_slicing', 'cudapy.test_slicing', 'cudapy.test_forall', 'cudapy.test_transpose']}
digest = hashlib.sha256()


def tests(modules):
    """Its own tests, with thirty-two arrays of 2 MiB beside them, which are read at the end."""
    beside = [cuda.to_device(numpy.arange(1 << 19, dtype=numpy.int32) * factor) for factor in range(1, 33)]
    digest.update(suite.run([f'numba.cuda.tests.{module}' for module in modules]).encode())
    for array in beside:
        digest.update(array.copy_to_host().tobytes())


tests(MODULES[ROW])
print(digest.hexdigest())
