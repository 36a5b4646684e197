# SPDX-License-Identifier: Apache-2.0
"""thrust_work.py ROW cpu|cuda - the examples of Thrust, or of CUB; its last line is a checksum of all that they print.

On the processor Thrust runs them by its own back end for that. CUB's compute a reference there themselves, whose checksums they
print then.
"""
import ctypes
import hashlib
import os
import sys
import tempfile

ROW, DEVICE = sys.argv[1:]
on_device = DEVICE == 'cuda'
FOLDER = os.environ['PYTHONPATH']
BYTES = 2 << 20
digest = hashlib.sha256()


class Runtime:
    def __init__(self):
        self.library = ctypes.CDLL('libcudart.so.13')

    def __getattr__(self, name):
        def call(*arguments):
            error = getattr(self.library, name)(*arguments)
            if error:
                raise RuntimeError(f'{name}: Error {error}')
        return call


class Beside:
    """Thirty-two arrays of 2 MiB, which are read at the end."""
    def __init__(self, runtime):
        self.runtime, self.arrays = runtime, []
        for factor in range(1, 33):
            array = ctypes.c_void_p()
            runtime.cudaMalloc(ctypes.byref(array), ctypes.c_size_t(BYTES))
            runtime.cudaMemcpy(array, self.content(factor), ctypes.c_size_t(BYTES), 1)
            self.arrays.append(array)

    @staticmethod
    def content(factor):
        return bytes(at * factor & 255 for at in range(256)) * (BYTES // 256)

    def read(self):
        into = ctypes.create_string_buffer(BYTES)
        for array in self.arrays:
            self.runtime.cudaMemcpy(into, array, ctypes.c_size_t(BYTES), 2)
            yield into.raw


def printed(work):
    """What is printed while it works, by C and C++."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            work()
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(kept, 1)
        file.seek(0)
        return file.read()


def thrust():
    ctypes.CDLL(os.path.join(FOLDER, 'libthrust.so' if on_device else 'libthrust_cpu.so')).examples()


def cub():
    if not on_device:
        os.environ['FOREIGN_REFERENCE'] = '1'
    words = (ctypes.c_char_p * 2)(b'example', b'--n=1000000')
    ctypes.CDLL(os.path.join(FOLDER, 'libcub.so')).examples(2, words)


beside = Beside(Runtime()) if on_device else None
digest.update(printed({'thrust': thrust, 'cub': cub}[ROW]))
for content in beside.read() if beside else map(Beside.content, range(1, 33)):
    digest.update(content)
print(digest.hexdigest())
