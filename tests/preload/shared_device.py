# SPDX-License-Identifier: Apache-2.0
"""shared_device.py - two programs, each with its share of a device that both are on: both complete, with the result that they
have alone, and together they never hold more than there is."""
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import runner

MIB = 1 << 20
FOLDER = '/dev/shm' if os.path.isdir('/dev/shm') else '/tmp'
RESIDENCY = {'mapped': {}, 'strict': {'RESIDENCY': 'strict', 'DISK': 'always'}}
PAIRS = [('standardize', 'standardize'), ('standardize', 'hashjoin'), ('hashjoin', 'training')]
NEEDS_MORE = {('hashjoin', 'training', 'strict')}  # one launch of it names more than a share holds


class Shared:
    """The file of a device of so many MiB."""

    def __init__(self, name, mib):
        self.simgpu = {'SHARED': os.path.join(FOLDER, 'simgpu-shared-%d-%s' % (os.getpid(), name)), 'MEMORY': '%dM' % mib}

    def __enter__(self):
        return self.simgpu

    def __exit__(self, *unused):
        if os.path.exists(self.simgpu['SHARED']):
            os.unlink(self.simgpu['SHARED'])


def options(mib, residency):
    return dict(RESIDENCY[residency], DEVICE_BUDGET='%dM' % mib, HOST_BUDGET='2G', PERIOD_MS='1', COLD_MS='0')


def judge(program, result, mib):
    """What is wrong with one of two that have half a device of 2 * mib."""
    wrong = result.unclean()
    plain = runner.run(program)
    if result.status or not result.hash or result.hash != plain.hash:
        return wrong + ['%s: hash %s, expected %s: %s' % (program, result.hash, plain.hash, result.text())]
    device = result.report['devices'][0]
    if device['peak_bytes']['device'] > mib * MIB:
        wrong.append('%s held %d bytes of its %d MiB' % (program, device['peak_bytes']['device'], mib))
    if device['shared']['peak_bytes'] > 2 * mib * MIB or device['shared']['peak_bytes'] < device['peak_bytes']['device']:
        wrong.append('both held %s' % device)
    if not result.stats['evictions']:
        wrong.append('%s: nothing was evicted' % program)
    return wrong


def check_pair(programs, residency, mib=20):
    with Shared('-'.join(programs) + residency, 2 * mib) as simgpu, ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda program: runner.run(program, None, options(mib, residency), simgpu), programs))
    wrong = [line for program, result in zip(programs, results) for line in judge(program, result, mib)]
    left = min(result.report['devices'][0]['shared']['used_bytes'] for result in results if result.report)
    return wrong + (['%d bytes are left' % left] if left else [])


def check_killed(seed, mib=20):
    """One is killed in the middle: the other goes on, and nothing stays of the first."""
    with Shared('killed-%d' % seed, 2 * mib) as simgpu:
        env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_')) or k == 'SIMGPU_CACHE'}
        env.update({'EBBTIDE_' + k: v for k, v in options(mib, 'mapped').items()}, LD_PRELOAD=runner.LIBRARY,
                   LD_LIBRARY_PATH=runner.SIMGPU, **{'SIMGPU_' + k: v for k, v in simgpu.items()})
        killed = subprocess.Popen([os.path.join(runner.PROGRAMS, 'standardize')] + runner.SMALL['standardize'], env=env,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(runner.run, 'hashjoin', None, options(mib, 'mapped'), simgpu)
            deadline = time.monotonic() + random.Random(seed).uniform(0, 0.5)
            while time.monotonic() < deadline and killed.poll() is None:
                pass
            killed.kill()
            killed.wait()
            result = other.result()
    used = result.report and result.report['devices'][0]['shared']['used_bytes']
    return judge('hashjoin', result, mib) + (['%s bytes are left' % used] if used != 0 else [])


runner.tap([('%s beside %s, %s, on one device' % (*programs, residency), lambda p=programs, r=residency: check_pair(p, r))
            for programs in PAIRS for residency in RESIDENCY if (*programs, residency) not in NEEDS_MORE] +
           [('one of two is killed at random moment %d' % seed, lambda s=seed: check_killed(s)) for seed in range(6)])
