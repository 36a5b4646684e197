# SPDX-License-Identifier: Apache-2.0
"""cpp.py - programs of C++: `new` throws where it is refused, and who replaces it is asked; see cpp/forms.h.

The library stands in front of malloc and leaves the operators to the program and its C++ library. Every program runs
without the library, with it, and with it switched off, and does the same in all three.
"""
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile

import runner

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cpp')
FOLDER = os.path.join(runner.BUILD, 'tests', 'preload', 'cpp')
BUDGET = 256 << 20
BEYOND = 1 << 50  # what no machine has
OVER = 512 << 20  # what this budget has not
NOTHROW = ('nothrow',)


def path(name):
    return os.path.join(FOLDER, 'cpp_' + name)


def refusals(out):
    """Do all forms that throw say so, and those that do not return NULL?"""
    lines = [line.split(': ') for line in out.splitlines() if ': ' in line and 'new' in line]
    return len(lines) >= 10 and all(what == ('nothing' if 'nothrow' in form else 'refused') for form, what in lines)


def same(program, *arguments):
    plain = runner.run(program, list(arguments))
    wrong = [] if plain.status == 0 and plain.out else ['without the library: ' + plain.text()]
    for options in ({'HOST_BUDGET': BUDGET}, {}, {'DISABLE': 1}):
        result = runner.run(program, list(arguments), options)
        if (result.status, result.out, result.err) != (plain.status, plain.out, plain.err):
            wrong.append('%s: %s, without the library %s' % (options, result.text(), plain.text()))
    return wrong


def refused(program, *arguments):
    """The budget has no room: what a program is told without the library when the machine has none."""
    result = runner.run(program, list(arguments), {'HOST_BUDGET': BUDGET})
    return [] if result.status == 0 and refusals(result.out) else [result.text()]


def both(program, before=(), after=()):
    """Given, refused by the machine, refused by the budget."""
    wrong = same(program, *before, '1000', *after) + same(program, *before, str(BEYOND), *after)
    return wrong + refused(program, *before, str(OVER), *after)


def built(compiler, sources, target, *arguments):
    """Compile what meson cannot, for want of headers or of another C++ library. False: neither can this machine."""
    if not shutil.which(compiler[0]):
        return False
    words = [*compiler, '-O1', '-std=c++17', '-o', target, *(os.path.join(HERE, source) for source in sources), *arguments]
    return subprocess.run(words, capture_output=True).returncode == 0


def with_libcxx(name, sources, *arguments, plugin=False):
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, name)
        shared = ('-shared', '-fPIC') if plugin else ()
        if not built(['clang++', '-stdlib=libc++'], sources, target, *shared, *arguments):
            return runner.SKIPPED
        return both(path('opens'), after=(target,)) if plugin else both(target)


def python():
    """An extension module in C++, imported as every one is."""
    script = ('import sys\nsys.path.insert(0, %r)\nimport extension\nprint(extension.hold(1000))\n'
              'try:\n    print(extension.hold(int(sys.argv[1])))\nexcept MemoryError:\n    print("MemoryError")\n')
    with tempfile.TemporaryDirectory() as folder:
        if not built(shlex.split(os.environ.get('CXX', 'c++')), ['extension.cpp'], os.path.join(folder, 'extension.so'), '-shared', '-fPIC',
                     '-I' + sysconfig.get_paths()['include']):
            return runner.SKIPPED
        run = [sys.executable, '-c', script % folder]
        over = runner.run(run[0], [*run[1:], str(OVER)], {'HOST_BUDGET': BUDGET})
        right = (over.status, over.out) == (0, '1000\nMemoryError\n')
        return same(run[0], *run[1:], str(BEYOND)) + ([] if right else [over.text()])


opens = path('opens')
plugin, static, replaced = (path(name + '.so') for name in ('plugin', 'plugin_static', 'plugin_replaced'))
runner.tap([
    ('a program in which new is refused', lambda: both(path('plain'))),
    ('a plugin that a program of C opens for itself', lambda: both(opens, after=(plugin,))),
    ('a plugin with a C++ library of its own', lambda: both(opens, after=(static,))),
    ('plugins with two C++ libraries in one process', lambda: both(opens, after=(static, plugin))),
    ('a program that replaces new and delete in part', lambda: both(path('replaced'))),
    ('the same, linked to the static C++ library', lambda: both(path('replaced_static'))),
    ('a library that replaces them for its program', lambda: both(path('replaced_by_library'))),
    ('a plugin that replaces them for itself', lambda: both(opens, after=(replaced,))),
    ('a program that mixes new with the malloc of an allocator it brings along', lambda: same(path('mixed'))),
    ('an extension module of Python', python),
    ('a program with libc++', lambda: with_libcxx('plain', ['main.cpp', 'forms.cpp'])),
    ('a program with libc++ that replaces them', lambda: with_libcxx('replaced', ['main.cpp', 'forms.cpp', 'replace.cpp'], '-DREPLACED')),
    ('a plugin with libc++', lambda: with_libcxx('plugin.so', ['forms.cpp'], plugin=True)),
])
