# SPDX-License-Identifier: Apache-2.0
"""by_ctypes.py - the work of way.h from Python, through ctypes."""
import ctypes

BLOCKS, BYTES = 10, 4 << 20
cuda = ctypes.CDLL('libcuda.so.1')


def call(name, *arguments):
    result = getattr(cuda, name)(*arguments)
    if result:
        raise SystemExit('%s: %d' % (name, result))


context, device = ctypes.c_void_p(), ctypes.c_int()
call('cuInit', 0)
call('cuDeviceGet', ctypes.byref(device), 0)
call('cuDevicePrimaryCtxRetain', ctypes.byref(context), device)
call('cuCtxSetCurrent', context)
blocks = [ctypes.c_uint64() for _ in range(BLOCKS)]
for i, block in enumerate(blocks):
    call('cuMemAlloc_v2', ctypes.byref(block), ctypes.c_size_t(BYTES))
    call('cuMemsetD8_v2', block, ctypes.c_ubyte(i + 1), ctypes.c_size_t(BYTES))
back = ctypes.create_string_buffer(BYTES)
for i, block in enumerate(blocks):
    call('cuMemcpyDtoH_v2', back, block, ctypes.c_size_t(BYTES))
    if back.raw != bytes([i + 1]) * BYTES:
        raise SystemExit('a wrong byte')
    call('cuMemFree_v2', block)
print('kept')
