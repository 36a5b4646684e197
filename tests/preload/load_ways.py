# SPDX-License-Identifier: Apache-2.0
"""load_ways.py - every way in which a program may reach CUDA, be started, start others and end: it is managed and right.

Each case runs a program of ways/ with a budget of 16 MiB for 40 MiB. See way.h.
"""
import glob
import os
import shutil
import stat
import subprocess
import sys
import tempfile

import runner

WAYS = os.path.join(runner.BUILD, 'tests', 'preload', 'load_ways')
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'load_ways')
OPTIONS = {'DEVICE_BUDGET': '16M', 'HOST_BUDGET': '1G'}
TIMES = 50 if runner.LONG else 2


def way(name):
    return os.path.join(WAYS, 'way_' + name)


def wrong_run(result, managed=1):
    """What is wrong with a run in which `managed` processes should have been managed."""
    wrong = [] if result.status == 0 and 'kept' in result.out.split() else ['it did not do its work']
    evicted = sorted(sheet['evictions'] for sheet in result.all_stats if sheet['devices'])
    if len(evicted) != managed or 0 in evicted:
        wrong.append('evictions %s, expected some in %d processes' % (evicted, managed))
    if result.report and result.report['devices'][0]['peak_bytes']['device'] > 16 << 20:
        wrong.append('peak over the budget: %s' % result.report)
    wrong += result.unclean()
    return [text + '\n' + result.text() for text in wrong]


def run(name, *arguments, managed=1, **more):
    return wrong_run(runner.run(way(name), list(arguments), OPTIONS, **more), managed)


def python(*arguments, **more):
    return wrong_run(runner.run(sys.executable, list(arguments), OPTIONS, **more))


def extension():
    if not glob.glob(os.path.join(WAYS, 'way_extension*.so')):
        return runner.SKIPPED
    return python('-c', 'import way_extension; print("kept")', env={'PYTHONPATH': WAYS})


def with_other(before, program='linked', other='preload_allocate.so', passes=True):
    library = '%s:%s' % ((way(other), runner.LIBRARY) if before else (runner.LIBRARY, way(other)))
    result = runner.run(way(program), [], OPTIONS, library=library)
    calls = result.value('other')
    return wrong_run(result) + (['the other one saw %s calls' % calls] if passes and calls != '10' else [])


def leave(how):
    wrong = []
    for _ in range(TIMES):
        # A slow link, so that there is always a move under way.
        result = runner.run(way('exits'), [how], dict(OPTIONS, PERIOD_MS='1', COLD_MS='0'), {'LINK_GBPS': '1'}, deadline_s=60)
        if result.status or result.left or result.err:  # a refusal to a thread in flight is no news either
            wrong.append('left %s: %s' % (result.left, result.text()))
        elif how in ('exit', 'return') and not (result.stats and result.stats['evictions']):
            wrong.append('nothing moved: ' + result.text())
    return wrong


def quiet():
    """A program that has nothing to do with CUDA: no library of it, no thread, and look-ups as if we were not there."""
    script = ('import ctypes, os; maps = open("/proc/self/maps").read(); me = ctypes.CDLL(None);'
              'print("libcuda" in maps or "simgpu" in maps, len(os.listdir("/proc/self/task")), hasattr(me, "cuInit"))')
    result = runner.run(sys.executable, ['-c', script], OPTIONS)
    return [] if result.out == 'False 1 False\n' else [result.text()]


def secure():
    """Privileged: nothing of the environment counts. As a plain program the same one is managed."""
    wrong = run('privileged', library='')
    if os.geteuid() != 0:
        return wrong or runner.SKIPPED
    with tempfile.TemporaryDirectory(prefix='ebbtide-test-', dir='/var/tmp') as folder:
        os.chmod(folder, 0o777)
        program = shutil.copy(way('privileged'), folder)
        os.chmod(program, 0o755 | stat.S_ISUID)
        env = {'EBBTIDE_' + key: value for key, value in OPTIONS.items()}
        for name in ('EBBTIDE_STATS_JSON', 'EBBTIDE_LOG_FILE', 'SIMGPU_REPORT'):
            env[name] = os.path.join(folder, name)
        env['EBBTIDE_LOG'] = 'trace'
        done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=60, user=65534, group=65534,
                              extra_groups=[])
        if 'secure 0' in done.stdout:
            return wrong or runner.SKIPPED  # the folder does not honour the bit
        left = sorted(os.listdir(folder))
        peak = runner.load(env['SIMGPU_REPORT'])['devices'][0]['peak_bytes']['device']
    if done.stdout != 'secure 1\nkept\n' or left != ['SIMGPU_REPORT', 'way_privileged'] or peak < 40 << 20:
        wrong.append('left %s, peak %d, %s%s' % (left, peak, done.stdout, done.stderr))
    return wrong


def unseen(why, *arguments, budget='64M', name='plugin', library=runner.LIBRARY):
    """Something passes the library by: it says so in one line, moves nothing, and the work is done."""
    options = dict(OPTIONS, DEVICE_BUDGET=budget, DEEPBIND='keep')
    result = runner.run(way(name), list(arguments), options, library=library)
    wrong = result.unclean()
    if result.status or 'kept' not in result.out.split():
        wrong.append('it did not do its work')
    if len(result.err.splitlines()) != 1 or why not in result.err:
        wrong.append('expected one line with "%s"' % why)
    if result.stats['devices'] and (why not in str(result.stats['account_only']) or result.stats['evictions']):
        wrong.append('%s' % result.stats)
    return [text + '\n' + result.text() for text in wrong]


def seen_then_unseen():
    """A first plugin is managed; after the second, which is not, nothing leaves any more."""
    result = runner.run(way('plugin'), ['local', plugin, 'deepbind', again], dict(OPTIONS, DEEPBIND='keep'))
    wrong = result.unclean()
    if result.status or result.err.count('memory is accounted and nothing is moved') != 1:
        wrong.append('expected its work and one line')
    elif not result.stats['evictions']:
        wrong.append('the first one was not managed')
    return [text + '\n' + result.text() for text in wrong]


def of_nvidia():
    """A plugin that is called like a library of NVIDIA's: what it allocates finds its place, and stays there."""
    with tempfile.TemporaryDirectory(prefix='ebbtide-test-', dir='/var/tmp') as folder:
        named = shutil.copy(plugin, os.path.join(folder, 'libcublas.so.99'))
        result = runner.run(way('plugin'), ['local', named], OPTIONS)
    wrong = result.unclean()
    if result.status or 'kept' not in result.out.split() or result.stats['evictions'] or not result.stats['devices'][0]['peak_bytes']:
        wrong.append('expected its work, accounted, and nothing moved')
    return [text + '\n' + result.text() for text in wrong]


RUNTIMES = 'preload_allocate_runtime.so'  # in front of the runtime's own functions
plugin, again = way('plugin_work.so'), way('plugin_again.so')
runner.tap([
    ('static runtime', lambda: run('static')),
    ('shared runtime', lambda: run('shared')),
    ('shared runtime of 12', lambda: run('shared_12')),
    ('shared runtime, per-thread default stream', lambda: run('per_thread')),
    ('entries that a shared runtime hands out', lambda: run('entries')),
    ('entries that a static runtime hands out', lambda: run('entries_static')),
    ('entries that another preload stands in front of', lambda: run(
        'entries', library='%s:%s' % (way('preload_recorder.so'), runner.LIBRARY), env={'HANDED': '/dev/null'})),
    ('a runtime whose file was renamed', lambda: run('renamed')),
    ('a runtime in a library of another name', lambda: run('other_name')),
    ('a library that forwards to the runtime', lambda: run('forwarded')),
    ('a program that exports its static runtime', lambda: run('exported')),
    ('a plugin with a runtime of its own', lambda: run('plugin', 'local', way('plugin_other.so'))),
    ('plugins, each with a runtime of its own', lambda: run('plugin', *[
        word for name in ('other', 'runtime', 'renamed') for word in ('local', way('plugin_%s.so' % name))])),
    ('a driver whose file was renamed', lambda: run('driver_renamed')),
    ('a driver in a library of another name', lambda: run('driver_other')),
    ('linked to the driver', lambda: run('linked')),
    ('dlopen and dlsym', lambda: run('dlsym')),
    ('dlclose and dlopen again', lambda: run('closing')),
    ('a plugin opened with RTLD_LOCAL', lambda: run('plugin', 'local', plugin)),
    ('a plugin opened with RTLD_DEEPBIND', lambda: run('plugin', 'deepbind', plugin)),
    ('RTLD_DEEPBIND kept: said at the end', lambda: unseen('RTLD_DEEPBIND', 'deepbind', plugin)),
    ('RTLD_DEEPBIND kept: accounted only', lambda: unseen('RTLD_DEEPBIND', 'deepbind', plugin, 'local', again)),
    ('RTLD_DEEPBIND kept, later: nothing leaves any more', seen_then_unseen),
    ('another preload that answers dlsym itself, after', lambda: run(
        'dlsym', library='%s:%s' % (runner.LIBRARY, way('preload_dlsym.so')))),
    ('another preload that answers dlsym itself, before: said at the end', lambda: unseen(
        'another library answers dlsym', name='dlsym', library='%s:%s' % (way('preload_dlsym.so'), runner.LIBRARY))),
    ('the same in a program linked to the driver: accounted only', lambda: unseen(
        'another library answers dlsym', name='linked', library='%s:%s' % (way('preload_dlsym.so'), runner.LIBRARY))),
    ("memory of NVIDIA's own libraries is never moved", of_nvidia),
    ('python with ctypes', lambda: python(os.path.join(SOURCES, 'by_ctypes.py'))),
    ('python with an extension module', extension),
    ('another preload before', lambda: with_other(True)),
    ('another preload after', lambda: with_other(False, passes=False)),
    ("another preload before, of the runtime's functions", lambda: with_other(True, 'shared', RUNTIMES)),
    ("another preload after, of the runtime's functions", lambda: with_other(False, 'shared', RUNTIMES)),
    ("another preload before, of a renamed runtime's functions", lambda: with_other(True, 'other_name', RUNTIMES)),
    ("another preload after, of a renamed runtime's functions", lambda: with_other(False, 'other_name', RUNTIMES)),
    ('LD_AUDIT', lambda: run('linked', env={'LD_AUDIT': way('audit.so')})),
    ('LD_AUDIT and dlsym', lambda: run('dlsym', env={'LD_AUDIT': way('audit.so')})),
    ('fork before CUDA: both are managed', lambda: run('children', 'fork early', managed=2)),
    ('fork while threads use CUDA: the child gets what the driver gives it', lambda: run('children', 'fork late')),
    ('fork and exec: managed afresh', lambda: run('children', 'exec', way('linked'), managed=2)),
    ('vfork and exec: managed afresh', lambda: run('children', 'vfork', way('linked'), managed=2)),
    ('posix_spawn: managed afresh', lambda: run('children', 'spawn', way('linked'), managed=2)),
    ('a privileged program ignores the environment', secure),
    ('a program that never touches CUDA', quiet),
] + [('%s during a move' % how, lambda h=how: leave(h)) for how in ('exit', 'return', 'quick_exit', '_exit')])
