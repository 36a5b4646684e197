# SPDX-License-Identifier: Apache-2.0
"""heap.py - the heap at every moment of a process's life, and beside every other malloc; see malloc/lifetimes.c.

Every program runs with and without the library, and does the same in both.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

import runner

FOLDER = os.path.join(runner.BUILD, 'tests', 'preload', 'malloc')
OURS = re.search(r' \d+ malloc$', subprocess.run(['readelf', '-W', '--dyn-syms', runner.LIBRARY], capture_output=True, text=True,
                                                 check=True).stdout, re.MULTILINE)


def path(name):
    return os.path.join(FOLDER, 'heap_' + name)


SANITIZED = ('address', 'shared', 'thread')
OPTIONAL = ('beside_jemalloc', *SANITIZED)  # built where there is what they need


def command(program, arguments, before):
    """To run a program, maybe by another one; None where one of them cannot be."""
    checker = [shutil.which(before[0]), *before[1:]] if before else []
    if runner.EMULATOR and (before or program in SANITIZED):
        return None
    there = checker[0] if before else os.path.exists(path(program)) or program not in OPTIONAL
    return [*checker, path(program), *arguments] if there else None


def same(program, *arguments, counted=None, before=(), library=runner.LIBRARY):
    """What a program does with the library is what it does without, and its heap is counted or left alone."""
    words = command(program, arguments, before)
    if not words:
        return runner.SKIPPED
    plain = runner.run(words[0], words[1:])
    result = runner.run(words[0], words[1:], {'HOST_BUDGET': 256 << 20}, library=library)
    wrong = []
    if (plain.status, plain.out, plain.err) != (result.status, result.out, result.err) or not plain.out:
        wrong += ['without the library: ' + plain.text(), 'with it: ' + result.text()]
    if OURS and counted is not None and result.stats and (result.stats['host']['peak_bytes'] > 0) != counted:
        wrong.append('%s' % result.stats['host'])
    return wrong


def bare(program, *arguments, **more):
    """The same with nothing but LD_PRELOAD set, and settings of a few: whoever asks for statistics starts otherwise."""
    words = command(program, arguments, ())
    if not words or runner.EMULATOR:
        return runner.SKIPPED
    env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'LD_'))}
    library = more.pop('library', runner.LIBRARY)
    plain, ours = (subprocess.run(words, env=dict(env, **added), capture_output=True, text=True, timeout=60)
                   for added in ({}, {'LD_PRELOAD': library, **more}))
    right = plain.stdout and (plain.returncode, plain.stdout, plain.stderr) == (ours.returncode, ours.stdout, ours.stderr)
    return [] if right else ['%s' % plain, '%s' % ours]


def fork_over():
    """A fork handler allocates over the budget, and registered memory goes to disk for it."""
    words = command('forks', ['over'], ())
    result = runner.run(words[0], words[1:], {'HOST_BUDGET': 64 << 20})
    if 'registered host memory stays' in result.err:
        return runner.SKIPPED
    right = (result.status, result.out, result.err) == (0, 'kept\n', '') and \
        (not OURS or result.stats['host']['peak_bytes'] <= 64 << 20 and result.stats['moves']['host_to_disk']['bytes'] >= 30 << 20)
    return [] if right else [result.text()]


def checked(program, *before):
    """A checker of memory finds what there is to be found, and nothing in a sound program."""
    wrong = same(program, before=before)
    if wrong:
        return wrong
    words = command(program, ['x'], before)
    result = runner.run(words[0], words[1:], {})
    return [] if result.status else ['nothing was found: ' + result.text()]


def beside_other():
    """Another malloc is preloaded as well, and would be next."""
    other = next(iter(glob.glob('/usr/lib/*/libtcmalloc_minimal.so.4')), None)
    library = '%s:%s' % (runner.LIBRARY, other)
    return same('lifetimes', 'threads', counted=True, library=library) if other and not runner.EMULATOR else runner.SKIPPED


def python(case):
    """A case that needs an interpreter, which is there for this machine alone."""
    return (lambda: runner.SKIPPED) if runner.EMULATOR else case


def extensions():
    """Every extension module of Python in one process, beside a library with much static thread-local storage: there is as
    much room for it as without us."""
    script = ('import ctypes, importlib, os, sysconfig\n'
              'ctypes.CDLL(%r)\n'
              'folder = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")\n'
              'for name in sorted(os.listdir(folder)):\n'
              '    try:\n'
              '        importlib.import_module(name.split(".")[0]); print(name)\n'
              '    except ImportError as error:\n'
              '        print(name, error)\n')
    arguments = ['-c', script % static_tls]
    plain, ours = runner.run(sys.executable, arguments), runner.run(sys.executable, arguments, {})
    right = plain.out.count('\n') > 20 and plain.status == 0 and (ours.status, ours.out) == (0, plain.out)
    return [] if right else [plain.text(), ours.text()]


def refused_in_silence():
    """No machine has so much: the program hears it as it would without us, and nobody else hears it."""
    script = ('try:\n    bytes(1 << 60)\nexcept MemoryError:\n    print("refused")')
    plain, ours = runner.run(sys.executable, ['-c', script]), runner.run(sys.executable, ['-c', script], {'HOST_BUDGET': '1G'})
    return [] if (ours.out, ours.err) == (plain.out, '') and plain.out == 'refused\n' else [plain.text(), ours.text()]


def refused_again_and_again():
    """The first, the second, the fourth …, and each says what there is."""
    script = ('for i in range(20):\n    try:\n        bytes(300 << 20)\n    except MemoryError:\n        print(i)')
    ours = runner.run(sys.executable, ['-c', script], {'HOST_BUDGET': 256 << 20})
    said = re.findall(r'warn: host: allocation of \S+ MiB refused, budget 256 MiB has \S+ MiB free; holds \S+ MiB heap; '
                      r'raise with EBBTIDE_HOST_BUDGET\n', ours.err)
    right = len(said) == 5 and ours.err.count('\n') == 5 and ours.out.count('\n') == 20 and ours.stats['host']['refused'] == 20
    return [] if right or not OURS else [ours.text()]


wrapper = '%s:%s' % (path('wrapper.so'), runner.LIBRARY)
plugin, static_tls = path('plugin.so'), path('static_tls.so')
runner.tap([
    ('before and in constructors', lambda: same('lifetimes', 'early', counted=True)),
    ('in the loader and inside dlsym, from threads', lambda: same('lifetimes', 'loader', plugin, counted=True)),
    ('in destructors of thread-specific data, exact to the byte', lambda: same('lifetimes', 'threads', counted=True)),
    ('in exit handlers, while threads go on', lambda: same('lifetimes', 'exit', counted=True)),
    ('in handlers of quick_exit', lambda: same('lifetimes', 'quick')),
    ('in fork handlers and in the child of a threaded program', lambda: same('lifetimes', 'fork', counted=True)),
    ('in fork handlers that are older than the first allocation', lambda: same('forks', counted=True)),
    ('in fork handlers, over the budget, when registered memory must leave', fork_over),
    ('pointers that libc gave out', lambda: same('lifetimes', 'foreign', counted=True)),
    ('a program with a malloc of its own', lambda: same('own_malloc', counted=False)),
    ('a program linked to libjemalloc', lambda: same('beside_jemalloc', counted=True)),
    ('with settings that are meant for a jemalloc of its own',
     lambda: bare('lifetimes', 'early', JE_MALLOC_CONF='abort_conf:true,none:1,stats_print:true')),
    ('behind a library that is in front of malloc', lambda: bare('lifetimes', 'early', library=wrapper)),
    ('behind it, and disabled', lambda: bare('lifetimes', 'early', library=wrapper, EBBTIDE_DISABLE='1')),
    ('under ThreadSanitizer', lambda: bare('thread')),
    ('before an AddressSanitizer that is a library', lambda: bare('shared', ASAN_OPTIONS='verify_asan_link_order=0')),
    ('in a sandbox that was closed before', lambda: bare('sandbox', 'sealed')),
    ('in a sandbox, with a budget', lambda: bare('sandbox', 'sealed', EBBTIDE_HOST_BUDGET='1G')),
    ('on a stack of 8 KiB', lambda: bare('sandbox', 'stack', '8192')),
    ('on a stack of 6 KiB', lambda: bare('sandbox', 'stack', '6144')),
    ('beside libtcmalloc', beside_other),
    ('under AddressSanitizer', lambda: checked('address')),
    ('under Valgrind', lambda: checked('faulty', 'valgrind', '-q', '--leak-check=full', '--error-exitcode=9')),
    ('a plugin with static thread-local storage', lambda: same('lifetimes', 'tls', static_tls)),
    ('python with every extension module', python(extensions)),
    ('a refusal is said once, and rarely again', python(refused_again_and_again)),
    ('more than any machine has is refused in silence', python(refused_in_silence)),
])
