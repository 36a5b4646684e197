# SPDX-License-Identifier: Apache-2.0
"""controls.py - negative controls: without the drain, or without the gate, the simulator must report hazards."""
import os

import worlds


def check(variant):
    library = os.path.join(worlds.BUILD, 'tests', 'preload', 'libebbtide-without-%s.so' % variant)
    options = {'DEVICE_BUDGET': '20M', 'PERIOD_MS': '1', 'COLD_MS': '0', 'RESIDENCY': 'mapped'}
    for _ in range(10):
        result = worlds.run('hashjoin', options=options, simgpu={'KERNEL_NS': 200000}, library=library)
        if result.report is None or result.report['hazards'] or result.report['sticky_errors']:
            return []
    return ['ten runs without the %s and no hazard' % variant]


worlds.tap([('without the %s the simulator sees hazards' % v, lambda v=v: check(v)) for v in ('drain', 'gate')])
