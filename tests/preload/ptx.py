# SPDX-License-Identifier: Apache-2.0
"""ptx.py - the kernel of shim/cuda/scan_kernel.ptx, run by the simulated GPU, finds what a plain search finds.

Where NVIDIA's assembler is installed, it must
take the kernel for every GPU.
"""
import ctypes
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import runner

KERNEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'shim', 'cuda', 'scan_kernel.ptx')
TARGETS = ('sm_75', 'sm_80', 'sm_86', 'sm_89', 'sm_90', 'sm_100', 'sm_120')
GRANULE = 2 << 20
BASE, GRANULES = 0xb5a00000 + (0x7f12 << 32), 4096  # the upper half changes within the span


class Device:
    """The simulated GPU with the kernel loaded, by the driver's own calls."""

    def __init__(self):
        self.driver = ctypes.CDLL(os.path.join(runner.BUILD, 'tests', 'simgpu', 'libcuda.so.1'))
        self.context, self.function, device, module = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int(), ctypes.c_void_p()
        self.call('cuInit', 0)
        self.call('cuDeviceGet', ctypes.byref(device), 0)
        self.call('cuDevicePrimaryCtxRetain', ctypes.byref(self.context), device)
        self.call('cuCtxSetCurrent', self.context)
        with open(KERNEL, 'rb') as file:
            self.call('cuModuleLoadData', ctypes.byref(module), file.read())
        self.call('cuModuleGetFunction', ctypes.byref(self.function), module, b'ebb_scan')

    def call(self, name, *arguments):
        result = getattr(self.driver, name)(*arguments)
        if result:
            raise OSError('%s: %d' % (name, result))

    def allocate(self, size):
        address = ctypes.c_uint64()
        self.call('cuMemAlloc_v2', ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return address.value

    def store(self, address, data):
        if data:
            self.call('cuMemcpyHtoD_v2', ctypes.c_uint64(address), data, ctypes.c_size_t(len(data)))

    def load(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.call('cuMemcpyDtoH_v2', data, ctypes.c_uint64(address), ctypes.c_size_t(size))
        return data.raw

    def free(self, address):
        self.call('cuMemFree_v2', ctypes.c_uint64(address))

    def map(self, size):
        """Memory that can be unmapped at any time: of an arena."""
        address, handle = ctypes.c_uint64(), ctypes.c_uint64()
        on_device = struct.pack('<8i', 1, 0, 1, 0, 0, 0, 0, 0)  # CUmemAllocationProp: pinned, on device 0
        self.call('cuMemCreate', ctypes.byref(handle), ctypes.c_size_t(size), on_device, ctypes.c_uint64(0))
        self.call('cuMemAddressReserve', ctypes.byref(address), ctypes.c_size_t(size), ctypes.c_size_t(0), ctypes.c_uint64(0),
                  ctypes.c_uint64(0))
        self.call('cuMemMap', address, ctypes.c_size_t(size), ctypes.c_size_t(0), handle, ctypes.c_uint64(0))
        return address.value

    def launch(self, arguments, threads):
        """Blocks of 32."""
        words = [ctypes.c_uint64(word) for word in arguments]
        params = (ctypes.c_void_p * len(words))(*[ctypes.cast(ctypes.pointer(word), ctypes.c_void_p) for word in words])
        self.call('cuLaunchKernel', self.function, threads // 32, 1, 1, 32, 1, 1, 0, None, params, None)

    def run(self, arguments, threads):
        self.launch(arguments, threads)
        self.call('cuCtxSynchronize')


def plain_search(words):
    found = set()
    for low, high in zip(words, words[1:]):
        offset = (high << 32 | low) - BASE
        if 0 <= offset < GRANULES * GRANULE:
            found.add(offset // GRANULE)
    return found


def piece(seed, count, pointers):
    draw = random.Random(seed)
    words = [draw.getrandbits(32) for _ in range(count)]
    for _ in range(pointers):
        at = draw.randrange(max(count - 1, 1))
        word = BASE + draw.choice([0, GRANULES * GRANULE - 1, -1, GRANULES * GRANULE, draw.randrange(GRANULES * GRANULE)])
        words[at:at + 2] = [word & 0xffffffff, word >> 32]
    return words[:count]


def finds(shift, count, pointers, threads):
    device, wrong = DEVICE, []
    device.call('cuCtxSetCurrent', device.context)  # cases run in threads of their own
    for seed in range(6):
        words = piece(seed, count, pointers)
        expected, size = plain_search(words), len(words) * 4
        memory, marks = device.allocate(shift + size), device.allocate(GRANULES + 1)
        try:
            device.store(memory + shift, struct.pack('<%dI' % len(words), *words))
            device.store(marks, bytes(GRANULES + 1))
            device.run((memory + shift, len(words), BASE - 1, GRANULES * GRANULE, marks, marks + GRANULES), threads)
            written = device.load(marks, GRANULES + 1)
        finally:
            device.free(memory)
            device.free(marks)
        if written != bytes(g in expected for g in range(GRANULES)) + bytes([bool(expected)]):
            wrong.append('seed %d: %s instead of %s' % (seed, [g for g, byte in enumerate(written) if byte], sorted(expected)))
    return wrong


def assembles(target):
    with tempfile.NamedTemporaryFile(suffix='.cubin') as out:
        made = subprocess.run([PTXAS, '-arch=' + target, KERNEL, '-o', out.name], capture_output=True, text=True)
        return [] if made.returncode == 0 else [made.stderr]


def unmap_first_place():
    """While a kernel of some time searches for pointers to it."""
    arena, memory = DEVICE.map(GRANULE), DEVICE.allocate(GRANULE)
    DEVICE.launch((memory, 64, arena - 1, GRANULE, memory + 4096, memory + 8192), 32)
    DEVICE.call('cuMemUnmap', ctypes.c_uint64(arena), ctypes.c_size_t(GRANULE))
    DEVICE.call('cuCtxSynchronize')


def names_no_memory():
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, 'report')
        env = dict(os.environ, SIMGPU_KERNEL_NS='200000000', SIMGPU_REPORT=report)
        done = subprocess.run([sys.executable, os.path.abspath(__file__), 'unmap'], env=env, capture_output=True, text=True)
        with open(report, encoding='utf-8') as file:
            hazards = json.load(file)['hazards'] if done.returncode == 0 else None
    return [] if hazards == 0 else ['hazards: %s, %s' % (hazards, done.stderr)]


DEVICE = Device()
PTXAS = shutil.which('ptxas') or shutil.which('ptxas', path='/usr/local/cuda/bin')
if sys.argv[1:] == ['unmap']:
    unmap_first_place()
    sys.exit()
runner.tap([('takes no place of the arena for an argument', names_no_memory)] +
           [('finds the pointers in %d words, %d bytes off a quad, with %d threads' % (count, shift, threads),
             lambda c=count, s=shift, p=pointers, t=threads: finds(s, c, p, t))
            for count, pointers in ((0, 0), (1, 0), (2, 1), (5, 1), (64, 9), (203, 40))
            for shift in (0, 4, 8, 12) for threads in (32, 64)] +
           [('assembles for %s%s' % (target, '' if PTXAS else ' # SKIP no ptxas'),
             lambda t=target: assembles(t) if PTXAS else []) for target in TARGETS])
