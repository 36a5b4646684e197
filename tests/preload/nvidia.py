# SPDX-License-Identifier: Apache-2.0
"""nvidia.py - NVIDIA's own libraries on the simulated driver: what they are handed is ours, or has a reason not to be.

Each library brings its own copy of the runtime and asks for entries when it starts; it gives up where it wants tables
that only NVIDIA's driver has, which is far enough. Libraries that are not on this machine are skipped by name.
"""
import os
import sys
import tempfile

import runner
from hook_lists import matches, reasons, rows

LIBRARIES = os.path.join(os.environ.get('CUDA_HOME', '/usr/local/cuda'), 'lib64')
WAYS = os.path.join(runner.BUILD, 'tests', 'preload', 'load_ways')
STATIC = os.path.join(WAYS, 'way_nvidia_static')
START = '''
import ctypes, sys
handle, number = ctypes.c_void_p(), ctypes.c_int()
library = ctypes.CDLL(sys.argv[1])
print('answered', eval('library.' + sys.argv[2], {'library': library, 'p': ctypes.byref(handle), 'n': ctypes.byref(number)}))
'''
# What starts each one; the last two work without a driver.
CALLS = {
    'libcudart.so.13': 'cudaGetDeviceCount(n)',
    'libcublas.so.13': 'cublasCreate_v2(p)',
    'libcublasLt.so.13': 'cublasLtCreate(p)',
    'libcudnn.so.9': 'cudnnCreate(p)',
    'libcufft.so.12': 'cufftPlan1d(n, 1024, 0x29, 1)',
    'libcusparse.so.12': 'cusparseCreate(p)',
    'libcusolver.so.12': 'cusolverDnCreate(p)',
    'libcurand.so.10': 'curandCreateGenerator(p, 100)',
    'libnccl.so.2': 'ncclCommInitAll(p, 1, n)',
    'libnvrtc.so.13': 'nvrtcVersion(n, n)',
    'libnvJitLink.so.13': 'nvJitLinkVersion(n, n)',
}
NEEDED = {'cuInit', 'cuMemAlloc_v2', 'cuMemFree_v2', 'cuLaunchKernel', 'cuDevicePrimaryCtxRetain'}
QUIET = ('libnvrtc.so.13', 'libnvJitLink.so.13')


def started(program, arguments, quiet=False):
    with tempfile.TemporaryDirectory(prefix='ebbtide-test-', dir='/var/tmp') as folder:
        path = os.path.join(folder, 'handed')
        library = '%s:%s' % (os.path.join(WAYS, 'way_preload_recorder.so'), runner.LIBRARY)
        result = runner.run(program, arguments, {'DEVICE_BUDGET': '1G'}, library=library, env={'HANDED': path})
        handed = set()
        if os.path.exists(path):
            with open(path) as file:
                handed = {tuple(line.split()) for line in file}
    wrong = []
    for asked, where, symbol in sorted(handed):
        if where != 'libebbtide.so' and symbol in rows:
            wrong.append('%s: handed %s of %s' % (asked, symbol, where))
        elif where.startswith('libcuda.so') and not any(matches(pattern, symbol) for pattern in reasons):
            wrong.append('%s: no reason for %s of %s' % (asked, symbol, where))
    ours = {symbol for _, where, symbol in handed if where == 'libebbtide.so'}
    if not quiet and not ours >= NEEDED:
        wrong.append('never asked for %s' % sorted(NEEDED - ours))
    if result.stats is None or result.stats['unhooked'] or result.stats['account_only']:
        wrong.append('unhooked %s' % (result.stats and (result.stats['unhooked'], result.stats['account_only'])))
    return wrong and wrong + [result.text()]


def library(name):
    path = os.path.join(LIBRARIES, name)
    if not os.path.exists(path):
        return runner.SKIPPED
    return started(sys.executable, ['-c', START, path, CALLS[name]], name in QUIET)


def static():
    return started(STATIC, []) if os.path.exists(STATIC) else runner.SKIPPED


runner.tap([('libcudart_static.a', static)] + [(name, lambda n=name: library(n)) for name in CALLS])
