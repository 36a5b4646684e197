# SPDX-License-Identifier: Apache-2.0
"""budget_matrix.py - the three programs at budgets below their need, mapped and strict: the result is always the same."""
import itertools

import runner

BUDGETS = (100, 50, 35, 15)
PERIODS_MS = (1, 50, 0)
COLD_MS = (0, None)
TIMES = 20 if runner.LONG else 1

reference = {program: runner.run(program) for program in runner.SMALL}


def check(program, percent, residency, period_ms, cold_ms):
    plain = reference[program]
    budget = plain.peak_device_bytes * percent // 100
    options = {'DEVICE_BUDGET': budget, 'RESIDENCY': residency, 'PERIOD_MS': period_ms}
    wrong = []
    if residency == 'strict':
        # Two of them pass every address as an argument, and may say so. The search of `auto` takes numbers that look
        # like addresses for addresses: in random data that happens, and at 15 % one block that stays is one too many.
        options['DISK'] = 'auto' if program == 'training' else 'always'
    if cold_ms is not None:
        options['COLD_MS'] = cold_ms
    for _ in range(TIMES):
        result = runner.run(program, options=options)
        refused = program == 'training' and residency == 'strict' and percent < 100
        if refused:
            if result.status != 2 or result.err.count(' refused, budget ') != 1:
                wrong.append('expected out of memory and one line: ' + result.text())
        elif result.status or result.hash != plain.hash:
            wrong.append('hash %s, expected %s: %s' % (result.hash, plain.hash, result.text()))
        elif result.stats['devices'][0]['used_bytes'] or result.stats['disk']['used_bytes']:
            wrong.append('ledgers not zero at exit: %s' % result.stats)
        if result.report and result.peak_device_bytes > budget:
            wrong.append('peak %d over the budget %d' % (result.peak_device_bytes, budget))
        wrong += result.unclean()
    return wrong


def plain_check(program):
    result = reference[program]
    return result.unclean() + ([] if result.status == 0 and result.hash else [result.text()])


def case(*what):
    program, percent, residency, period_ms, cold_ms = what
    name = '%s gives the identical hash at %d%%, %s, period %d ms, cold %s' % (
        program, percent, residency, period_ms, 'default' if cold_ms is None else '%d ms' % cold_ms)
    return name, lambda: check(*what)


runner.tap([('%s runs without the library' % p, lambda p=p: plain_check(p)) for p in runner.SMALL] +
           [case(*what) for what in itertools.product(runner.SMALL, BUDGETS, ('mapped', 'strict'), PERIODS_MS, COLD_MS)])
