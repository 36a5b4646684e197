# SPDX-License-Identifier: Apache-2.0
"""unified.py - managed memory of more than the device, alone and beside blocks: the result is always the same, nothing is
refused, and the simulated driver never sees more of it on the device than the budget allows."""
import itertools

import runner

MIB = 1 << 20
DEVICE = 32 * MIB  # half of what the program has
ARGUMENTS = ['--ranges', '14', '--bytes', '4M']
PERCENT = (100, 50, 35)
BLOCKS = (0, 3)

reference = {blocks: runner.run('unified', ARGUMENTS + ['--blocks', str(blocks)]) for blocks in BLOCKS}


def check(blocks, percent, residency, disk, simgpu):
    plain = reference[blocks]
    budget = DEVICE * percent // 100
    result = runner.run('unified', ARGUMENTS + ['--blocks', str(blocks)],
                        {'DEVICE_BUDGET': budget, 'RESIDENCY': residency, 'DISK': disk}, {'MEMORY': DEVICE, **simgpu})
    if result.status or result.hash != plain.hash:
        return ['hash %s, expected %s: %s' % (result.hash, plain.hash, result.text())]
    wrong = result.unclean()
    device = result.stats['devices'][0]
    managed = device['kinds']['managed']
    if managed['peak_bytes'] <= DEVICE or managed['off_bytes'] or managed['device_bytes']:
        wrong.append('managed memory: %s' % managed)
    if result.peak_device_bytes > budget:
        wrong.append('peak %d over the budget %d' % (result.peak_device_bytes, budget))
    if device['used_bytes'] or device['refused'] or 'refused' in result.err:
        wrong.append('%d bytes left, %d refused: %s' % (device['used_bytes'], device['refused'], result.err))
    return wrong


def without():
    result = reference[0]
    wrong = result.unclean() + ([] if result.status == 0 and result.hash else [result.text()])
    if result.peak_device_bytes <= DEVICE:
        wrong.append('at its most it is on the device with %d bytes' % result.peak_device_bytes)
    return wrong


def case(*what):
    blocks, percent, residency = what
    disk = 'always' if residency == 'strict' else 'registered'
    return ('managed memory and %d blocks give the identical hash at %d%%, %s' % what,
            lambda: check(blocks, percent, residency, disk, {}))


runner.tap([('the program has more than the device', without)] +
           [case(*what) for what in itertools.product(BLOCKS, PERCENT, ('mapped', 'strict'))] +
           [('it is identical where pages come late', lambda: check(3, 50, 'mapped', 'registered', {'FAULT_NS': 20000, 'LINK_GBPS': 8})),
            ('it is identical beside another device', lambda: check(3, 50, 'mapped', 'registered', {'DEVICES': 2}))])
