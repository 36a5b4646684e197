# SPDX-License-Identifier: Apache-2.0
"""test_ledger.py - what the library believes to be in use is what the simulated driver says, to the byte, by kind."""
import os
import random

import ledgers
import runner

LEDGER = os.path.join(runner.BUILD, 'tests', 'preload', 'memory', 'ledger')
THREADS = 8
OPERATIONS = 100000 if runner.LONG else 10000
FAILING = ['cuMemAlloc_v2', 'cuMemAllocPitch_v2', 'cuMemAllocManaged', 'cuMemAllocAsync', 'cuMemAllocFromPoolAsync',
           'cuMemCreate', 'cuMemMap', 'cuMemUnmap', 'cuMemSetAccess', 'cuMemRelease', 'cuMemFree_v2', 'cuMemFreeAsync', 'cuArrayCreate_v2',
           'cuArray3DCreate_v2', 'cuMipmappedArrayCreate', 'cuArrayDestroy', 'cuMemHostAlloc', 'cuMemFreeHost',
           'cuMemHostRegister_v2', 'cuMemHostUnregister', 'cuGraphInstantiate_v2', 'cuGraphInstantiateWithFlags',
           'cuGraphLaunch', 'cuGraphExecDestroy', 'cuDeviceGraphMemTrim', 'cuMemPoolDestroy', 'cuMemPoolCreate', 'cuMemPoolTrimTo',
           'cuEventCreate', 'cuEventRecord', 'cuStreamWaitEvent', 'cuStreamGetCtx', 'cuMemPoolGetAttribute']


def failures(seed):
    """Two calls of each entry fail, whoever makes them."""
    numbers = random.Random(seed)
    return ','.join('%s:%d' % (name, numbers.randint(1, OPERATIONS // 40)) for name in FAILING for _ in range(2))


def check(seed, end, simgpu):
    options = {'DEVICE_BUDGET': '96M', 'HOST_BUDGET': '512M', 'PERIOD_MS': '5', 'COLD_MS': '0', 'MIN_BLOCK': '2M' if seed % 2 else '0'}
    result = runner.run(LEDGER, [str(seed), str(OPERATIONS), str(THREADS), end], options, dict(simgpu, DEVICES=2),
                        deadline_s=3600 if runner.LONG else 120)
    if result.status or result.stats is None or result.report is None:
        return [result.text()]
    wrong = ledgers.compare(result.stats, result.report) + result.unclean()
    if end == 'free':
        wrong += ['left: %s %s' % (d['classes'], d['ordinal']) for d in result.stats['devices'] if d['used_bytes']]
    made = [int(n) for n in result.out.split('\n')[0].split()[1:]]
    if min(made) < 3:
        wrong.append('too few of some kind: %s' % made)
    return wrong + ([result.text()] if wrong else [])


def cases():
    for seed, end in enumerate(('keep', 'free') * (4 if runner.LONG else 1), 1):
        yield 'they agree, seed %d, %s' % (seed, end), lambda s=seed, e=end: check(s, e, {'MEMORY': '1G'})
        yield ('they agree when calls fail, seed %d, %s' % (seed, end),
               lambda s=seed, e=end: check(s + 100, e, {'MEMORY': '1G', 'FAIL': failures(s)}))
        yield 'they agree on a device that is full, seed %d, %s' % (seed, end), lambda s=seed, e=end: check(
            s + 200, e, {'MEMORY': '80M'})


runner.tap(list(cases()))
