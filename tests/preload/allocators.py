# SPDX-License-Identifier: Apache-2.0
"""allocators.py - every allocator and every policy serves the three programs: the identical hash, and the budget kept."""
import runner

# What each allocator needs of the budget, in percent of the program's peak. The driver's own memory cannot move, and
# comes in whole granules of 2 MiB.
ALLOCATORS = {
    'native': (130, {}),
    'managed': (50, {}),
    'pool': (50, {'POOL': '25%:budget'}),
}
POLICIES = ('fifo', 'size', 'stage', 'lookahead')

reference = {program: runner.run(program) for program in runner.SMALL}


def check(program, percent, options, simgpu=None):
    plain = reference[program]
    budget = plain.peak_device_bytes * percent // 100
    result = runner.run(program, options=dict(options, DEVICE_BUDGET=budget), simgpu=simgpu)
    wrong = result.unclean()
    if result.status or not plain.hash or result.hash != plain.hash:
        return wrong + ['hash %s, expected %s: %s' % (result.hash, plain.hash, result.text())]
    device = result.stats['devices'][0]
    if device['used_bytes']:
        wrong.append('ledger not zero at exit: %s' % device)
    if result.peak_device_bytes > budget or device['peak_bytes'] > budget:
        wrong.append('peak %d by the device, %d by us, budget %d' %
                     (result.peak_device_bytes, device['peak_bytes'], budget))
    if options.get('ALLOCATOR') == 'native':
        if result.stats['evictions'] or not device['peak_bytes']:
            wrong.append('it should be accounted only: %s' % result.stats)
    elif not result.stats['evictions']:
        wrong.append('nothing was evicted')
    return wrong


def without_vmm(program, percent, simgpu, options, said):
    """A driver that cannot do what the allocator needs: the program is accounted, and one line says so."""
    plain = reference[program]
    result = runner.run(program, options=dict(options, DEVICE_BUDGET=plain.peak_device_bytes * percent // 100),
                        simgpu=simgpu)
    lines = [line for line in result.err.splitlines() if line]
    if result.status or result.hash != plain.hash or len(lines) != 1 or said not in lines[0]:
        return ['expected the hash %s and a line "%s": %s' % (plain.hash, said, result.text())]
    device = result.stats['devices'][0]
    return [] if device['peak_bytes'] and not result.stats['evictions'] else ['%s' % device]


def native_refuses(program):
    result = runner.run(program, options={'ALLOCATOR': 'native', 'DEVICE_BUDGET': reference[program].peak_device_bytes // 2})
    refused = result.status == 2 and ' refused, budget ' in result.err  # hashjoin's threads may each be refused
    return result.unclean() + ([] if refused else ['expected out of memory and a line: ' + result.text()])


def full_is_allowed(program):
    """EBBTIDE_ON_FULL=allow: nothing can move, the driver is asked anyway, and it is said."""
    plain = reference[program]
    result = runner.run(program, options={'ALLOCATOR': 'native', 'ON_FULL': 'allow', 'DEVICE_BUDGET': plain.peak_device_bytes // 2})
    wrong = result.unclean()
    if result.status or result.hash != plain.hash or 'EBBTIDE_ON_FULL=allow' not in result.err:
        wrong.append('expected the hash %s and a warning: %s' % (plain.hash, result.text()))
    elif result.stats['devices'][0]['refused'] or result.stats['devices'][0]['used_bytes']:
        wrong.append('%s' % result.stats['devices'][0])
    return wrong


runner.tap([('%s serves %s at %d%%' % (allocator, program, percent),
             lambda p=program, q=percent, o=dict(options, ALLOCATOR=allocator): check(p, q, o))
            for allocator, (percent, options) in ALLOCATORS.items() for program in runner.SMALL] +
           [('managed serves %s at 50%% on a driver without virtual memory' % program,
             lambda p=program: check(p, 50, {'ALLOCATOR': 'managed'}, {'VMM': 0})) for program in runner.SMALL] +
           [('a driver without virtual memory: accounted, and said',
             lambda: without_vmm('training', 130, {'VMM': 0}, {}, 'EBBTIDE_ALLOCATOR=managed')),
            ('a driver whose managed memory does not move: accounted, and said',
             lambda: without_vmm('training', 130, {'MANAGED': 0}, {'ALLOCATOR': 'managed'}, 'no managed memory'))] +
           [('%s runs %s at 50%%' % (policy, program), lambda p=program, o=policy: check(p, 50, {'POLICY': o}))
            for policy in POLICIES for program in runner.SMALL] +
           [('native refuses %s at 50%% and says why' % program, lambda p=program: native_refuses(p))
            for program in runner.SMALL] +
           [('training passes a full budget that the user allows it to pass', lambda: full_is_allowed('training'))])
