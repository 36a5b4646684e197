# SPDX-License-Identifier: Apache-2.0
"""test_cells.py - small allocations of 8 threads that move and are given back: each has its bytes, and the ledger is the simulated
driver's, to the byte."""
import os
import random

import ledgers
import runner

CELLS = os.path.join(runner.BUILD, 'tests', 'preload', 'memory', 'cells')
THREADS = 8
OPERATIONS = 100000 if runner.LONG else 10000
# What the library calls while small allocations come, move and go.
FAILING = {'mapped': ['cuMemCreate', 'cuMemMap', 'cuMemUnmap', 'cuMemSetAccess', 'cuMemRelease', 'cuMemcpyDtoHAsync_v2',
                      'cuMemcpyHtoDAsync_v2', 'cuMemcpyDtoDAsync_v2', 'cuEventRecord', 'cuEventQuery', 'cuStreamSynchronize',
                      'cuMemAddressReserve', 'cuMemsetD8Async', 'cuTexObjectCreate', 'cuCtxCreate_v4'],
           'strict': ['cuMemCreate', 'cuMemMap', 'cuMemUnmap', 'cuMemSetAccess', 'cuMemRelease', 'cuMemcpyDtoHAsync_v2',
                      'cuMemcpyHtoDAsync_v2', 'cuMemHostRegister_v2', 'cuMemHostAlloc', 'cuMemFreeHost', 'cuStreamSynchronize',
                      'cuEventQuery', 'cuMemAddressReserve', 'cuTexObjectDestroy']}


def failures(seed, residency):
    """Three calls of each entry fail, whoever makes them."""
    numbers = random.Random(seed)
    return ','.join('%s:%d' % (name, numbers.randint(1, OPERATIONS // 30)) for name in FAILING[residency] for _ in range(3))


def run(seed, operations, end, residency, simgpu, library=runner.LIBRARY):
    options = {'DEVICE_BUDGET': '24M', 'HOST_BUDGET': '1G', 'PERIOD_MS': '5', 'COLD_MS': '0', 'RESIDENCY': residency,
               'DISK': 'always' if residency == 'strict' else 'registered'}
    return runner.run(CELLS, [str(seed), str(operations), str(THREADS), end], options, dict(simgpu, DEVICES=2, MEMORY='1G'),
                      library, 3600 if runner.LONG else 120)


def check(seed, end, residency, simgpu):
    result = run(seed, OPERATIONS, end, residency, simgpu)
    if result.status or result.stats is None or result.report is None:
        return [result.text()]
    wrong = ledgers.compare(result.stats, result.report, residency == 'strict') + result.unclean()
    if end == 'free':
        wrong += ['left: %s %s' % (d['classes'], d['ordinal']) for d in result.stats['devices'] if d['used_bytes']]
    if min(int(n) for n in result.out.split('\n')[0].split()[1:]) < 3 or result.stats['evictions'] < 100:
        wrong.append('too few of some kind: %s' % result.stats['evictions'])
    return wrong + ([result.text()] if wrong else [])


def check_control():
    """Moved under the hands of the program its bytes are others, and it sees that."""
    library = os.path.join(runner.BUILD, 'tests', 'preload', 'libebbtide-without-gate.so')
    for seed in range(20):
        if run(seed, 10000, 'keep', 'mapped', {}, library).status:
            return []
    return ['nothing was seen without the gate']


def cases():
    yield 'they do not agree without the gate', check_control
    for seed, (end, residency) in enumerate((e, r) for _ in range(4 if runner.LONG else 1)
                                            for e in ('keep', 'free') for r in FAILING):
        what = 'seed %d, %s, %s' % (seed, end, residency)
        yield 'they agree, ' + what, lambda a=(seed, end, residency, {}): check(*a)
        yield ('they agree when calls fail, ' + what,
               lambda a=(seed + 100, end, residency, {'FAIL': failures(seed, residency)}): check(*a))


runner.tap(list(cases()))
