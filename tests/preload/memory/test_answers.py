# SPDX-License-Identifier: Apache-2.0
"""test_answers.py - what is told of memory is what the driver tells of its own, wherever the library has put it; and what is told
of copies from host memory that is not all there."""
import difflib
import os

import runner

PROGRAMS = os.path.join(runner.BUILD, 'tests', 'preload', 'memory')
RUNS = {'mapped': {'RESIDENCY': 'mapped', 'DISK': 'registered'}, 'strict': {'RESIDENCY': 'strict', 'DISK': 'always'},
        'managed': {'ALLOCATOR': 'managed'}, 'native': {'ALLOCATOR': 'native', 'DEVICE_BUDGET': '64M'}}


def check(program, name):
    arguments = ('calm',) if program == 'answers' and name == 'managed' else ()
    simgpu = {'DEVICES': 2, 'MEMORY': '1G'}
    options = {'DEVICE_BUDGET': '16M', 'HOST_BUDGET': '1G', **RUNS[name]}
    drivers, ours = (runner.run(os.path.join(PROGRAMS, program), list(arguments), each, simgpu) for each in (None, options))
    if drivers.status or ours.status or not drivers.out:
        return [drivers.text(), ours.text()]
    differences = difflib.unified_diff(drivers.out.split('\n'), ours.out.split('\n'), 'driver', 'library', lineterm='')
    return ours.unclean() + list(differences)[:60]


runner.tap([('they are the same as without the library, ' + name, lambda n=name: check('answers', n)) for name in RUNS] +
           [('so are those to who maps physical memory himself, ' + name, lambda n=name: check('physical', n))
            for name in ('mapped', 'strict')] +
           [('so are those to copies whose source is not all there, ' + name, lambda n=name: check('sources', n)) for name in RUNS])
