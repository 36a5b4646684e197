# SPDX-License-Identifier: Apache-2.0
"""test_small.py - very many small allocations at budgets below their need, mapped and strict: the result is always the same."""
import itertools

import runner

BUFFERS = 100000 if runner.LONG else 6000
SIZES = ('2K', '64K', '1M')  # of the largest; the more, the fewer
COUNTS = {'2K': 4 * BUFFERS, '64K': BUFFERS, '1M': BUFFERS // 12}
BUDGETS = (100, 50, 35)
DEADLINE_S = 3600 if runner.LONG else 120
SIMGPU = {'MEMORY': '8G'}


def herd(most, options):
    arguments = ['--most', most, '--buffers', str(COUNTS[most])]
    return runner.run('herd', arguments, options, SIMGPU, deadline_s=DEADLINE_S)


reference = {most: herd(most, None) for most in SIZES}


def plain_check(most):
    result = reference[most]
    return result.unclean() + ([] if result.status == 0 and result.hash else [result.text()])


def check(most, percent, residency):
    plain = reference[most]
    budget = plain.peak_device_bytes * percent // 100
    result = herd(most, {'DEVICE_BUDGET': budget, 'HOST_BUDGET': '4G', 'RESIDENCY': residency,
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
           [('buffers of up to %s give the identical hash at %d%%, %s' % what, lambda w=what: check(*w))
            for what in itertools.product(SIZES, BUDGETS, ('mapped', 'strict'))])
