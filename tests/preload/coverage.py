# SPDX-License-Identifier: Apache-2.0
"""coverage.py - every function of the driver is a row of the hook table or has a reason not to be one.

The names: what NVIDIA's runtime asks for (cudart-13.0-entry-points.tsv), what the driver exports
(libcuda-13.0-symbols.txt), and the runtime's own functions that allocate or hand out entries. Scripts beside the lists
record them again; here they are recorded from the installed toolkit, where there is one, and compared.
"""
import os
import random
import re
import subprocess

import runner
from hook_lists import matches, reasons, rows

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
TOOLKIT = os.environ.get('CUDA_HOME', '/usr/local/cuda')
# What the runtime exports and that must be ours: the call site is known there, and it hands out the driver's entries.
RUNTIME = re.compile(r'cuda(Malloc|HostAlloc|GetDriverEntryPoint)\w*$|cudaFree$')
# A parameter of a function that names device memory.
NAMES_MEMORY = re.compile(r'\bCUdeviceptr\w* \w|\bCUdeviceptr \*(dsts|srcs|dptrs)|CUDA_MEMCPY|CUDA_MEMSET_NODE|CUDA_BATCH_MEM_OP|'
                          r'CUgraphNodeParams|CUstreamBatchMemOpParams|CUDA_RESOURCE_DESC|CUmemDecompressParams|globalAddress')
# What the management library tells of memory, and who uses it.
MANAGEMENT = {'nvmlDeviceGetMemoryInfo' + version for version in ('', '_v2')} | {
    'nvmlDeviceGet%sRunningProcesses%s' % (who, version) for who in ('Compute', 'Graphics', 'MPSCompute')
    for version in ('', '_v2', '_v3')}


def lines(name):
    with open(os.path.join(HERE, name)) as file:
        return [line for line in file.read().splitlines() if line and not line.startswith('#')]


def entries():
    """(symbol, version, takes the per-thread stream) of everything that the simulated driver knows."""
    with open(os.path.join(ROOT, 'tests', 'simgpu', 'driver', 'entries.def')) as file:
        found = re.findall(r'^ENTRY\((\w+), (\d+), \w+, (\w+),', file.read(), re.M)
    return [(symbol, int(version), stream == 'PER_THREAD') for symbol, version, stream in found]


def chosen(known, name, version, flags):
    """The symbol that a request of the runtime's stands for: as tests/simgpu/driver/procaddress.c chooses."""
    fits = [(per_thread, since, symbol) for symbol, since, per_thread in known
            if re.sub(r'(_v[2-9])?(_pt[ds][sz])?$', '', symbol) == name and since <= version and not (per_thread and flags != 2)]
    return max(fits)[2] if fits else name


def asked():
    known = entries()
    return {chosen(known, *(int(word) if word.isdigit() else word for word in line.split('\t')))
            for line in lines('cudart-13.0-entry-points.tsv')}


def simulated():
    """What the simulated runtime asks for, and NVIDIA's does not: it goes the same way."""
    with open(os.path.join(ROOT, 'tests', 'simgpu', 'runtime', 'driver.def')) as file:
        text = file.read()
    wanted = {(name, version, '0') for name, version in re.findall(r'^ENTRY\((\w+), (\d+)\)', text, re.M)}
    for name, legacy, per_thread in re.findall(r'^STREAM_ENTRY\((\w+), (\d+), (\d+),', text, re.M):
        wanted |= {(name, legacy, '0'), (name, per_thread, '2')}
    known = {tuple(line.split('\t')) for line in lines('cudart-13.0-entry-points.tsv')}
    return ['%s, version %s, flags %s' % entry for entry in sorted(wanted - known)] or ([] if len(wanted) > 50 else ['%s' % wanted])


def runtime_functions():
    with open(os.path.join(ROOT, 'tests', 'simgpu', 'runtime', 'exports.def')) as file:
        return {name for name in re.findall(r'^EXPORT\((\w+)\)', file.read(), re.M) if RUNTIME.match(name)}


driver = set(lines('libcuda-13.0-symbols.txt')) | asked() | {'cuGetProcAddress_v2_ptsz'}
names = driver | runtime_functions() | MANAGEMENT
reasoned = {name for name in names if any(matches(pattern, name) for pattern in reasons)}


def missing(table):
    return ['%s is no row and has no reason' % name for name in sorted(names)
            if name not in table and name not in reasoned]


def both():
    return ['%s is a row and has the reason of %s' % (name, pattern) for name in sorted(rows) for pattern in reasons
            if matches(pattern, name)]


def needless():
    """A reason for nothing says something about a driver that does not exist."""
    return ['%s matches nothing' % pattern for pattern in reasons if not any(matches(pattern, name) for name in driver)]


def twice():
    return ['%s has the reasons of %s' % (name, ' and '.join(found)) for name in sorted(driver)
            for found in [[pattern for pattern in reasons if matches(pattern, name)]] if len(found) > 1]


def sensitive(row):
    return [] if missing(rows - {row}) else ['nothing is said when %s is no row' % row]


def unread():
    """What takes a device address, by itself or in a structure, may look at where that is: that it touches no memory, or
    none yet, is no reason to let it pass."""
    header = os.path.join(TOOLKIT, 'include', 'cuda.h')
    if not os.path.exists(header):
        print('# no %s here' % header)
        return []
    text = subprocess.run(['cc', '-E', '-P', '-D__CUDA_API_VERSION_INTERNAL', '-x', 'c', header], capture_output=True,
                          text=True, check=True).stdout
    functions = re.findall(r'CUresult\s+(cu\w+)\s*\(([^;{]*)\)\s*;', text)
    named = {name for name, parameters in functions if NAMES_MEMORY.search(parameters) and 'Get' not in name}
    if not {'cuMemcpyDtoD_v2', 'cuGraphAddMemsetNode', 'cuGraphNodeSetParams'} <= named:
        return ['the header is not understood']
    return ['%s names memory, and %s is no reason' % (name, reason) for name in sorted(named - rows)
            for pattern, reason in reasons.items() if matches(pattern, name) and re.search('touches', reason)]


def recorded(script, argument, name):
    """The list as the script makes it of the installed toolkit; skipped without one."""
    if not all(os.path.exists(path) for path in argument):
        print('# no %s here: %s is taken as it is' % (' '.join(argument), name))
        return []
    process = subprocess.run([os.path.join(HERE, script)] + argument, capture_output=True, text=True, check=True)
    now = [line for line in process.stdout.splitlines() if not line.startswith('#')]
    return ['%s differs: %s' % (name, sorted(set(now) ^ set(lines(name)))[:5])] if now != lines(name) else []


def exported():
    """Every function of the library is a row, or test_cancellation.c walks through it."""
    symbols = subprocess.run(['nm', '-D', '--defined-only', runner.LIBRARY], capture_output=True, text=True, check=True)
    names = {line.split()[2] for line in symbols.stdout.splitlines()}
    with open(os.path.join(HERE, 'cancellation.def')) as file:
        walked = set(re.findall(r'^(?:HEAP|API|APART)\((\w+)', file.read(), re.M))
    return ['%s is cancelled in no test' % name for name in sorted(names - rows - walked)]


def unhooked():
    """What the statistics say after NVIDIA's own runtime has started on the simulated driver."""
    library = os.path.join(TOOLKIT, 'lib64', 'libcudart.so.13')
    if not os.path.exists(library):
        print('# no %s here' % library)
        return []
    code = 'import ctypes; print("hash", ctypes.CDLL("%s").cudaGetDeviceCount(ctypes.byref(ctypes.c_int())))' % library
    result = runner.run('/usr/bin/env', ['python3', '-c', code], {'DEVICE_BUDGET': '16M'})
    if result.stats is None or result.hash is None:
        return [result.text()]
    return ['let pass: %s' % result.stats['unhooked']] if result.stats['unhooked'] else []


def looked_up(code, unlisted, said=None):
    """What a program gets by dlsym from a driver that has more than the lists: echo/."""
    env = {'LD_LIBRARY_PATH': os.path.join(runner.BUILD, 'tests', 'preload', 'echo')}
    code = 'import ctypes; driver = ctypes.CDLL("libcuda.so.1", ctypes.RTLD_GLOBAL); ' + code
    result = runner.run('/usr/bin/env', ['python3', '-c', code], {'DEVICE_BUDGET': '16M'}, env=env)
    if result.stats is None or result.stats['unhooked'] != unlisted or (said or '') not in result.err:
        return ['expected %s and "%s"' % (unlisted, said), result.text(), str(result.stats and result.stats['unhooked'])]
    return [] if said or not result.err else ['expected no word', result.text()]


handed = 'entry = ctypes.c_void_p(); driver.cuGetProcAddress_v2(%r, ctypes.byref(entry), 12000, ctypes.c_uint64(0), None)'
some = random.sample(sorted(rows), len(rows) if runner.LONG else 10)
runner.tap([
    ('every function of the driver is a row or has a reason', lambda: missing(rows)),
    ('no row has a reason not to be one', both),
    ('every reason is for something', needless),
    ('no function has two reasons', twice),
    ('what takes a device address is a row, or has a reason of its own', unread),
    ('every function that is exported is walked with a cancel that is pending', exported),
    ('what the runtime asks for is what was recorded', lambda: recorded('record-entry-points', [
        os.path.join(TOOLKIT, 'include'), os.path.join(TOOLKIT, 'lib64', 'libcudart.so.13')], 'cudart-13.0-entry-points.tsv')),
    ('what the driver exports is what was recorded', lambda: recorded('record-symbols', [
        os.path.join(TOOLKIT, 'lib64', 'stubs', 'libcuda.so')], 'libcuda-13.0-symbols.txt')),
    ("the simulated runtime asks as NVIDIA's does", simulated),
    ("NVIDIA's runtime gets nothing that is neither a row nor has a reason", unhooked),
    ('a look-up by dlsym of what is in no list is noted', lambda: looked_up('driver.cuEchoUnlisted', ['cuEchoUnlisted'])),
    ('so is one without a handle', lambda: looked_up('ctypes.CDLL(None).cuEchoUnlisted', ['cuEchoUnlisted'])),
    ('a row, a reason, and what is not there are not', lambda: looked_up(
        'driver.cuMemAlloc_v2; driver.cuDeviceGetName; hasattr(driver, "cuNotThere"); hasattr(ctypes.CDLL(None), "cuNotThere")', [])),
    ('a newer form of an allocation is doubted as well', lambda: looked_up(
        'driver.cuMemAlloc_v3', ['cuMemAlloc_v3'], 'the driver has a newer form of an entry than this library: cuMemAlloc_v3')),
    ('so is an allocation or a free that the driver hands out and does not export', lambda: looked_up(
        handed % b'cuMemFree', ['cuMemFree'], 'the driver hands out an entry that it does not export: cuMemFree')),
    ('nobody asks after another function that it does not export', lambda: looked_up(handed % b'cuDeviceGetUuid', [])),
] + [('it would be noticed if %s were no row' % row, lambda r=row: sensitive(r)) for row in some])
