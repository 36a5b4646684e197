# SPDX-License-Identifier: Apache-2.0
"""program.py - programs that nobody here wrote: what of each is installed, how it is run, what is wrong with a run."""
import array
import collections
import glob
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

import made

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get('EBB_BUILD', 'build'))
LIBRARY = os.path.join(BUILD, 'shim', 'libebbtide.so')
SIMGPU = os.path.join(BUILD, 'tests', 'simgpu')
MIB = 1 << 20
DEADLINE_S = 1200
LIBRARIES = [('nvidia', '*', 'lib'), ('usr', 'lib', '*-linux-gnu')]

# name: what pip installs, and before it what is unpacked of Debian's packages, in which time and folder (the program is the
# first of both), and what is made of them; what runs. `brief`: what scripts/test runs, in less than a minute. `runtime`: the
# file of NVIDIA's runtime in what was installed, which ours stands in for. `source`: whether what it is made from is unpacked,
# too, for the tests in it. `compiler`: what of NVIDIA's writes its PTX; such a program is run by its name alone. `libraries`:
# whether it finds those that were installed beside it by LD_LIBRARY_PATH. `needs`: headers of Python's and commands without
# which it cannot work. `left_out`: pieces of work with settings that they cannot be right with by the meaning of these, each as
# (row, share, residency, disk), None for any, and those that are refused; README.md says why. `variables`: what those of its
# modules take, where it unloads them at its end, before the library tells of them. `in_place`: pieces of work of which one block
# is most, so that it may begin in host memory, and nothing move. `tolerance`: how far the numbers of a piece of work may be from
# the processor's, of those above 1 as a part of them; without it every byte is the same.
TORCH = {'limit_s': 1800, 'folder': 'pytorch', 'brief': [], 'runtime': 'nvidia/cu13/lib/libcudart.so.13'}
# 8.6: what it writes for 9.0 are the instructions of that architecture alone.
TRITON = {'SIMGPU_COMPUTE_CAPABILITY': '8.6', 'TRITON_PTXAS_PATH': os.path.join(HERE, 'ptxas'), 'TRITON_LIBCUDA_PATH': SIMGPU,
          'TRITON_CACHE_DIR': os.path.join(BUILD, 'foreign', 'triton-cache'), 'TRITON_DEFAULT_FP_FUSION': '1'}
PROGRAMS = {
    'taichi': {'packages': ['taichi==1.7.4', 'numpy==2.4.6'], 'limit_s': 120, 'folder': 'taichi',
               'rows': ['fields', 'stencil', 'sparse'], 'brief': ['fields'], 'runtime': None, 'environment': {}, 'needs': [],
               'left_out': [(None, None, None, 'always'), (None, None, 'strict', None)]},
    # What is drawn at an edge may be a sample further, or a level of a tree.
    'examples': {'packages': ['taichi==1.7.4', 'numpy==2.4.6'], 'limit_s': 120, 'folder': 'taichi',
                 'rows': ['fem99', 'taichi_logo', 'waterwave', 'fem128', 'taichi_sparse'], 'brief': [], 'runtime': None,
                 'environment': {}, 'needs': [], 'left_out': [(None, None, None, 'always'), (None, None, 'strict', None)],
                 'tolerance': {'fem99': 1e-4, 'taichi_logo': 1 / 16, 'waterwave': 1e-4, 'fem128': 1e-4, 'taichi_sparse': 1 / 4}},
    'pytorch': {**TORCH, 'packages': ['torch==2.15.0', 'triton==3.9.0', 'numpy==2.4.6'], 'environment': {}, 'needs': [],
                'rows': ['tensors', 'streams', 'churn', 'graph', 'async', 'segments'],
                'left_out': [('segments', 50, 'strict', None), ('segments', 35, 'strict', None), ('graph', 50, None, None),
                             ('graph', 35, None, None), ('streams', None, 'strict', 'auto')]},
    'triton': {**TORCH, 'packages': ['triton==3.9.0', 'torch==2.15.0', 'numpy==2.4.6'], 'needs': ['Python.h'],
               'environment': TRITON,
               'rows': ['add', 'reductions', 'products'], 'left_out': []},
    'inductor': {**TORCH, 'packages': ['torch==2.15.0', 'triton==3.9.0', 'numpy==2.4.6'], 'needs': ['Python.h'],
                 'environment': {**TRITON, 'TORCHINDUCTOR_CACHE_DIR': os.path.join(BUILD, 'foreign', 'inductor-cache')},
                 'rows': ['single', 'mixed'], 'left_out': [], 'tolerance': {'single': 1e-4, 'mixed': 1e-3}},
    'tinygrad': {'packages': ['tinygrad==0.14.0', 'numpy==2.4.6'], 'limit_s': 300, 'folder': 'tinygrad', 'brief': [],
                 'runtime': None, 'source': True, 'needs': ['clang'],
                 'environment': {'CACHEDB': os.path.join(BUILD, 'foreign', 'tinygrad-cache.db')},
                 'rows': ['tests', 'steps'],
                 'left_out': [('tests', 50, 'strict', None), ('tests', 35, 'strict', None)]},
    'drjit': {'packages': ['drjit==1.5.0', 'numpy==2.4.6'], 'limit_s': 300, 'folder': 'drjit', 'brief': [], 'runtime': None,
              'needs': [], 'environment': {'DRJIT_LIBCUDA_PATH': os.path.join(SIMGPU, 'libcuda.so.1')}, 'rows': ['traced'],
              'left_out': []},
    'numba': {'packages': ['numba-cuda==0.30.4', 'numpy==2.4.6'], 'limit_s': 300, 'folder': 'numba', 'brief': [],
              'runtime': None, 'compiler': 'NVVM', 'needs': ['nvcc'], 'environment': {}, 'rows': ['arrays'], 'left_out': []},
    'thrust': {'packages': [], 'debian': ['libthrust-dev=1.17.2-2', 'libcub-dev=1.17.2-2'], 'made': made.thrust,
               'limit_s': 1800, 'folder': 'thrust', 'brief': [], 'runtime': None, 'compiler': 'nvcc', 'environment': {},
               'needs': ['nvcc', 'apt-get'], 'rows': ['thrust', 'cub'], 'left_out': [], 'variables': 2 * MIB},
    # The last of its series that is headers alone.
    'rmm': {'packages': ['librmm-cu12==24.12.1', 'numpy==2.4.6'], 'made': made.rmm, 'limit_s': 1800, 'folder': 'rmm', 'brief': [],
            'runtime': None, 'compiler': 'nvcc', 'needs': ['nvcc'], 'environment': {}, 'variables': 2 * MIB,
            'rows': ['cuda', 'pool', 'arena', 'binning', 'async', 'managed'], 'in_place': ['arena'],
            'left_out': [('pool', 50, 'strict', None), ('pool', 35, 'strict', None), ('arena', 50, 'strict', None),
                         ('arena', 35, 'strict', None), ('binning', 35, 'strict', None)]},
    # It fits itself to the memory that it is told of, so it is told of the device's, and how large its work is.
    'hashcat': {'packages': ['nvidia-cuda-nvrtc-cu12==12.4.127'],
                'debian': ['hashcat=6.2.6+ds1-1+b1', 'hashcat-data=6.2.6+ds1-1', 'libminizip1=1.1-8+deb12u1',
                           'libxxhash0=0.8.1-1'],
                'made': made.hashcat, 'limit_s': 300, 'folder': 'hashcat', 'brief': [], 'runtime': None, 'libraries': True,
                'compiler': 'NVRTC', 'needs': ['apt-get'], 'rows': ['mask', 'words'], 'variables': 2 * MIB,
                'left_out': [(None, 50, 'strict', None), (None, 35, 'strict', None)],
                'environment': {'EBBTIDE_MEMINFO': 'real', 'SIMGPU_COMPUTE_CAPABILITY': '8.6'}},
    # The last of its series that has the runtime as a library of its own.
    'cupy': {'packages': ['cupy-cuda12x==12.3.0', 'numpy==1.26.4', 'nvidia-cuda-nvrtc-cu12==12.4.127',
                          'nvidia-cublas-cu12==12.4.5.8', 'nvidia-cufft-cu12==11.2.1.3', 'nvidia-curand-cu12==10.3.5.147',
                          'nvidia-cusparse-cu12==12.3.1.170', 'nvidia-cusolver-cu12==11.6.1.9', 'nvidia-nvjitlink-cu12==12.4.127',
                          'nvidia-cuda-runtime-cu12==12.4.127'],
             'limit_s': 1800, 'folder': 'cupy', 'brief': [], 'runtime': 'nvidia/cuda_runtime/lib/libcudart.so.12',
             'libraries': True, 'compiler': 'NVRTC', 'needs': [], 'rows': ['vectors'], 'left_out': [],
             'environment': {'CUPY_COMPILE_WITH_PTX': '1', 'CUPY_CACHE_DIR': os.path.join(BUILD, 'foreign', 'cupy-cache')}},
}

# checksum: None if the program failed; numbers: its results as floats, of programs with a tolerance; report: what the simulated
# GPU saw; statistics: the library's. All three may be None.
Ran = collections.namedtuple('Ran', 'checksum printed numbers report statistics')


class Skip(Exception):
    """Why a program cannot be had here."""


def complaint(printed):
    """What pip says is wrong, in a line."""
    lines = printed.strip().splitlines() or ['pip failed']
    return 'PyPI cannot be reached' if any('connection broken' in line for line in lines) else lines[-1].removeprefix('ERROR: ')


def pip(known, *arguments):
    """Downloads by pip, or says why not."""
    try:
        ran = subprocess.run([sys.executable, '-m', 'pip', *arguments, '--quiet', '--no-input', '--disable-pip-version-check',
                              '--retries', '1', '--timeout', '15'],
                             capture_output=True, text=True, timeout=known['limit_s'], check=False)
    except subprocess.TimeoutExpired as late:
        raise Skip(f"pip did not have it in {known['limit_s']} s") from late
    if ran.returncode:
        raise Skip(complaint(ran.stderr))


def unpack_source(folder, known):
    """Puts what the first package is made from where Python finds it, behind the package itself."""
    pip(known, 'download', '--no-deps', '--no-binary', ':all:', '--dest', folder, known['packages'][0])
    archive, = glob.glob(os.path.join(folder, '*.tar.gz'))
    with tarfile.open(archive) as opened:
        opened.extractall(folder)
    os.remove(archive)
    whole = archive.removesuffix('.tar.gz')
    for name in os.listdir(whole):
        if not os.path.exists(os.path.join(folder, name)):
            os.rename(os.path.join(whole, name), os.path.join(folder, name))


def unpack_debian(folder, known):
    """Downloads packages of Debian's, which stay uninstalled."""
    os.makedirs(folder, exist_ok=True)
    ran = subprocess.run(['apt-get', 'download', '--quiet', *known['debian']], cwd=folder, capture_output=True, text=True,
                         timeout=known['limit_s'], check=False)
    if ran.returncode:
        raise Skip((ran.stderr.strip().splitlines() or ['apt-get failed'])[-1].removeprefix('E: '))
    for package in glob.glob(os.path.join(folder, '*.deb')):
        subprocess.run(['dpkg-deb', '--extract', package, folder], check=True)
        os.remove(package)


def fill(folder, known):
    """Downloads a program's packages into a folder, and makes of them what has to be made."""
    if known['packages']:
        pip(known, 'install', '--only-binary', ':all:', '--target', folder, *known['packages'])
    if known.get('debian'):
        unpack_debian(folder, known)
    if known.get('source'):
        unpack_source(folder, known)
    if known['runtime']:
        theirs = os.path.join(folder, known['runtime'])
        os.remove(theirs)
        os.symlink(os.path.join(SIMGPU, os.path.basename(theirs)), theirs)
    if known.get('made'):
        try:
            known['made'](folder, known['limit_s'])
        except made.Failed as failure:
            raise Skip(failure) from failure


def packages_of(known):
    return known.get('debian', []) + known['packages']


def install(name):
    """The folder that has the program, which is whole when it is there; downloads once."""
    known = PROGRAMS[name]
    folder, packages = os.path.join(BUILD, 'foreign', known['folder']), ' '.join(sorted(packages_of(known)))
    done = os.path.join(folder, 'installed')
    for needed in known['needs']:
        if not os.path.exists(os.path.join(sysconfig.get_path('include'), needed)) and not shutil.which(needed):
            raise Skip(f'there is no {needed}')
    if os.path.exists(done) and open(done, encoding='utf-8').read() == packages:
        return folder
    fresh = f'{folder}.{os.getpid()}'
    try:
        fill(fresh, known)
        with open(os.path.join(fresh, 'installed'), 'w', encoding='utf-8') as file:
            file.write(packages)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def surroundings(folder, libraries, settings):
    """The environment of a run: nothing of ours or of the machine's GPUs but what is asked for."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(('EBBTIDE_', 'SIMGPU_', 'PYTORCH_', 'TORCH', 'TRITON_')) and key != 'CUDA_VISIBLE_DEVICES'}
    libraries = [path for where in LIBRARIES for path in glob.glob(os.path.join(folder, *where))] if libraries else []
    return {**kept, 'PYTHONPATH': folder, 'LD_LIBRARY_PATH': os.pathsep.join([SIMGPU, *libraries]), 'SIMGPU_MEMORY': '2G',
            'SIMGPU_CACHE': os.environ.get('SIMGPU_CACHE', os.path.join(BUILD, 'kernels')), **settings}


def floats(path):
    """What a file has of numbers in single precision; None without it."""
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as file:
        return array.array('f', file.read())


def run(name, row, device, settings):
    """A piece of work of an installed program, on the device `cpu` or `cuda`."""
    with tempfile.TemporaryDirectory() as folder:
        report, statistics, numbers = (os.path.join(folder, file) for file in ('report', 'statistics', 'numbers'))
        environment = surroundings(install(name), PROGRAMS[name].get('libraries'),
                                   {'SIMGPU_REPORT': report, 'EBBTIDE_STATS_JSON': statistics, 'FOREIGN_NUMBERS': numbers,
                                    **PROGRAMS[name]['environment'], **settings})
        try:
            ran = subprocess.run([sys.executable, os.path.join(HERE, f'{name}_work.py'), row, device], capture_output=True,
                                 text=True, timeout=DEADLINE_S, check=False, env=environment)
        except subprocess.TimeoutExpired:
            return Ran(None, f'it did not end in {DEADLINE_S} s', None, None, None)
        lines = ran.stdout.split()
        read = [json.load(open(path, encoding='utf-8')) if os.path.exists(path) else None for path in (report, statistics)]
        return Ran(lines[-1] if ran.returncode == 0 and lines else None, ran.stdout + ran.stderr, floats(numbers), *read)


def run_under_library(name, row, budget, settings):
    """The same on the device, with the library and a budget of whole MiB."""
    return run(name, row, 'cuda', {'LD_PRELOAD': LIBRARY, 'EBBTIDE_DEVICE_BUDGET': f'{budget // MIB}M', **settings})


def last_line(ran):
    """What a run says of its end: the last error that it names, for some give advice behind it."""
    lines = ran.printed.strip().splitlines()
    errors = [line for line in lines if 'Error' in line]
    return (errors or lines or ['nothing printed'])[-1]


def device_peak(ran):
    return ran.report['devices'][0]['peak_bytes']['device']


def paged_bytes(ran):
    """What of managed memory came to the device, as often as it came."""
    return 2 * MIB * ran.report['devices'][0]['managed']['faulted_pages'] if ran.report else 0


def moved_bytes(ran, alone=None):
    """What the library moved, and of managed memory what came to the device more often than without the library."""
    moved = sum(way['bytes'] for way in ran.statistics['moves'].values()) if ran.statistics else 0
    return moved + (max(0, paged_bytes(ran) - paged_bytes(alone)) if alone else 0)


def is_used_in_place(name, row, ran):
    """Whether memory that may begin in host memory, and stay there, was used there."""
    return row in PROGRAMS[name].get('in_place', []) and bool(ran.statistics and ran.statistics['zero_copy_launches'])


def compare(name, row, alone, reference):
    """What is wrong with a run on the device without the library, or '', after that on the processor."""
    tolerance = PROGRAMS[name].get('tolerance', {}).get(row)
    if not alone.checksum or not reference.checksum:
        return f'failed: {last_line(reference if alone.checksum else alone)}'
    if tolerance is None:
        return '' if alone.checksum == reference.checksum else 'not the same'
    if not reference.numbers or len(alone.numbers) != len(reference.numbers):
        return 'not as many numbers'
    apart = [abs(one - other) / max(1, abs(other)) for one, other in zip(alone.numbers, reference.numbers)]
    far = [distance for distance in apart if not distance <= tolerance]  # such as one that is no number
    return f'{len(far)} numbers of {len(apart)} are further away than {tolerance:g}, such as {far[0]:.2g}' if far else ''


def judge(ran, expected, budget, has_moved, variables=0):
    """What is wrong with a run under the library, or ''; `has_moved`: what has to move did."""
    if not ran.checksum or not ran.report or not ran.statistics:
        return f'failed: {last_line(ran)}'
    if ran.checksum != expected:
        return 'the result differs'
    if ran.report['hazards'] or ran.report['sticky_errors']:
        return f"{ran.report['hazards']} hazards, {ran.report['sticky_errors']} sticky errors"
    # Variables of modules are the driver's own affair: nobody asks for them, and no budget can refuse them.
    if device_peak(ran) > budget + max(variables, ran.statistics['devices'][0]['untracked_bytes']):
        return f'{device_peak(ran)} bytes at the peak, {budget} allowed'
    return '' if has_moved else 'nothing moved'
