# SPDX-License-Identifier: Apache-2.0
"""cupy_work.py ROW cpu|cuda - one piece of work by CuPy, on the processor by NumPy; its last line is a checksum."""
import hashlib
import sys

import numpy

ROW, DEVICE = sys.argv[1:]
on_device = DEVICE == 'cuda'
if on_device:
    import cupy as arrays
else:
    import numpy as arrays
digest = hashlib.sha256()


def result(array):
    digest.update((arrays.asnumpy(array) if on_device else array).tobytes())


MIX = r'''
extern "C" __global__ void mix(const int *from, int *to, int count)
{
    __shared__ int near[256];
    int at = blockIdx.x * 256 + threadIdx.x;

    near[threadIdx.x] = at < count ? from[at] : 0;
    __syncthreads();
    if (at < count)
        to[at] = near[255 - threadIdx.x] * 3 + near[threadIdx.x];
}
'''


def mixed(array):
    """Each block of 256 with itself backwards."""
    if not on_device:
        return array.reshape(-1, 256)[:, ::-1].ravel() * 3 + array
    out = arrays.empty_like(array)
    arrays.RawKernel(MIX, 'mix')((array.size // 256,), (256,), (array, out, numpy.int32(array.size)))
    return out


def vectors():
    """Its elementwise kernels, its reductions, and one that is written in C, over thirty vectors of 2 MiB."""
    many = [arrays.arange(1 << 19, dtype=numpy.int32) * factor for factor in range(30)]
    for turn in range(60):
        left, right = many[turn % 30], many[(turn * 7 + 3) % 30]
        many[(turn * 11 + 5) % 30] = mixed(arrays.where(left > right, left - right, right ^ turn).astype(numpy.int32))
    for array in many:
        result(array.reshape(512, 1024).sum(axis=0, dtype=numpy.int64))
        result(array.max())
        result(array)


{'vectors': vectors}[ROW]()
print(digest.hexdigest())
