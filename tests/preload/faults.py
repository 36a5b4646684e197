# SPDX-License-Identifier: Apache-2.0
"""faults.py - every driver entry that the library uses fails at some call: nothing is ever lost."""
import worlds

PROGRAM = 'standardize'
ARGUMENTS = ['--bytes', '24M', '/usr/share/perl5']
# What an allocation or a move calls, as the simulator counts it in a run under pressure; found, not listed by hand.
COUNTS = ('1', '2', '3', '1+')
MODES = {
    'mapped': {'RESIDENCY': 'mapped', 'DISK': 'off'},
    'disk': {'RESIDENCY': 'mapped', 'DISK': 'auto', 'HOST_BUDGET': '12M'},
    'strict': {'RESIDENCY': 'strict', 'DISK': 'auto', 'HOST_BUDGET': '12M'},
}

plain = worlds.run(PROGRAM, ARGUMENTS)


def options(mode):
    return dict(MODES[mode], DEVICE_BUDGET=plain.peak_device_bytes * 40 // 100, PERIOD_MS='1', COLD_MS='0', DRAIN_MS='2000')


def outcome(result, own_failure):
    """What is wrong with how a run ended."""
    wrong = []
    if result.status == 0:
        if result.hash != plain.hash:
            wrong.append('wrong hash %s' % result.hash)
        for tier in (result.stats['devices'][0], result.stats['host'], result.stats['disk']):
            if tier['used_bytes']:
                wrong.append('ledger not zero at exit: %s' % tier)
    elif result.status != 2 and not (own_failure and result.status == 3):
        wrong.append('neither the result nor out of memory')
    wrong += result.unclean()
    return [w + '\n' + result.text() for w in wrong]


def fail_ours(mode, entry, count):
    result = worlds.run(PROGRAM, ARGUMENTS, options(mode), {'FAIL': '%s:%s@libebbtide' % (entry, count)}, deadline_s=60)
    return outcome(result, False)


def fail_everywhere(mode, entry):
    result = worlds.run(PROGRAM, ARGUMENTS, options(mode), {'FAIL': '%s:1' % entry}, deadline_s=60)
    return outcome(result, True)


def cases():
    for mode in MODES:
        healthy = worlds.run(PROGRAM, ARGUMENTS, options(mode))
        yield 'a healthy run moves blocks (%s)' % mode, lambda r=healthy: outcome(r, False) + (
            [] if r.stats and r.stats['evictions'] > 10 else ['only %s evictions' % (r.stats and r.stats['evictions'])])
        for entry in sorted(e for e, n in healthy.report['calls'].items() if n and e.startswith('cu')):
            for count in COUNTS:
                yield ('%s: call %s of %s by the library fails' % (mode, count, entry),
                       lambda m=mode, e=entry, c=count: fail_ours(m, e, c))
            yield ('%s: the first call of %s fails' % (mode, entry),
                   lambda m=mode, e=entry: fail_everywhere(m, e))


worlds.tap(list(cases()))
