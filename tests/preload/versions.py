# SPDX-License-Identifier: Apache-2.0
"""versions.py - the three programs on drivers from 11.8 to 13.0, and names of runtimes from 11 to 13: the result is the
same, and a driver that does not tell the parameters of kernels costs one line."""
import os
import sys
import tempfile

import runner

VERSIONS = (11080, 12020, 12040, 13000)
SONAMES = ('libcudart.so.11.0', 'libcudart.so.12', 'libcudart.so.13')
TOLD_SINCE = 12040

reference = {program: runner.run(program) for program in runner.SMALL}


def check(program, version):
    plain = reference[program]
    options = {'DEVICE_BUDGET': plain.peak_device_bytes * 35 // 100, 'PERIOD_MS': '1'}
    result = runner.run(program, options=options, simgpu={'DRIVER_VERSION': version})
    wrong = result.unclean()
    if result.status or result.hash != plain.hash or not plain.hash:
        wrong.append('hash %s, expected %s' % (result.hash, plain.hash))
    elif not result.stats['evictions']:
        wrong.append('nothing was evicted')
    said = [line for line in result.err.splitlines() if line]
    if len(said) != (version < TOLD_SINCE) or (said and 'does not tell the parameters of kernels' not in said[0]):
        wrong.append('said: %s' % said)
    return wrong and wrong + [result.text()]


def soname(name):
    """A runtime of that name, which a program finds by dlopen."""
    script = ('import ctypes\nruntime = ctypes.CDLL("%s")\npointers = [ctypes.c_void_p() for _ in range(10)]\n'
              'for p in pointers:\n    assert runtime.cudaMalloc(ctypes.byref(p), ctypes.c_size_t(4 << 20)) == 0\n'
              'for p in pointers:\n    assert runtime.cudaFree(p) == 0' % name)
    with tempfile.TemporaryDirectory(prefix='ebbtide-test-', dir='/var/tmp') as place:
        os.symlink(os.path.join(runner.SIMGPU, 'libcudart.so.13'), os.path.join(place, name))
        env = {'LD_LIBRARY_PATH': place + ':' + runner.SIMGPU}
        result = runner.run(sys.executable, ['-c', script], {'DEVICE_BUDGET': '16M'}, env=env)
    managed = result.status == 0 and result.stats and result.stats['evictions'] and not result.stats['unhooked']
    return [] if managed else [result.text() + str(result.stats)]


runner.tap([('%s on driver %d.%d' % (program, version // 1000, version % 1000 // 10), lambda p=program, v=version: check(p, v))
            for version in VERSIONS for program in runner.SMALL] +
           [('a runtime called %s' % name, lambda n=name: soname(n)) for name in SONAMES])
