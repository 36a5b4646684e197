# SPDX-License-Identifier: Apache-2.0
"""negative_controls.py - without the drain, or without the gate, the simulator must report hazards."""
import contextlib
import os
import subprocess
import sys
import tempfile

import runner


# Less than the programs need: their own allocations and launches move what is in use. The gate is no matter of that, since
# it is their only thread that moves.
SMALL = {'DEVICE_BUDGET': '40M', 'PERIOD_MS': '0', 'RESIDENCY': 'mapped'}
# Another process has more of the device than the budget leaves to it, so that the timer moves what is in use all the
# time; there is room to bring it back at once. Mapping takes long, so that a launch falls into a move before long.
CROWDED = {'DEVICE_BUDGET': '120M', 'HIGH': '0.05', 'LOW': '0.02', 'PERIOD_MS': '1', 'COLD_MS': '0', 'RESIDENCY': 'mapped'}
MEMORY = '1G'
OTHER = """
import ctypes
cuda, context, device, address = ctypes.CDLL('libcuda.so.1'), ctypes.c_void_p(), ctypes.c_int(), ctypes.c_uint64()
wrong = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or \
    cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) or cuda.cuCtxSetCurrent(context) or \
    cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(910 << 20))
print(wrong, flush=True)
input()
"""
TIMES = 40


@contextlib.contextmanager
def crowded():
    """The settings of a simulated device that another process has the greater part of."""
    with tempfile.TemporaryDirectory(prefix='ebbtide-test-') as folder:
        simgpu = {'MEMORY': MEMORY, 'VMM_NS': '5000000', 'SHARED': os.path.join(folder, 'share')}
        env = dict({'SIMGPU_' + k: v for k, v in simgpu.items()}, LD_LIBRARY_PATH=runner.SIMGPU)
        with subprocess.Popen([sys.executable, '-c', OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, **env)) as other:
            try:
                if other.stdout.readline() != '0\n':
                    raise RuntimeError('the other process has no memory')
                yield simgpu
            finally:
                other.communicate('\n')


def check(variant, options, world):
    library = os.path.join(runner.BUILD, 'tests', 'preload', 'libebbtide-without-%s.so' % variant)
    with world as simgpu:
        for _ in range(TIMES):
            result = runner.run('hashjoin', options=options, simgpu=simgpu, library=library)
            if result.report is None or result.report['hazards'] or result.report['sticky_errors']:
                return []
    return ['%d runs without the %s and no hazard' % (TIMES, variant)]


def check_whole(options, world):
    """The same with the library as it is: so it is not the setting that is hazardous."""
    wrong, evictions = [], 0
    with world as simgpu:
        for program in ('hashjoin', 'standardize') * 2:
            result = runner.run(program, options=options, simgpu=simgpu)
            wrong += result.unclean()
            evictions += result.stats['evictions']
    return wrong + ([] if evictions else ['nothing was evicted'])


runner.tap([
    ('with both there are none in a small budget', lambda: check_whole(SMALL, contextlib.nullcontext())),
    ('nor on a crowded device', lambda: check_whole(CROWDED, crowded())),
    ('without the drain the simulator sees hazards', lambda: check('drain', SMALL, contextlib.nullcontext())),
    ('without the gate the simulator sees hazards', lambda: check('gate', CROWDED, crowded())),
])
