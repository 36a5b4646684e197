# SPDX-License-Identifier: Apache-2.0
"""runner.py - run an unmodified program on the simulated GPU, with or without the library, and see what became of it.

Used by the scripts beside it, each of which prints TAP. Paths come from the environment that meson sets:
EBB_BUILD is the build folder.
"""
import functools
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

BUILD = os.path.abspath(os.environ['EBB_BUILD'])
LONG = 'EBBTIDE_TEST_LONG' in os.environ
LIBRARY = os.path.join(BUILD, 'shim', 'libebbtide.so')
SIMGPU = os.path.join(BUILD, 'tests', 'simgpu')
PROGRAMS = os.path.join(BUILD, 'tests', 'programs')
EMULATOR = os.environ.get('EBB_EMULATOR', '').split()  # what runs programs that are built for another machine
DEADLINE_S = 120
SKIPPED = object()  # what a case returns that cannot run on this machine


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


def real_bytes(most_bytes=16 << 20):
    """A folder with copies of files that every Debian system has: nobody installs a package in there meanwhile."""
    folder = os.path.join(BUILD, 'tests', 'preload', 'real-bytes')
    if os.path.isdir(folder):
        return folder
    fresh, copied, bytes_copied = tempfile.mkdtemp(dir=os.path.dirname(folder)), 0, 0
    for where, folders, names in os.walk('/usr/share'):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path):
                shutil.copyfile(path, os.path.join(fresh, '%06d' % copied))
                copied, bytes_copied = copied + 1, bytes_copied + os.path.getsize(path)
        if bytes_copied >= most_bytes:
            break
    try:
        os.rename(fresh, folder)
    except OSError:  # somebody else was first
        remove(fresh)
    return folder


# The three programs at the size of a test.
SMALL = {
    'standardize': ['--bytes', '64M', real_bytes()],
    'hashjoin': ['--rows', '1000000'],
    'training': ['--iterations', '20', '--layer-bytes', '2M'],
}


class Result:
    """One run: status, stdout, stderr, the program's hash, our statistics (and its children's) and the simulator's
    report."""

    def __init__(self, process, out, err, all_stats, report, left):
        self.status = process.returncode
        self.out, self.err = out, err
        self.all_stats, self.report, self.left = all_stats, report, left
        self.stats = next((sheet for sheet in all_stats if sheet['pid'] == process.pid), None)
        self.hash = self.value('hash')

    def value(self, word):
        """The word behind this one, at the start of a line of stdout."""
        for line in self.out.splitlines():
            if line.startswith(word + ' '):
                return line.split()[1]
        return None

    @property
    def peak_device_bytes(self):
        return self.report['devices'][0]['peak_bytes']['device']

    @property
    def host_bytes(self):
        """What the host's budget holds at exit without the heap, which the program leaves to the system."""
        return self.stats['host']['used_bytes'] - self.stats['host']['classes']['heap']

    def unclean(self):
        """Why the simulator, or the system after it, is not content; empty when it is."""
        wrong = []
        for what in ('hazards', 'sticky_errors'):
            if self.report is None or self.report[what]:
                wrong.append('%s %s' % (what, self.report and self.report[what]))
        if self.left:
            wrong.append('left behind: %s' % self.left)
        return wrong

    def text(self):
        return 'status %s\n%s%s' % (self.status, self.out[-500:], self.err[-1500:])


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def shared_memory():
    """Names in /dev/shm, but for those that Criterion, databases, Python's workers and other tests make while a program runs, and
    live pages."""
    others = ('PostgreSQL.', 'simgpu-', 'sem.', 'ebbtide-')
    return [name for name in os.listdir('/dev/shm') if 'bxfi' not in name and not name.startswith(others)]


@functools.lru_cache(maxsize=None)
def heap_bytes(program, arguments, simgpu, library):
    """The most that the heap of this run holds, with what the library charges ahead, when nothing is evicted."""
    result = run(program, arguments and list(arguments), {'DEVICE_BUDGET': 'off', 'HOST_BUDGET': '1G'}, dict(simgpu), library)
    return result.stats['host']['peak_bytes'] if result.stats else 0


def with_heap(figure, program, arguments, simgpu, library):
    """A host budget in MiB is meant for blocks: the process's own heap is added, rounded up to the next MiB."""
    own = heap_bytes(program, arguments and tuple(arguments), tuple(sorted((simgpu or {}).items())), library)
    return '%dM' % (int(figure[:-1]) + own // (1 << 20) + 1)


def run(program, arguments=None, options=None, simgpu=None, library=LIBRARY, deadline_s=DEADLINE_S, env=None):
    """Run a program of tests/programs, or one by its path; `options` are EBBTIDE_ variables without the prefix, None:
    without the library. `env` is set besides."""
    more = env or {}
    with tempfile.TemporaryDirectory(prefix='ebbtide-test-', dir='/var/tmp') as folder:
        spill = os.path.join(folder, 'spill')
        os.mkdir(spill)
        shm_before = set(shared_memory())
        env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_')) or k == 'SIMGPU_CACHE'}
        env['LD_LIBRARY_PATH'] = SIMGPU
        env['SIMGPU_REPORT'] = os.path.join(folder, 'report.json')
        env.update({'SIMGPU_' + k: str(v) for k, v in (simgpu or {}).items()})
        if options is not None:
            env['LD_PRELOAD'] = library
            env['EBBTIDE_STATS_JSON'] = os.path.join(folder, 'stats.%p.json')
            env['EBBTIDE_SPILL_DIR'] = spill
            env.update({'EBBTIDE_' + k: str(v) for k, v in options.items()})
            if str(options.get('HOST_BUDGET', '')).endswith('M'):
                env['EBBTIDE_HOST_BUDGET'] = with_heap(options['HOST_BUDGET'], program, arguments, simgpu, library)
        env.update(more)
        emulator = EMULATOR + ['-E', 'LD_PRELOAD=' + env.pop('LD_PRELOAD', '')] if EMULATOR else []
        process = subprocess.Popen(emulator + [os.path.join(PROGRAMS, program)] + (SMALL[program] if arguments is None else arguments),
                                   env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += '\nhung: killed after %d s' % deadline_s
        left = os.listdir(spill) + sorted(set(shared_memory()) - shm_before)
        sheets = [load(path) for path in glob.glob(os.path.join(folder, 'stats.*.json'))]
        return Result(process, out, err, [sheet for sheet in sheets if sheet], load(env['SIMGPU_REPORT']), left)


def spill_folder():
    return tempfile.mkdtemp(prefix='ebbtide-test-', dir='/var/tmp')


def tap(cases, workers=2):
    """Run cases, (name, function) each, and print TAP as they end. A function returns a list of what is wrong, or SKIPPED."""
    print('TAP version 13', flush=True)
    print('1..%d' % len(cases), flush=True)
    failed = 0

    def guarded(case):
        try:
            return case[1]()
        except Exception as error:  # a broken test is a failed one
            return ['%s: %s' % (type(error).__name__, error)]

    with ThreadPoolExecutor(workers) as pool:
        for number, (case, wrong) in enumerate(zip(cases, pool.map(guarded, cases)), 1):
            if wrong is SKIPPED:
                print('ok %d - %s # SKIP not on this machine' % (number, case[0]), flush=True)
                continue
            failed += bool(wrong)
            print('%sok %d - %s' % ('not ' if wrong else '', number, case[0]), flush=True)
            for line in '\n'.join(str(w) for w in wrong).splitlines():
                print('# ' + line, flush=True)
    sys.exit(1 if failed else 0)
