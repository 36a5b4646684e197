# SPDX-License-Identifier: Apache-2.0
"""layers.py - check-layers and check-circles find what is planted into a copy of the tree. Output is TAP."""
import contextlib
import importlib.machinery
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import types

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'scripts'))

# A file of the tree, the line that is added to it, and what must be said of that line.
FORBIDDEN = [
    ('shim/base/log.c', '#include "tier/device.h"', 'base may use'),
    ('shim/base/options.h', '#include "ledger/block.h"', 'base may use'),
    ('shim/tier/disk.c', '#include "ledger/limit.h"', 'tier may use'),
    ('shim/ledger/block.c', '#include "engine/gate.h"', 'ledger may use'),
    ('shim/ledger/state.h', '#include "host/host_block.h"', 'ledger may use'),
    ('shim/host/host_fault.c', '#include "engine/core.h"', 'host may use'),
    ('shim/engine/use.c', '#include "heap/heap.h"', 'engine may use'),
    ('shim/engine/gate.h', '#include "cuda/contexts.h"', 'engine may use'),
    ('shim/heap/heap.c', '#include "engine/mover.h"', 'heap may use'),
    ('shim/heap/malloc.c', '#include "hook/hooks.h"', 'heap may use'),
    ('shim/cuda/contexts.c', '#include "ledger/state.h"', 'cuda may use'),
    ('shim/cuda/graph.c', '#include "hook/hooks.h"', 'cuda may use'),
    ('shim/api/api.c', '#include "cuda/device_cuda.h"', 'api may use'),
    ('shim/cli/cli.c', '#include "engine/core.h"', 'cli may use'),
    ('policy/budget.c', '#include "base/log.h"', 'policy may use'),
    ('policy/budget.c', '#include <stdio.h>', 'standard headers and uthash only'),
    ('shim/engine/core.c', '#include <cuda.h>', 'for cuda hook only'),
    ('shim/engine/core.c', '#include "jemalloc/jemalloc.h"', 'for heap only'),
    ('tests/simgpu/planted.h', '#include "ledger/block.h"', 'the simulated GPU does not know the product'),
    ('tests/simgpu/machine/share.h', '#include "driver/sim.h"', 'machine of the simulated GPU may use nothing'),
    ('tests/simgpu/nvml/nvml.h', '#include "device/device.h"', 'nvml of the simulated GPU may use machine'),
    ('tests/simgpu/runtime/runtime.h', '#include "driver/entry.h"', 'runtime of the simulated GPU may use nothing'),
]

# The same, written so that it would be missed by who reads too little.
HIDDEN = [
    ('shim/base/log.c', '#include <tier/device.h>', 'base may use'),
    ('shim/base/log.c', '  #  include "tier/device.h" /* why not */', 'base may use'),
    ('shim/base/log.c', '/* why not */ #include "tier/device.h"', 'base may use'),
    ('shim/base/log.c', '#include "../tier/device.h"', 'base may use'),
    ('shim/base/log.c', '#import "tier/device.h"', 'base may use'),
    ('shim/base/log.c', '#include THE_DEVICE', 'an include names its file'),
    ('shim/base/log.c', '#include "log.h"', 'with its room'),
    ('policy/budget.c', '#include "queues.h"', 'with its room'),
]

ALLOWED = [
    ('shim/base/log.c', '#include "ebbtide.h"'),
    ('shim/heap/heap.c', '#include "engine/core.h"'),
    ('shim/cuda/graph.c', '#include "ledger/block.h"'),
    ('shim/cuda/graph.c', '#include <cuda.h>'),
    ('shim/api/api.c', '#include "cuda/contexts.h"'),
    ('shim/hook/hooks.c', '#include "cuda/device_cuda.h"'),
    ('shim/engine/core.c', '/* as in #include "heap/heap.h" */'),
]

count = 0


def case(name, good, output=''):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        print(*('# ' + line for line in output.splitlines()), sep='\n')


def load(name):
    """A script as a module: a process for each of many calls would take seconds."""
    loader = importlib.machinery.SourceFileLoader(name.replace('-', '_'), os.path.join(ROOT, 'scripts', name))
    module = types.ModuleType(loader.name)
    module.__file__ = loader.path
    loader.exec_module(module)
    return module


def run(script, tree, *arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = scripts[script].main(['--tree', tree, *arguments])
    return status, output.getvalue()


@contextlib.contextmanager
def added(tree, file, text):
    """The number of the line that stands at the end of a file, which need not be there, for as long as this lasts."""
    path = os.path.join(tree, file)
    before = None
    if os.path.exists(path):
        with open(path, encoding='utf-8') as stream:
            before = stream.read()
    with open(path, 'w', encoding='utf-8') as stream:
        stream.write((before or '') + text + '\n')
    yield (before or '').count('\n') + 1
    os.unlink(path)
    if before is not None:
        with open(path, 'w', encoding='utf-8') as stream:
            stream.write(before)


def check_includes(tree):
    for part in ('shim', 'policy', 'tests/simgpu'):
        shutil.copytree(os.path.join(ROOT, part), os.path.join(tree, part),
                        ignore=shutil.ignore_patterns('*.c') if part == 'tests/simgpu' else None)
    status, output = run('check-layers', tree)
    case('the tree keeps to the table', status == 0, output)
    for file, text, rule in FORBIDDEN + HIDDEN:
        with added(tree, file, text) as line:
            status, output = run('check-layers', tree)
        said = [said for said in output.splitlines() if said.startswith(f'{file}:{line}: ') and rule in said]
        case(f'{text} is not taken from {file}', status == 1 and len(said) == 1 and '1 broken' in output, output)
    with contextlib.ExitStack() as all_of_them:
        for file, text in ALLOWED:
            all_of_them.enter_context(added(tree, file, text))
        status, output = run('check-layers', tree)
    case('what the table allows is allowed', status == 0, output)
    os.makedirs(os.path.join(tree, 'shim/attic'))
    for file in ('shim/attic/old.c', 'shim/loose.c'):
        open(os.path.join(tree, file), 'w', encoding='utf-8').close()
        status, output = run('check-layers', tree)
        case(f'{file} lies in no room', status == 1 and f'{file}:1: this file: lies in no room' in output, output)
        os.unlink(os.path.join(tree, file))


def build(tree, files):
    """Compiles files of this content into a new tree, and writes what a build folder says of them."""
    shutil.rmtree(tree, ignore_errors=True)
    objects = os.path.join(tree, 'build')
    os.makedirs(os.path.join(objects, 'shim'))
    for file, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(tree, file)), exist_ok=True)
        with open(os.path.join(tree, file), 'w', encoding='utf-8') as stream:
            stream.write(text)
    compiled = [file for file in files if file.endswith('.c')]
    subprocess.run(['cc', '-fvisibility=hidden', '-w', '-c', *(f'../../{file}' for file in compiled)],
                   cwd=os.path.join(objects, 'shim'), check=True)
    with open(os.path.join(objects, 'compile_commands.json'), 'w', encoding='utf-8') as stream:
        json.dump([{'directory': objects, 'file': f'../{file}', 'output': f'shim/{os.path.basename(file)[:-2]}.o'}
                   for file in compiled], stream)
    return objects


def calling(own, *others):
    """A file that defines a function, and declares by hand and calls others."""
    declared = ''.join(f'void {name}(void);' for name in others)
    return f'{declared} void {own}(void) {{' + ''.join(f'{name}();' for name in others) + '}\n'


def check_symbols(tree):
    objects = build(tree, {
        'shim/engine/core.h': 'void core_enter(void);\n',
        'shim/engine/core.c': calling('core_enter', 'gate_enter'),
        'shim/engine/gate.c': calling('gate_enter', 'cuInit'),
        'shim/heap/heap.c': calling('heap_take', 'core_enter', 'gate_enter', 'malloc'),
        'shim/heap/malloc.c': '__attribute__((visibility("default"))) void malloc(void) {}\n',
        'shim/base/log.c': calling('log_line', 'malloc'),
        'policy/budget.c': calling('budget_read', 'log_line'),
    })
    status, output = run('check-layers', tree, objects)
    for name, said in (
            ('a call of what a room may not use is found, though declared by hand',
             'shim/heap/heap.c: gate_enter: of engine/gate.c; heap may use'),
            ('policy calls nothing', 'policy/budget.c: log_line: of base/log.c; policy may use'),
            ('policy is pure', 'policy/budget.c: log_line: policy is pure'),
            ('the core calls no driver', 'shim/engine/gate.c: cuInit: for cuda hook only')):
        case(name, status == 1 and said in output, output)
    case('what core.h declares and what is exported may be called', '4 broken' in output, output)


def check_circles(tree):
    def ring(room, size):
        return {f'shim/{room}/{room}_{n}.c': calling(f'{room}_{n}', f'{room}_{(n + 1) % size}') for n in range(size)}

    status, output = run('check-circles', tree, build(tree, ring('engine', 18) | ring('host', 2)))
    case('eighteen files of one room may form a circle',
         status == 0 and '18 files in engine' in output and '2 files in host' in output, output)
    status, output = run('check-circles', tree, '--explain', '4', build(tree, ring('engine', 19)))
    case('nineteen files may not', status == 1 and 'more than 18 files' in output, output)
    case('one call is named that holds them together', 'without these 1 uses no circle' in output, output)
    crossing = {'shim/ledger/block.c': calling('block_find', 'core_find'),
                'shim/engine/core.c': calling('core_find', 'block_find')}
    status, output = run('check-circles', tree, build(tree, crossing))
    case('no circle crosses a room', status == 1 and 'crosses rooms' in output, output)
    chain = {'shim/ledger/block.c': calling('block_find'), 'shim/engine/core.c': calling('core_find', 'block_find')}
    status, output = run('check-circles', tree, build(tree, chain))
    case('a chain is no circle', status == 0 and 'files in' not in output, output)


scripts = {name: load(name) for name in ('check-layers', 'check-circles')}
with tempfile.TemporaryDirectory() as folder:
    folder = os.path.realpath(folder)
    check_includes(os.path.join(folder, 'tree'))
    check_symbols(os.path.join(folder, 'symbols'))
    check_circles(os.path.join(folder, 'circles'))
print(f'1..{count}')
