# SPDX-License-Identifier: Apache-2.0
"""debian.py - Debian's programs do their own work with the library as without it. See debian/README.md.

Only those that are installed; EBBTIDE_TEST_LONG=1 installs them first (as root) and gives them more to do. With
EBBTIDE_PROGRAMS="git redis" only these.
"""
import difflib
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import runner

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
DEADLINE_S = 1800 if runner.LONG else 300
LEAVES_OUT = 77  # what a script ends with that finds, other than its commands, something missing


class Script:
    """One script of debian/ and what its first lines say."""

    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)[:-3]
        self.says = {'programs': [], 'packages': [], 'seen': []}
        with open(path) as file:
            for line in file:
                if not line.startswith('#'):
                    break
                word, _, rest = line[1:].strip().partition(':')
                self.says[word] = rest.split()

    def runs(self):
        path = os.environ['PATH'] + ':/usr/sbin:/sbin'
        return (runner.LONG or 'long' not in self.says) and all(shutil.which(p, path=path) for p in self.says['programs'])

    def run(self, options):
        """What it printed, its status, and the statistics of the processes that have ended."""
        # Processes of other users work and write here too.
        folder = tempfile.mkdtemp(prefix='ebbtide-test-', dir='/var/tmp')
        work, sheets = os.path.join(folder, 'work'), os.path.join(folder, 'sheets')
        try:
            for path, mode in ((folder, 0o755), (work, 0o755), (sheets, 0o777)):
                os.makedirs(path, exist_ok=True)
                os.chmod(path, mode)
            env = {'SOURCE': SOURCE, 'LONG': '1' if runner.LONG else '', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}
            env['PATH'] = os.environ['PATH'] + ':/usr/sbin:/sbin'
            if options is not None:
                env['EBBTIDE_STATS_JSON'] = os.path.join(sheets, '%p.json')
            # A hang ends with everything that the script started.
            command = ['-C', work, 'timeout', '-k', '5', str(DEADLINE_S), 'bash', self.path]
            result = runner.run('/usr/bin/env', command, options, env=env, deadline_s=DEADLINE_S + 30)
            result.all_stats = [sheet for sheet in map(runner.load, glob.glob(sheets + '/*.json')) if sheet]
            result.out, result.err = result.out.replace(folder, 'FOLDER'), result.err.replace(folder, 'FOLDER')
            return result
        finally:
            runner.remove(folder)

    def unseen(self, result):
        """Those of its programs in which the library was not, or did not count the heap it serves."""
        heap = {}
        for sheet in result.all_stats:
            program = os.path.basename(sheet['command'].split(' ')[0]).rstrip(':')
            heap[program] = max(heap.get(program, 0), sheet['host']['classes']['heap'])
        return ['%s: not run under the library' % p if p not in heap else '%s: its heap is not counted' % p
                for p in self.says['seen'] if not heap.get(p, 0) and (p not in heap or heap_is_ours())]

    def check(self):
        if not self.runs():
            return runner.SKIPPED
        plain = self.run(None)
        if plain.status == LEAVES_OUT:
            return runner.SKIPPED
        ours = self.run({})
        wrong = self.unseen(ours)
        if ours.status != plain.status:
            wrong.append('status %s, without the library %s' % (ours.status, plain.status))
        for what in ('out', 'err'):
            before, after = getattr(plain, what).splitlines(), getattr(ours, what).splitlines()
            wrong += [line for line in list(difflib.unified_diff(before, after, 'without', 'with', n=1, lineterm=''))[:60]]
        if not plain.out:
            wrong.append('it printed nothing: ' + plain.text())
        left = [name for name in ours.left if not name.startswith('PostgreSQL.')]  # a server of the case beside this one
        if left:
            wrong.append('left behind: %s' % left)
        return wrong


def heap_is_ours():
    """Whether malloc was built into the library."""
    names = subprocess.run(['nm', '-D', '--defined-only', runner.LIBRARY], capture_output=True, text=True, check=True).stdout
    return ' malloc\n' in names


def install(scripts):
    wanted = sorted({package for script in scripts for package in script.says['packages']})
    known = subprocess.run(['apt-cache', 'dumpavail'], capture_output=True, text=True).stdout
    known = {line[len('Package: '):] for line in known.splitlines() if line.startswith('Package: ')}
    missing = [package for package in wanted if package in known]  # one that this release lacks keeps none of the others out
    for package in sorted(set(wanted) - known):
        print('# this release has no %s' % package, file=sys.stderr)
    env = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    done = subprocess.run(['apt-get', 'install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=600'] + missing,
                          env=env, capture_output=True, text=True)
    if done.returncode:
        print('# not installed: %s' % done.stderr.strip().splitlines()[-1:], file=sys.stderr)


chosen = os.environ.get('EBBTIDE_PROGRAMS', '').split()
found = [Script(path) for path in sorted(glob.glob(os.path.join(HERE, 'debian', '*.sh')))]
found = [script for script in found if not chosen or script.name in chosen]
if runner.LONG and os.geteuid() == 0:
    install(found)
runner.tap([('%s: the same as without' % script.name, script.check) for script in found])
