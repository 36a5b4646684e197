# SPDX-License-Identifier: Apache-2.0
"""pointers.py - pointers that no argument shows: found by the search, or reached through mapped host memory."""
import runner

NEED = {'linked': ['--pressure', '48M'], 'table': ['--pressure', '48M']}
MODES = {
    'auto': {'DISK': 'auto', 'HOST_BUDGET': '40M'},
    'auto with room': {'DISK': 'auto'},
    'registered': {'DISK': 'registered'},
    'off': {'DISK': 'off'},
}


def check(program, options, searcher):
    plain = runner.run(program, NEED[program])
    result = runner.run(program, NEED[program],
                        dict(options, DEVICE_BUDGET='24M', PERIOD_MS='1', COLD_MS='0', LOG='info'),
                        {'FAIL': 'cuModuleLoadData:1+:=221@libebbtide'} if searcher == 'the CPU' else None)
    wrong = result.unclean()
    if result.status or result.hash != plain.hash or not plain.hash:
        wrong.append('hash %s, expected %s: %s' % (result.hash, plain.hash, result.text()))
    elif not result.stats['evictions']:
        wrong.append('nothing was evicted')
    elif result.stats['searches'] and 'scanned for by ' + searcher not in result.err:
        wrong.append('not searched by %s: %s' % (searcher, result.err))
    elif searcher == 'itself' and not result.stats['searches']:
        wrong.append('not searched')
    return wrong


def saved_twice():
    """Written through the table after it came back: a clean mark would lose it."""
    result = runner.run('table', NEED['table'], {'DISK': 'off', 'DEVICE_BUDGET': '24M', 'PERIOD_MS': '0'})
    moves = result.stats['moves']['device_to_host']
    return [] if moves['bytes'] > result.stats['moves']['host_to_device']['bytes'] else ['%s' % result.stats['moves']]


def reads_all(program, disk):
    """On a device that reads all of the host's memory there is a search only with the user's word."""
    plain = runner.run(program, NEED[program])
    result = runner.run(program, NEED[program], {'DISK': disk, 'DEVICE_BUDGET': '24M', 'HOST_BUDGET': '40M', 'PERIOD_MS': '1',
                                                 'COLD_MS': '0'}, {'PAGEABLE': 1})
    says = 'acts as registered: the device reads all' in result.err
    if disk == 'auto':
        return [] if says and result.stats['moves']['host_to_disk']['bytes'] == 0 else [result.text()]
    good = result.status == 0 and result.hash == plain.hash and not says and result.stats['moves']['host_to_disk']['bytes']
    return result.unclean() + ([] if good else [result.text(), str(result.stats)])


runner.tap([('%s finds its way with %s' % (program, mode), lambda p=program, o=options: check(p, o, 'the CPU'))
            for program in NEED for mode, options in MODES.items()] +
           [('%s finds its way with auto, searched by the device' % program,
             lambda p=program: check(p, MODES['auto'], 'itself')) for program in NEED] +
           [('%s on a device that reads all host memory, with %s' % (program, disk), lambda p=program, d=disk: reads_all(p, d))
            for program in NEED for disk in ('auto', 'known')] +
           [('what a kernel wrote through a table is saved again', saved_twice)])
