# SPDX-License-Identifier: Apache-2.0
"""test_holders.py - what the statistics and the line of a refusal tell of each kind of memory is what the program knows of it."""
import os
import re

import ledgers
import runner

HOLDERS = os.path.join(runner.BUILD, 'tests', 'preload', 'memory', 'holders')
LENT = os.path.join(runner.BUILD, 'tests', 'preload', 'memory', 'lent')
MIB = 1 << 20
SETTINGS = {'mapped': {'RESIDENCY': 'mapped', 'DISK': 'registered'},
            'strict': {'RESIDENCY': 'strict', 'DISK': 'always'},
            'native': {'ALLOCATOR': 'native'},
            'large': {'MIN_BLOCK': '3M'},
            'kept': {'CACHEABLE': 'none'},
            'pool': {'ALLOCATOR': 'pool'},
            'managed': {'ALLOCATOR': 'managed'},
            'unmappable': {},
            'allowed': {'ON_FULL': 'allow', 'DISK': 'off'}}
# Entries that fail once, whoever calls them.
FAILING = ['cuMemAlloc_v2', 'cuMemAllocAsync', 'cuMemAllocFromPoolAsync', 'cuArrayCreate_v2', 'cuMemCreate', 'cuMemAllocManaged',
           'cuGraphInstantiateWithFlags', 'cuMemFree_v2', 'cuMemFreeAsync', 'cuArrayDestroy', 'cuMemRelease', 'cuMemPoolDestroy',
           'cuGraphExecDestroy', 'cuMemPoolCreate']
SIZES = {'B': 1, 'KiB': 1 << 10, 'MiB': MIB, 'GiB': 1 << 30}


def run(name, budget='64M', refused='500', **more):
    if name == 'unmappable':
        more['VMM'] = 0
    options = dict({'DEVICE_BUDGET': budget, 'HOST_BUDGET': '8M', 'STATS': '1', 'CHECK': '1'}, **SETTINGS[name])
    return runner.run(HOLDERS, [refused], options, dict({'DEVICES': 2, 'MEMORY': '1G'}, **more))


def known(result):
    """(device, kind): allocations now and ever, as the program counted."""
    return {(int(line.split()[0]), line.split()[1]): tuple(map(int, line.split()[2:]))
            for line in result.out.splitlines() if line[0].isdigit()}


# What of the program's kinds is told under which, where blocks are not to be.
def owner(name, kind):
    if name == 'managed':
        return {'async': 'pool', 'async_small': 'pool'}.get(kind, kind)
    if name not in ('native', 'unmappable', 'large') and kind == 'vmm':
        return 'handle'
    if name in ('native', 'unmappable'):
        return {'block': 'native', 'small': 'native', 'async': 'pool', 'async_small': 'pool'}.get(kind, kind)
    if name == 'large':
        return {'small': 'native', 'async_small': 'pool'}.get(kind, kind)
    return kind


def counted(name, result):
    """What is told as another number than the program knows."""
    wrong, sums = [], {}
    for (device, kind), (now, ever) in known(result).items():
        if name == 'large' and kind == 'block':
            continue # one of them is below the least
        before = sums.get((device, owner(name, kind)), (0, 0))
        sums[device, owner(name, kind)] = (before[0] + now, before[1] + ever)
    for (device, kind), (now, ever) in sums.items():
        if name == 'large' and kind == 'native':
            continue
        told = result.stats['devices'][device]['kinds'].get(kind, {'count': 0, 'total_count': 0})
        if (told['count'], told['total_count']) != (now, ever):
            wrong.append('device %d, %s: %d of %d, told %d of %d' % (device, kind, now, ever, told['count'], told['total_count']))
    return wrong


def check(name, **more):
    result = run(name, **more)
    if result.status or result.stats is None:
        return [result.text()]
    wrong = ledgers.kinds(result.stats) + counted(name, result) + result.unclean()
    if 'check:' in result.err:
        wrong.append('the books do not hold')
    return wrong + ([result.text()] if wrong else [])


def reasons(name, expected):
    """Each of these has held some of its kind on the first device, and no kind has others."""
    result = run(name)
    if result.stats is None:
        return [result.text()]
    wrong = []
    for kind, whys in expected.items():
        told = set(result.stats['devices'][0]['kinds'][kind]['stays'])
        if told != whys:
            wrong.append('%s: %s, and not %s' % (kind, sorted(told), sorted(whys)))
    return wrong


def table():
    """The rows of the table are those of the file."""
    result, wrong = run('mapped'), []
    for device in result.stats['devices']:
        rows = result.err.split('device %d: kind' % device['ordinal'])[1].splitlines()[1:]
        rows = [row for row in rows[:[i for i, row in enumerate(rows) if not row.startswith('  ') or row.startswith('  the driver')][0]]
                if not row.startswith('    ')]
        found = [tuple(int(n) for n in re.match(r'\s+\D+?(\d+)\s+(\d+)\s', row).groups()) for row in rows]
        told = [(kind['count'], kind['peak_count']) for kind in device['kinds'].values()]
        if found != told:
            wrong.append('device %d: %s in the table, %s in the file' % (device['ordinal'], found, told))
    return wrong + ([result.err] if wrong else [])


def bytes_of(text):
    number, unit = text.split()
    return float(number) * SIZES[unit]


def refusals():
    """The table counts those of all devices."""
    result = run('mapped')
    return [] if 'stalled 0 ms, refused 2\n' in re.sub(r'stalled \d+', 'stalled 0', result.err) else [result.err]


def lent(what, count, total_bytes):
    """Memory of another process is charged there, and has a row here."""
    shared = '/dev/shm/simgpu-lent-%d-%d' % (os.getpid(), count)
    result = runner.run(LENT, what, {'DEVICE_BUDGET': '64M', 'STATS': '1'}, {'MEMORY': '256M', 'SHARED': shared})
    os.unlink(shared)
    others = [sheet for sheet in result.all_stats if sheet is not result.stats]
    if result.status or result.stats is None or len(others) != 1:
        return [result.text()]
    kind = others[0]['devices'][0]['kinds']['ipc']
    wrong = ledgers.kinds(result.stats) + ledgers.kinds(others[0])
    if (kind['count'], kind['total_count'], kind['bytes'], kind['device_bytes']) != (count, 2, total_bytes, 0):
        wrong.append('told: %s' % kind)
    for name in ('block', 'small'):
        if result.stats['devices'][0]['kinds'][name]['stays'].keys() != {'exported'}:
            wrong.append('%s: %s' % (name, result.stats['devices'][0]['kinds'][name]))
    if "other processes' memory" not in result.err:
        wrong.append('no row in the table: ' + result.err)
    return wrong


def line():
    """Kinds in the order of what they hold, their parts no more than they; it can be read."""
    result, wrong = run('mapped'), []
    lines = [text for text in result.err.splitlines() if ' refused, ' in text]
    if len(lines) != 2:
        return ['%d lines' % len(lines), result.err]
    for text in lines:
        holds = re.search(r'; holds (.*?); (largest|raise|the device)', text)
        if not holds or len(text) > 800:
            wrong.append('no line, or too long: ' + text)
            continue
        kinds = re.findall(r'([\d.]+ \w+) in ([\w\' -]+?)(?: \((.*?)\))?(?:, (?=\d)|$)', holds.group(1))
        sizes = [bytes_of(size) for size, name, parts in kinds if name != 'others']
        if sizes != sorted(sizes, reverse=True) or len(sizes) > 3:
            wrong.append('%s: %s' % (kinds, text))
    return wrong


def cases():
    for name in SETTINGS:
        yield 'each kind is counted as the program does, %s' % name, lambda n=name: check(n)
    for entry in FAILING:
        for number in (1, 3):
            yield ('each kind is counted when call %d of %s fails' % (number, entry),
                   lambda e=entry, n=number: check('mapped', FAIL='%s:%d' % (e, n)))
    yield 'each kind is counted on a full device', lambda: check('mapped', budget='12M')
    yield 'reasons are those of the kinds', lambda: reasons('mapped', {
        'pool': {'pool_shared', 'kept'}, 'array': {'opaque'}, 'graph': {'nodes'}, 'managed': {'driver'}})
    yield 'reasons are those of the options', lambda: reasons('native', {
        'native': {'allocator', 'rounded'}, 'pool': {'allocator', 'kept'}, 'vmm': {'allocator'}})
    yield 'reasons are those of the least size', lambda: reasons('large', {
        'native': {'min_block', 'rounded'}, 'pool': {'min_block', 'pool_shared', 'kept'}, 'vmm': {'min_block'}})
    yield 'reasons are those of the driver', lambda: reasons('unmappable', {
        'native': {'unmappable', 'rounded'}, 'pool': {'unmappable', 'kept'}})
    yield 'what an option keeps is said to be kept by it', lambda: reasons('kept', {'small': {'cacheable'}, 'async': {'cacheable'}, 'handle': {'cacheable'}})
    yield 'the table is that of the file', table
    yield 'the table counts the refusals of all devices', refusals
    yield 'what another process lends is told', lambda: lent([], 2, 6 * MIB + 3000)
    yield 'what another process lent is told, and given back', lambda: lent(['free'], 0, 0)
    yield 'the line tells the kinds by what they hold', line


runner.tap(list(cases()))
