# SPDX-License-Identifier: Apache-2.0
"""ledgers.py - the library's ledger, from its statistics, held against the simulated driver's report, by kind."""

# Classes of the ledger that one kind of the driver's memory is made of.
KINDS = {'native': ['native'], 'pool': ['pool'], 'array': ['array'], 'graph': ['graph'],
         'physical': ['block', 'vmm']}

# Kinds of the statistics that are one class of the ledger; those without are charged to nobody.
CLASS_OF = {'block': 'block', 'small': 'block', 'async': 'block', 'async_small': 'block', 'handle': 'block', 'ipc': None}


def kinds(stats):
    """What of the kinds does not add up to the ledger's totals, once all is at rest."""
    wrong = []
    host_bytes = disk_bytes = 0
    for device in stats['devices']:
        by_class = dict.fromkeys(device['classes'], 0)
        for name, kind in device['kinds'].items():
            parts = [kind['movable']] + list(kind['stays'].values())
            places = kind['device_bytes'] + kind['host_bytes'] + kind['disk_bytes'] + kind['dropped_bytes']
            owner = CLASS_OF.get(name, name)
            counted = sum(part['count'] for part in parts) + kind['away']['count'] - kind['stays'].get('freed', {'count': 0})['count']
            if owner:
                by_class[owner] += kind['device_bytes']
            host_bytes += kind['host_bytes'] + kind['host_copy_bytes']
            disk_bytes += kind['disk_bytes'] + kind['disk_copy_bytes']
            for what, told, found in (('leaves and stays', kind['device_bytes'], sum(part['bytes'] for part in parts)),
                                      ('is counted', kind['count'], counted),
                                      ('is somewhere', kind['bytes'], kind['bytes'] if owner != 'block' else places)):
                if told != found:
                    wrong.append('device %d, %s: %d, and %d %s' % (device['ordinal'], name, told, found, what))
            if not (kind['peak_bytes'] >= kind['bytes'] >= kind['device_bytes'] and kind['total_count'] >= kind['peak_count'] >= kind['count']):
                wrong.append('device %d, %s: more than at the peak: %s' % (device['ordinal'], name, kind))
        for name, told in device['classes'].items():
            if told != by_class[name]:
                wrong.append('device %d, %s: ledger %d, by kind %d' % (device['ordinal'], name, told, by_class[name]))
        if device['used_bytes'] != sum(by_class.values()):
            wrong.append('device %d: %d used, %d by kind' % (device['ordinal'], device['used_bytes'], sum(by_class.values())))
    if host_bytes != stats['host']['classes']['tier']:
        wrong.append('host tier: %d, by kind %d' % (stats['host']['classes']['tier'], host_bytes))
    if disk_bytes != stats['disk']['used_bytes']:
        wrong.append('disk: %d, by kind %d' % (stats['disk']['used_bytes'], disk_bytes))
    return wrong


def compare(stats, report, is_strict=False):
    """What differs. Strict: the library's slabs are memory that it has registered with the driver, else the driver's own."""
    wrong = kinds(stats)
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
