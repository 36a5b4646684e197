# SPDX-License-Identifier: Apache-2.0
"""ledgers.py - the library's ledger, from its statistics, held against the simulated driver's report, by kind."""

# Classes of the ledger that one kind of the driver's memory is made of.
KINDS = {'native': ['native'], 'pool': ['pool'], 'array': ['array'], 'graph': ['graph'],
         'physical': ['block', 'vmm']}


def compare(stats, report, is_strict=False):
    """What differs. Strict: the library's slabs are memory that it has registered with the driver, else the driver's own."""
    wrong = []
    for ours, theirs in zip(stats['devices'], report['devices']):
        for kind, classes in KINDS.items():
            believed = sum(ours['classes'][name] for name in classes)
            if believed != theirs['final_kinds'][kind]:
                wrong.append('device %d, %s: ledger %d, driver %d' % (ours['ordinal'], kind, believed, theirs['final_kinds'][kind]))
        if ours['classes']['managed'] != theirs['managed']['held_bytes']:
            wrong.append('device %d, managed: ledger %d, driver %d' % (ours['ordinal'], ours['classes']['managed'],
                                                                       theirs['managed']['held_bytes']))
    classes = stats['host']['classes']
    tiers = sum(device['final_kinds']['host'] for device in report['devices'])
    registered = classes['registered'] + (classes['tier'] if is_strict else 0)
    for name, believed, told in (('pinned', classes['pinned'], report['pinned_bytes']),
                                 ('registered', registered, report['registered_bytes']),
                                 ('host tier', 0 if is_strict else classes['tier'], tiers)):
        if believed != told:
            wrong.append('%s: ledger %d, driver %d' % (name, believed, told))
    return wrong
