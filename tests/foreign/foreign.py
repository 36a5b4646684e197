# SPDX-License-Identifier: Apache-2.0
"""foreign.py [--brief] [NAME...] - programs that nobody here wrote, on the simulated GPU, with and without the library.

Run from the root of a tree that was built. Prints TAP: a case for each piece of work and setting, and a table behind them.
"""
import json
import os
import subprocess
import sys
import tempfile
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get('EBB_BUILD', 'build'))
MIB = 1 << 20
GRANULE = 2 * MIB

# name: what pip installs, and what runs. `brief`: what goes without a name, in less than a minute. `pointers`: what keeps addresses
# in memory, so that EBBTIDE_DISK=always, by which a program says that it keeps none, would be untrue.
PROGRAMS = {
    'taichi': {'packages': ['taichi==1.7.4', 'numpy==2.4.6'], 'rows': ['fields', 'stencil', 'sparse'], 'brief': ['fields'],
               'pointers': ['sparse']},
}
# A block larger than the budget can only run from mapped host memory, and Taichi has one of 166 MiB from its start: it is
# unmapped only where all fits.
SETTINGS = [(share, 'mapped', disk) for share in (100, 50, 35) for disk in ('auto', 'always')] + [(100, 'strict', 'always')]
BRIEF_SETTINGS = [(50, 'mapped', 'always'), (35, 'mapped', 'auto')]


class Skip(Exception):
    """Why a program cannot be had here."""


def install(name):
    """The program's own Python; downloads once."""
    folder = os.path.join(BUILD, 'foreign', name)
    python, done = os.path.join(folder, 'bin', 'python'), os.path.join(folder, 'installed')
    wanted = ' '.join(PROGRAMS[name]['packages'])
    if os.path.exists(done) and open(done, encoding='utf-8').read() == wanted:
        return python
    try:
        venv.create(folder, with_pip=True)
        subprocess.run([python, '-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--retries', '1',
                        '--only-binary', ':all:', *PROGRAMS[name]['packages']],
                       check=True, capture_output=True, text=True, timeout=900)
    except (subprocess.SubprocessError, OSError) as error:
        raise Skip((getattr(error, 'stderr', None) or str(error)).strip().splitlines()[-1]) from error
    with open(done, 'w', encoding='utf-8') as file:
        file.write(wanted)
    return python


def run(python, name, row, device, environment):
    """(the checksum or None, what was printed, the simulated GPU's report, the library's statistics)"""
    with tempfile.TemporaryDirectory() as folder:
        report, stats = os.path.join(folder, 'report'), os.path.join(folder, 'stats')
        ran = subprocess.run([python, os.path.join(HERE, f'{name}_work.py'), row, device], capture_output=True, text=True,
                             timeout=600, check=False, env={
                                 **{key: value for key, value in os.environ.items() if not key.startswith('EBBTIDE_')},
                                 'LD_LIBRARY_PATH': os.path.join(BUILD, 'tests', 'simgpu'), 'SIMGPU_REPORT': report,
                                 'EBBTIDE_STATS_JSON': stats, 'SIMGPU_MEMORY': '2G', **environment})
        lines = ran.stdout.split()
        read = [json.load(open(path, encoding='utf-8')) if os.path.exists(path) else None for path in (report, stats)]
        return lines[-1] if ran.returncode == 0 and lines else None, ran.stdout + ran.stderr, *read


def judge(expected, budget, ran, must_move):
    """(what is wrong, or empty; bytes moved)"""
    checksum, printed, report, stats = ran
    if not checksum or not report or not stats:
        return f'failed: {printed.strip().splitlines()[-1] if printed.strip() else "nothing printed"}', 0
    moved = sum(way['bytes'] for way in stats['moves'].values())
    peak = report['devices'][0]['peak_bytes']['device']
    if checksum != expected:
        return 'the result differs', moved
    if report['hazards'] or report['sticky_errors']:
        return f"{report['hazards']} hazards, {report['sticky_errors']} sticky errors", moved
    # Variables of modules are the driver's own affair: nobody asks for them, and no budget can refuse them.
    if peak > budget + stats['devices'][0]['untracked_bytes']:
        return f"{peak} bytes at the peak, {budget} allowed", moved
    return ('nothing moved' if must_move and not moved else ''), moved


class Lane:
    def __init__(self, brief):
        self.brief, self.cases, self.failed, self.table = brief, 0, 0, []

    def case(self, what, wrong):
        self.cases += 1
        self.failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.cases} - {what}" + (f'\n# {wrong}' if wrong else ''), flush=True)

    def row(self, python, name, row):
        reference = run(python, name, row, 'cpu', {})
        alone = run(python, name, row, 'cuda', {})
        wrong = '' if alone[0] and alone[0] == reference[0] else f'the device computes something else: {alone[1][-400:]}'
        self.case(f'{name} {row}: the device computes what the processor does', wrong)
        if wrong:
            return
        need = alone[2]['devices'][0]['peak_bytes']['device']
        for share, residency, disk in BRIEF_SETTINGS if self.brief else SETTINGS:
            if disk == 'always' and row in PROGRAMS[name]['pointers']:
                continue
            budget = -(-need * share // 100 // GRANULE) * GRANULE
            ran = run(python, name, row, 'cuda', {
                'LD_PRELOAD': os.path.join(BUILD, 'shim', 'libebbtide.so'), 'EBBTIDE_DEVICE_BUDGET': f'{budget // MIB}M',
                'EBBTIDE_RESIDENCY': residency, 'EBBTIDE_DISK': disk})
            wrong, moved = judge(reference[0], budget, ran, share < 100)
            what = f'{share} % of {need // MIB} MiB, {residency}, disk {disk}'
            self.case(f'{name} {row}: {what}', wrong)
            self.table.append((f"{PROGRAMS[name]['packages'][0].replace('==', ' ')}", row, what,
                               f'{moved / MIB:.0f} MiB', wrong or 'identical'))

    def program(self, name):
        try:
            python = install(name)
        except Skip as reason:
            self.cases += 1
            print(f'ok {self.cases} - {name} # SKIP it cannot be installed: {reason}', flush=True)
            return
        for row in PROGRAMS[name]['brief' if self.brief else 'rows']:
            self.row(python, name, row)


def main():
    names = [name for name in sys.argv[1:] if name != '--brief']
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        sys.exit(f"foreign.py: there is no {unknown[0]}; there are: {' '.join(PROGRAMS)}")
    lane = Lane('--brief' in sys.argv)
    for name in names or PROGRAMS:
        lane.program(name)
    print(f'1..{lane.cases}')
    for line in lane.table:
        print('# ' + ' | '.join(line))
    sys.exit(bool(lane.failed))


main()
