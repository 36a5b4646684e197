# SPDX-License-Identifier: Apache-2.0
"""controls.py - negative controls: without the drain, or without the gate, the simulator must report hazards."""
import os

import worlds


# The timer moves what is in use all the time; there is room to bring it back at once.
OPTIONS = {'DEVICE_BUDGET': '120M', 'HIGH': '0.05', 'LOW': '0.02', 'PERIOD_MS': '1', 'COLD_MS': '0', 'RESIDENCY': 'mapped'}
TIMES = 40


def check(variant):
    library = os.path.join(worlds.BUILD, 'tests', 'preload', 'libebbtide-without-%s.so' % variant)
    for i in range(TIMES):
        result = worlds.run(('hashjoin', 'standardize')[i % 2], options=OPTIONS, library=library)
        if result.report is None or result.report['hazards'] or result.report['sticky_errors']:
            return []
    return ['%d runs without the %s and no hazard' % (TIMES, variant)]


def check_whole():
    """The same with the library as it is: so it is not the setting that is hazardous."""
    wrong = []
    for program in ('hashjoin', 'standardize') * 2:
        wrong += worlds.run(program, options=OPTIONS).unclean()
    return wrong


worlds.tap([('with both there are none', check_whole)] +
           [('without the %s the simulator sees hazards' % v, lambda v=v: check(v)) for v in ('drain', 'gate')])
