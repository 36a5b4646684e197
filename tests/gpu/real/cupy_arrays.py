#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sorts, transforms and multiplies arrays with CuPy, for a comparison to the bit: prints one JSON line with a hash of
every result. Knows nothing of ebbtide.

usage: cupy_arrays.py [--seed N] [--small]
"""
import argparse
import hashlib
import json
import time

import cupy
import numpy

ARRAYS = 8


def digest(arrays):
    """Of the bytes of all arrays."""
    result = hashlib.sha256()
    for array in arrays:
        result.update(cupy.asnumpy(array).tobytes())
    return result.hexdigest()


def main():
    """Runs the three."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    count, side = (1 << 16, 64) if options.small else (1 << 25, 4096)
    random = numpy.random.default_rng(options.seed)
    started_s = time.monotonic()
    values = [cupy.asarray(random.random(count, dtype=numpy.float32)) for _ in range(ARRAYS)]
    hashes = [digest([cupy.sort(array) for array in values])]
    waves = [cupy.fft.fft(array[:count // 2]) for array in values]
    hashes.append(digest(waves))
    del waves
    matrices = [array[:side * side].reshape(side, side) for array in values]
    product = matrices[0]
    for matrix in matrices[1:]:
        product = product @ matrix / side
    hashes.append(digest([product]))
    print(json.dumps({"losses": hashes, "hash": hashlib.sha256("".join(hashes).encode()).hexdigest(),
                      "seconds": time.monotonic() - started_s,
                      "peak_bytes": cupy.get_default_memory_pool().total_bytes()}))


if __name__ == "__main__":
    main()
