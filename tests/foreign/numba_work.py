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

MODULES = {'memory': ['cudadrv.test_cuda_ndarray', 'cudadrv.test_cuda_array_slicing', 'cudadrv.test_pinned',
                      'cudadrv.test_host_alloc', 'cudapy.test_slicing', 'cudapy.test_record_dtype'],
           'kernels': ['cudapy.test_atomics', 'cudapy.test_blackscholes', 'cudapy.test_laplace', 'cudapy.test_mandel',
                       'cudapy.test_matmul', 'cudapy.test_sync', 'cudapy.test_transpose', 'cudapy.test_forall'],
           'compiled': ['cudapy.test_reduction', 'cudapy.test_array_reductions', 'cudapy.test_gufunc', 'cudapy.test_ufuncs',
                        'cudapy.test_complex_kernel', 'cudapy.test_operator']}
digest = hashlib.sha256()


def tests(modules):
    """Its own tests, with thirty-two arrays of 2 MiB beside them, which are read at the end."""
    beside = [cuda.to_device(numpy.arange(1 << 19, dtype=numpy.int32) * factor) for factor in range(1, 33)]
    digest.update(suite.run([f'numba.cuda.tests.{module}' for module in modules]).encode())
    for array in beside:
        digest.update(array.copy_to_host().tobytes())


tests(MODULES[ROW])
print(digest.hexdigest())
