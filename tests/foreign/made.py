# SPDX-License-Identifier: Apache-2.0
"""made.py - what is made of what was downloaded when a program is installed: by a compiler, or where it looks for its parts."""
import glob
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
# PTX alone, which the simulated GPU needs, of the architecture that nvcc takes when it is not told another, and packed so that
# the library can read it.
NVCC = ['nvcc', '-w', '-std=c++17', '-shared', '-Xcompiler', '-fPIC', '-cudart=shared', '--compress-mode=speed', '-gencode',
        'arch=compute_75,code=compute_75']

THRUST = ('usr/share/doc/libthrust-dev/examples',
          ['bounding_box', 'expand', 'histogram', 'mode', 'remove_points2d', 'run_length_encoding', 'scan_by_key',
           'set_operations', 'sort', 'stream_compaction', 'sum_rows', 'summary_statistics', 'weld_vertices', 'word_count'])
CUB = ('usr/share/doc/libcub-dev/examples/device',
       ['example_device_radix_sort', 'example_device_sort_find_non_trivial_runs', 'example_device_partition_flagged',
        'example_device_select_if', 'example_device_select_unique', 'example_device_scan', 'example_device_reduce'])


class Failed(Exception):
    """Why it cannot be made here."""


def one_source(folder, examples, arguments, call):
    """One source with a function `examples` that calls the mains of many, so that headers are read once. Each has a namespace
    of its own, so what they include comes first."""
    where, names = examples
    texts = [open(os.path.join(folder, where, f'{name}.cu'), encoding='utf-8').read() for name in names]
    headers = sorted({line.strip() for text in texts for line in re.findall(r'^\s*#\s*include\s.*', text, re.MULTILINE)})
    spaces = [f'namespace {name}_example\n{{\n#include "{name}.cu"\n}}' for name in names]
    calls = [f'    {name}_example::example{call};' for name in names]
    return '\n'.join([*headers, '#define main example', *spaces, '#undef main', f'extern "C" void examples{arguments}', '{',
                      *calls, '}\n'])


def compile_shared(output, source, options, limit_s):
    try:
        ran = subprocess.run([*NVCC, *options, '-o', output, source], capture_output=True, text=True, timeout=limit_s,
                             check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f'nvcc did not make {os.path.basename(output)} in {limit_s} s') from late
    if ran.returncode:
        raise Failed(next((line for line in ran.stderr.splitlines() if 'error' in line), 'nvcc failed'))


def thrust(folder, limit_s):
    """libthrust.so and, by its back end for the processor, libthrust_cpu.so; libcub.so."""
    tests = os.path.join(folder, CUB[0], '..', '..', 'test')
    os.makedirs(tests)
    shutil.copy(os.path.join(HERE, 'cub_test_util.h'), os.path.join(tests, 'test_util.h'))
    processor = ['-x', 'c++', '-DTHRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP']
    for name, examples, arguments, call, options in [
            ('libthrust', THRUST, '(void)', '()', []), ('libthrust_cpu', THRUST, '(void)', '()', processor),
            ('libcub', CUB, '(int count, char **words)', '(count, words)', [])]:
        source = os.path.join(folder, f'{name}.cu')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(one_source(folder, examples, arguments, call))
        compile_shared(os.path.join(folder, f'{name}.so'), source,
                       [f'-I{folder}/usr/include', f'-I{os.path.join(folder, examples[0])}', *options], limit_s)


def hashcat(folder, _limit_s):
    """The program in the folder of its data, where it looks for them if it is not /usr/bin's, and a list of words."""
    data = os.path.join(folder, 'usr', 'share', 'hashcat')
    shutil.copy(os.path.join(folder, 'usr', 'bin', 'hashcat'), data)
    with open(os.path.join(data, 'words'), 'w', encoding='ascii') as file:
        file.writelines(f'word{number * number}\n' for number in range(100000))
    compiler, = glob.glob(os.path.join(folder, 'nvidia', '*', 'lib', 'libnvrtc.so.*'))
    os.symlink(os.path.basename(compiler), os.path.join(os.path.dirname(compiler), 'libnvrtc.so'))


def rmm(folder, limit_s):
    """librmm_work.so, of our own source and their headers, all of which are in their package."""
    headers = os.path.join(folder, 'librmm', 'include')
    compile_shared(os.path.join(folder, 'librmm_work.so'), os.path.join(HERE, 'rmm_work.cu'),
                   [f'-I{headers}', f'-I{headers}/rapids/libcudacxx', f'-I{headers}/rapids', '-DSPDLOG_FMT_EXTERNAL',
                    '-DFMT_HEADER_ONLY=1', '-DLIBCUDACXX_ENABLE_EXPERIMENTAL_MEMORY_RESOURCE'], limit_s)
