# SPDX-License-Identifier: Apache-2.0
"""handles.py - programs that map physical memory themselves, at budgets below their need, mapped and strict: the result is always
the same, and their handles move."""
import itertools

import runner

PROGRAMS = {'segments': [], 'sleeper': []}
BUDGETS = (100, 50, 35)

reference = {program: runner.run(program, arguments) for program, arguments in PROGRAMS.items()}


def check(program, percent, residency):
    plain = reference[program]
    budget = plain.peak_device_bytes * percent // 100
    options = {'DEVICE_BUDGET': budget, 'RESIDENCY': residency, 'CHECK': '1'}
    if residency == 'strict':
        options['DISK'] = 'always'  # every address is passed as an argument
    result = runner.run(program, PROGRAMS[program], options)
    wrong = result.unclean()
    if result.status or not plain.hash or result.hash != plain.hash:
        return wrong + ['hash %s, expected %s: %s' % (result.hash, plain.hash, result.text())]
    device = result.stats['devices'][0]
    if device['used_bytes'] or result.stats['disk']['used_bytes'] or result.report['leaks']:
        wrong.append('ledgers not zero at exit: %s' % device)
    if result.peak_device_bytes > budget or device['peak_bytes'] > budget:
        wrong.append('peak %d by the device, %d by us, budget %d' % (result.peak_device_bytes, device['peak_bytes'], budget))
    if not device['kinds'].get('handle') or 'vmm' in device['kinds']:
        wrong.append('handles are not blocks: %s' % device['kinds'])
    if percent < 100 and not result.stats['evictions']:
        wrong.append('nothing was evicted')
    if 'check:' in result.err:
        wrong.append('the books do not hold: ' + result.err)
    return wrong


def case(program, percent, residency):
    return ('%s gives the identical hash at %d%%, %s' % (program, percent, residency),
            lambda: check(program, percent, residency))


runner.tap([case(*what) for what in itertools.product(PROGRAMS, BUDGETS, ('mapped', 'strict'))])
