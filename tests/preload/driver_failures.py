# SPDX-License-Identifier: Apache-2.0
"""driver_failures.py - every driver entry that the library uses fails at some call: nothing is ever lost."""
import glob
import os
import re

import runner

PROGRAM = 'standardize'
ARGUMENTS = ['--bytes', '24M', runner.real_bytes()]
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'shim')
COUNTS = ('1', '2', '3', '1+')
MODES = {
    'mapped': {'RESIDENCY': 'mapped', 'DISK': 'off'},
    'disk': {'RESIDENCY': 'mapped', 'DISK': 'auto', 'HOST_BUDGET': '12M'},
    'strict': {'RESIDENCY': 'strict', 'DISK': 'auto', 'HOST_BUDGET': '12M'},
}

plain = runner.run(PROGRAM, ARGUMENTS)


def entries():
    """Driver entries that the library calls for itself, as its sources have them; True: the program's own calls of the
    same entry go through a hook, so that a failure may as well be one of those."""
    texts = [open(path).read() for path in glob.glob(SOURCES + '/cuda/device_*.c') + [SOURCES + '/cuda/contexts.c']]
    called = {name for text in texts for name in re.findall(r'\breal\.(cu\w+)\(', text)}
    with open(SOURCES + '/hook/hook_table.def') as table:
        rows = table.read()
    return {name: re.search(r'\b%s\b' % name, rows) is not None for name in sorted(called)}


def options(mode):
    return dict(MODES[mode], DEVICE_BUDGET=plain.peak_device_bytes * 40 // 100, PERIOD_MS='1', COLD_MS='0', DRAIN_MS='2000')


def outcome(result, own_failure):
    """What is wrong with how a run ended."""
    wrong = []
    if result.status == 0:
        if result.hash != plain.hash:
            wrong.append('wrong hash %s' % result.hash)
        for tier in result.stats['devices'] + [result.stats['disk']]:
            if tier['used_bytes']:
                wrong.append('ledger not zero at exit: %s' % tier)
        if result.host_bytes:
            wrong.append('ledger not zero at exit: %s' % result.stats['host'])
    elif result.status != 2 and not (own_failure and result.status == 3):
        wrong.append('neither the result nor out of memory')
    wrong += result.unclean()
    return [w + '\n' + result.text() for w in wrong]


def fail_ours(mode, entry, count, hooked):
    result = runner.run(PROGRAM, ARGUMENTS, options(mode), {'FAIL': '%s:%s@libebbtide' % (entry, count)}, deadline_s=60)
    return outcome(result, hooked)


def fail_unmap(count):
    """What was tried before the first block, or before it leaves, is given back."""
    result = runner.run(PROGRAM, ARGUMENTS, options('mapped'), {'FAIL': 'cuMemUnmap:%d@libebbtide' % count}, deadline_s=60)
    left = result.report['devices'][0]['final_bytes']['device']
    return outcome(result, False) + (['%d bytes of the device are left' % left] if left else [])


def fail_everywhere(mode, entry):
    result = runner.run(PROGRAM, ARGUMENTS, options(mode), {'FAIL': '%s:1' % entry}, deadline_s=60)
    return outcome(result, True)


def cases():
    for mode in MODES:
        healthy = runner.run(PROGRAM, ARGUMENTS, options(mode))
        yield 'a healthy run moves blocks (%s)' % mode, lambda r=healthy: outcome(r, False) + (
            [] if r.stats and r.stats['evictions'] > 10 else ['only %s evictions' % (r.stats and r.stats['evictions'])])
        for entry, hooked in entries().items():
            if not healthy.report['calls'].get(entry):
                continue
            for count in COUNTS:
                yield ('%s: call %s of %s by the library fails' % (mode, count, entry),
                       lambda m=mode, e=entry, c=count, h=hooked: fail_ours(m, e, c, h))
            yield ('%s: the first call of %s fails' % (mode, entry),
                   lambda m=mode, e=entry: fail_everywhere(m, e))

    for count in range(1, 5):
        yield 'unmap %d of the library fails and leaves nothing' % count, lambda c=count: fail_unmap(c)


runner.tap(list(cases()))
