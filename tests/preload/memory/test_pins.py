# SPDX-License-Identifier: Apache-2.0
"""test_pins.py - the statistics say what may not move, and why."""
import os

import runner

PINS = os.path.join(runner.BUILD, 'tests', 'preload', 'memory', 'pins')
MIB = 1 << 20


def check():
    result = runner.run(PINS, [], {'DEVICE_BUDGET': '64M'})
    if result.status or result.stats is None:
        return [result.text()]
    expected = {'exported': 2 * MIB, 'graph': 12 * MIB, 'peer': 0, 'registered': 10 * MIB, 'texture': 6 * MIB, 'api': 0, 'library': 0,
                'alias': 0, 'referenced': 0}
    pinned = result.stats['devices'][0]['pinned']
    return ['pinned: %s' % pinned] if pinned != expected else result.unclean()


runner.tap([('an exported block, those of a graph within a graph, one behind a texture and one announced to a network card are shown', check)])
