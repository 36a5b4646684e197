# SPDX-License-Identifier: Apache-2.0
"""memory_kinds.py - one program on memory of each kind that moves, in less than it needs: the result is always the same."""
import itertools

import runner

KINDS = ('plain', 'default', 'own')
BUDGETS = (100, 50, 35)
TIMES = 10 if runner.LONG else 1


def arguments(kind):
    return ['--memory', kind]


reference = {kind: runner.run('pipeline', arguments(kind)) for kind in KINDS}


def check(kind, percent, residency):
    plain = reference[kind]
    budget = int(plain.value('peak_device_bytes')) * percent // 100  # what it asks for; a pool may take more
    options = {'DEVICE_BUDGET': budget, 'RESIDENCY': residency, 'DISK': 'always' if residency == 'strict' else 'registered'}
    wrong = []
    for _ in range(TIMES):
        result = runner.run('pipeline', arguments(kind), options)
        if result.status or result.hash != plain.hash or result.stats is None:
            wrong.append('expected %s: %s' % (plain.hash, result.text()))
            continue
        classes = result.stats['devices'][0]['classes']
        if result.peak_device_bytes > budget:
            wrong.append('peak %d over the budget %d' % (result.peak_device_bytes, budget))
        if percent < 100 and not result.stats['evictions']:
            wrong.append('nothing has moved')
        if any(classes.values()):
            wrong.append('left: %s' % classes)
        wrong += result.unclean()
    return wrong


def check_plain():
    hashes = {reference[kind].hash for kind in KINDS}
    return sum((reference[kind].unclean() for kind in KINDS), []) + ([str(hashes)] if len(hashes) != 1 or None in hashes else [])


runner.tap([('every kind has the same hash without the library', check_plain)] +
           [('%s memory gives the identical hash at %d%%, %s' % what, lambda what=what: check(*what))
            for what in itertools.product(KINDS, BUDGETS, ('mapped', 'strict'))])
