# SPDX-License-Identifier: Apache-2.0
"""test_small.py - very many small allocations at budgets below their need, mapped and strict: the result is always the same."""
import itertools

import runner

BUFFERS = 100000 if runner.LONG else 6000
SIZES = ('2K', '64K', '1M')  # of the largest; the more, the fewer
KINDS = tuple((most, 'plain') for most in SIZES) + (('64K', 'ordered'),)
COUNTS = {'2K': 4 * BUFFERS, '64K': BUFFERS, '1M': BUFFERS // 12}
BUDGETS = (100, 50, 35)
DEADLINE_S = 3600 if runner.LONG else 120
SIMGPU = {'MEMORY': '8G'}


def herd(most, memory, options):
    arguments = ['--most', most, '--buffers', str(COUNTS[most]), '--memory', memory]
    return runner.run('herd', arguments, options, SIMGPU, deadline_s=DEADLINE_S)


reference = {most: herd(most, 'plain', None) for most in SIZES}


def plain_check(most):
    result = reference[most]
    return result.unclean() + ([] if result.status == 0 and result.hash else [result.text()])


def check(kind, percent, residency):
    most, memory = kind
    plain = reference[most]
    budget = plain.peak_device_bytes * percent // 100
    result = herd(most, memory, {'DEVICE_BUDGET': budget, 'HOST_BUDGET': '4G', 'RESIDENCY': residency,
                                       'DISK': 'always' if residency == 'strict' else 'registered'})
    wrong = result.unclean()
    if result.status or result.hash != plain.hash:
        return wrong + ['hash %s, expected %s: %s' % (result.hash, plain.hash, result.text())]
    if result.peak_device_bytes > budget:
        wrong.append('peak %d over the budget %d' % (result.peak_device_bytes, budget))
    if percent < 100 and not result.stats['evictions']:
        wrong.append('nothing has left')
    if result.stats['devices'][0]['used_bytes'] or result.stats['disk']['used_bytes']:
        wrong.append('ledgers not zero at exit: %s' % result.stats)
    return wrong


runner.tap([('buffers of up to %s run without the library' % m, lambda m=m: plain_check(m)) for m in SIZES] +
           [('buffers of up to %s of %s memory give the identical hash at %d%%, %s' % (*kind, *how),
             lambda k=kind, h=how: check(k, *h))
            for kind in KINDS for how in itertools.product(BUDGETS, ('mapped', 'strict'))])
