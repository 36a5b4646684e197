# SPDX-License-Identifier: Apache-2.0
"""two_devices.py - one program on two devices that reach each other: the result is that of one, and each ledger is right."""
import runner

PROGRAM = ('hashjoin', runner.SMALL['hashjoin'] + ['--devices', '2'])
BUDGETS = ('1G', '20M', '12M')
RESIDENCY = {'mapped': {}, 'strict': {'RESIDENCY': 'strict', 'DISK': 'always'}}

plain = runner.run('hashjoin')


def uuids(result):
    return [device['uuid'] for device in result.report['devices']]


def check(budget, residency, visible=None):
    """With a list of what is visible, a budget's number is that of the list."""
    options = dict(RESIDENCY[residency], DEVICE_BUDGET=budget, PERIOD_MS='1', COLD_MS='0')
    result = runner.run(*PROGRAM, options, {'DEVICES': 2}, env={'CUDA_VISIBLE_DEVICES': visible} if visible else {})
    wrong = result.unclean()
    if result.status or result.hash != plain.hash or not plain.hash:
        return wrong + ['hash %s, expected %s: %s' % (result.hash, plain.hash, result.text())]
    for ours, theirs in zip(result.stats['devices'], result.report['devices']):
        if ours['peak_bytes'] != theirs['peak_bytes']['device'] or ours['peak_bytes'] == 0:
            wrong.append('device %d: peak %d, the simulator has %s' % (ours['ordinal'], ours['peak_bytes'], theirs))
        if ours['used_bytes'] or theirs['final_bytes']['device']:
            wrong.append('device %d: %d left, the simulator has %s' % (ours['ordinal'], ours['used_bytes'], theirs))
    if budget != '1G' and not result.stats['evictions']:
        wrong.append('nothing was evicted')
    return wrong


def check_turned():
    wrong = check('0:20M,1:12M', 'mapped', '1,0')
    straight, turned = (runner.run(*PROGRAM, {'DEVICE_BUDGET': '0:20M,1:12M', 'HOST_BUDGET': '1G'}, {'DEVICES': 2}, env=env)
                        for env in ({}, {'CUDA_VISIBLE_DEVICES': '1,0'}))
    if uuids(straight) != uuids(turned)[::-1] or uuids(turned)[0] == uuids(turned)[1]:
        wrong.append('devices %s, turned %s' % (uuids(straight), uuids(turned)))
    for device, most in zip(turned.report['devices'], (20 << 20, 12 << 20)):
        if device['peak_bytes']['device'] > most:
            wrong.append('%s held %s' % (device['uuid'], device['peak_bytes']))
    return wrong


runner.tap([('two devices without the library', lambda: (lambda result: result.unclean() + (
    [] if result.hash == plain.hash else [result.text()]))(runner.run(*PROGRAM, simgpu={'DEVICES': 2})))] +
           [('two devices of %s each, %s' % (budget, residency), lambda b=budget, r=residency: check(b, r))
            for budget in BUDGETS for residency in RESIDENCY] +
           [('two devices in another order, each with a budget of its own', check_turned)])
