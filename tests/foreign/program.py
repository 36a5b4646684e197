# SPDX-License-Identifier: Apache-2.0
"""program.py - programs that nobody here wrote: what of each is installed, how it is run, what is wrong with a run."""
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get('EBB_BUILD', 'build'))
LIBRARY = os.path.join(BUILD, 'shim', 'libebbtide.so')
SIMGPU = os.path.join(BUILD, 'tests', 'simgpu')
MIB = 1 << 20
DEADLINE_S = 600

# name: what pip installs, in which time; what runs. `brief`: what scripts/test runs, in less than a minute. `pointers`: what
# keeps addresses in memory, so that EBBTIDE_DISK=always, by which a program says that it keeps none, would be untrue.
# `strict`: the shares at which its largest block still fits when nothing is mapped from host memory.
PROGRAMS = {
    'taichi': {'packages': ['taichi==1.7.4', 'numpy==2.4.6'], 'limit_s': 120, 'rows': ['fields', 'stencil', 'sparse'],
               'brief': ['fields'], 'pointers': ['sparse'], 'strict': [100]},
}

# checksum: None if the program failed; report: what the simulated GPU saw; statistics: the library's. Both may be None.
Ran = collections.namedtuple('Ran', 'checksum printed report statistics')


class Skip(Exception):
    """Why a program cannot be had here."""


def complaint(printed):
    """What pip says is wrong, in a line."""
    lines = printed.strip().splitlines() or ['pip failed']
    return 'PyPI cannot be reached' if any('connection broken' in line for line in lines) else lines[-1].removeprefix('ERROR: ')


def install(name):
    """The folder that has the program; downloads once."""
    folder = os.path.join(BUILD, 'foreign', name)
    done, packages, limit_s = os.path.join(folder, 'installed'), PROGRAMS[name]['packages'], PROGRAMS[name]['limit_s']
    if os.path.exists(done) and open(done, encoding='utf-8').read() == ' '.join(packages):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    try:
        pip = subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check',
                              '--retries', '1', '--timeout', '15', '--only-binary', ':all:', '--target', folder, *packages],
                             capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as late:
        raise Skip(f'pip did not have it in {limit_s} s') from late
    if pip.returncode:
        raise Skip(complaint(pip.stderr))
    with open(done, 'w', encoding='utf-8') as file:
        file.write(' '.join(packages))
    return folder


def surroundings(folder, settings):
    """The environment of a run: nothing of ours or of the machine's GPUs but what is asked for."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(('EBBTIDE_', 'SIMGPU_')) and key != 'CUDA_VISIBLE_DEVICES'}
    return {**kept, 'PYTHONPATH': folder, 'LD_LIBRARY_PATH': SIMGPU, 'SIMGPU_MEMORY': '2G',
            'SIMGPU_CACHE': os.environ.get('SIMGPU_CACHE', os.path.join(BUILD, 'kernels')), **settings}


def run(name, row, device, settings):
    """A piece of work of an installed program, on the device `cpu` or `cuda`."""
    with tempfile.TemporaryDirectory() as folder:
        report, statistics = os.path.join(folder, 'report'), os.path.join(folder, 'statistics')
        environment = surroundings(install(name), {'SIMGPU_REPORT': report, 'EBBTIDE_STATS_JSON': statistics, **settings})
        try:
            ran = subprocess.run([sys.executable, os.path.join(HERE, f'{name}_work.py'), row, device], capture_output=True,
                                 text=True, timeout=DEADLINE_S, check=False, env=environment)
        except subprocess.TimeoutExpired:
            return Ran(None, f'it did not end in {DEADLINE_S} s', None, None)
        lines = ran.stdout.split()
        read = [json.load(open(path, encoding='utf-8')) if os.path.exists(path) else None for path in (report, statistics)]
        return Ran(lines[-1] if ran.returncode == 0 and lines else None, ran.stdout + ran.stderr, *read)


def run_under_library(name, row, budget, settings):
    """The same on the device, with the library and a budget of whole MiB."""
    return run(name, row, 'cuda', {'LD_PRELOAD': LIBRARY, 'EBBTIDE_DEVICE_BUDGET': f'{budget // MIB}M', **settings})


def last_line(ran):
    lines = ran.printed.strip().splitlines()
    return lines[-1] if lines else 'nothing printed'


def device_peak(ran):
    return ran.report['devices'][0]['peak_bytes']['device']


def moved_bytes(ran):
    return sum(way['bytes'] for way in ran.statistics['moves'].values()) if ran.statistics else 0


def judge(ran, expected, budget, must_move):
    """What is wrong with a run under the library, or ''."""
    if not ran.checksum or not ran.report or not ran.statistics:
        return f'failed: {last_line(ran)}'
    if ran.checksum != expected:
        return 'the result differs'
    if ran.report['hazards'] or ran.report['sticky_errors']:
        return f"{ran.report['hazards']} hazards, {ran.report['sticky_errors']} sticky errors"
    # Variables of modules are the driver's own affair: nobody asks for them, and no budget can refuse them.
    if device_peak(ran) > budget + ran.statistics['devices'][0]['untracked_bytes']:
        return f'{device_peak(ran)} bytes at the peak, {budget} allowed'
    return 'nothing moved' if must_move and not moved_bytes(ran) else ''
