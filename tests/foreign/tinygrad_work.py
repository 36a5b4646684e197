# SPDX-License-Identifier: Apache-2.0
"""tinygrad_work.py ROW cpu|cuda - one piece of work by tinygrad, which writes PTX itself; its last line is a checksum.

All numbers are whole, small enough that every order of operations gives the same bytes. Its own tests come with its source.
"""
import hashlib
import os
import sys

ROW, DEVICE = sys.argv[1:]
os.environ['DEV'] = 'CUDA:PTX' if DEVICE == 'cuda' else 'CPU'
os.environ.update(SUM_N='16777216', GEMM_N='512', GEMV_N='1024')  # its tests ask for these

import suite  # pylint: disable=wrong-import-position
from tinygrad import Tensor, TinyJit, dtypes  # pylint: disable=wrong-import-position

digest = hashlib.sha256()


def result(tensor):
    digest.update(tensor.numpy().tobytes())


def whole(tensor, below, dtype=dtypes.float):
    """The random numbers of a tensor, as whole ones about zero."""
    return (tensor * (2 * below)).floor().sub(below).cast(dtype).realize()


def steps():
    """What its JIT replays, as a graph where the device has them."""
    Tensor.manual_seed(9)
    state = [whole(Tensor.rand(1 << 18), 1 << 20, dtypes.int32) for _ in range(24)]

    @TinyJit
    def step(left, right):
        mixed = (left * 5 + right).bitwise_xor(right * 3).realize()
        return mixed.flip(0).add(left).realize()

    for turn in range(48):
        left, right = state[turn % 24], state[(turn * 7 + 5) % 24]
        state[turn % 24] = step(left, right).clone().realize()
    for tensor in state:
        result(tensor)


def tests():
    """Its own tests of all that it can do, with arrays of up to 64 MiB."""
    sys.path.append(os.path.join(os.environ['PYTHONPATH'], 'test'))  # where Python has a package of that name
    digest.update(suite.run(['test_tiny']).encode())


{'steps': steps, 'tests': tests}[ROW]()
print(digest.hexdigest())
