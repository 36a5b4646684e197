# SPDX-License-Identifier: Apache-2.0
"""recording.py - EBBTIDE_RECORD: what programs ask of a device is written as a trace, the same whatever room they have."""
import array
import os
import subprocess
import tempfile

import runner

MAKE, FREE, CALL = range(3)


def record(program, folder, budget, **options):
    """The words that a run has written, and what is wrong with it."""
    path = os.path.join(folder, '%s-%s' % (program, budget))
    result = runner.run(program, options=dict(options, DEVICE_BUDGET=budget, RECORD=path))
    words = array.array('i')
    if os.path.exists(path):
        with open(path, 'rb') as file:
            words.frombytes(file.read())
    return words, [result.text()] if result.status or result.err else []


def faults(words):
    """What of the words is no trace of a program that gave everything back."""
    live, calls, at = {}, 0, 0
    while at < len(words):
        kind = words[at]
        if kind == MAKE:
            live[words[at + 1]] = words[at + 2]
            at += 3
        elif kind == FREE:
            if not live.pop(words[at + 1], None):
                return ['word %d: what is freed does not live' % at]
            at += 2
        elif kind == CALL:
            used = words[at + 5:at + 5 + 4 * words[at + 4]:4]
            if not used or not all(block in live for block in used) or len(set(used)) != len(used):
                return ['word %d: a call with %s' % (at, list(used))]
            calls += 1
            at += 5 + 4 * words[at + 4]
        else:
            return ['word %d: %d' % (at, kind)]
    return [] if calls > 20 and not live else ['%d calls, %d blocks left' % (calls, len(live))]


def same(program, small):
    with tempfile.TemporaryDirectory() as folder:
        whole, wrong = record(program, folder, '1G')
        part, wrong_too = record(program, folder, small, POLICY='lookahead')
    return wrong + wrong_too + faults(whole) + (['another trace with less room'] if whole != part else [])


def hashjoin():
    """It asks how much room there is, and goes by that."""
    with tempfile.TemporaryDirectory() as folder:
        words, wrong = record('hashjoin', folder, '40M')
    return wrong + faults(words)


def killed():
    """A process that ends without a word leaves a trace all the same, once the timer has looked."""
    program = ('import ctypes, os, time; cuda = ctypes.CDLL("libcuda.so.1"); at = ctypes.c_uint64(); cuda.cuInit(0)\n'
               'context = ctypes.c_void_p(); cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0)\n'
               'cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(4 << 20))\n'
               'path = os.environ["EBBTIDE_RECORD"]\n'
               'while not os.path.getsize(path): time.sleep(.01)\n'
               'os.kill(os.getpid(), 9)\n')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'trace')
        env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_'))}
        done = subprocess.run(['python3', '-c', program], timeout=60, capture_output=True, text=True,
                              env=dict(env, LD_PRELOAD=runner.LIBRARY, LD_LIBRARY_PATH=runner.SIMGPU, EBBTIDE_RECORD=path))
        with open(path, 'rb') as file:
            words = array.array('i', file.read())
    return [] if done.returncode == -9 and list(words) == [MAKE, 0, 2] else ['%d %s %s' % (done.returncode, list(words), done.stderr)]


def refused():
    result = runner.run('hashjoin', options={'DEVICE_BUDGET': '1G', 'RECORD': '/proc/none/trace'})
    wrong = [] if not result.status and result.hash else [result.text()]
    return wrong + ([] if result.err.count('EBBTIDE_RECORD') == result.err.count('\n') == 1 else [result.err])


runner.tap([('standardize is recorded alike at a budget below its need', lambda: same('standardize', '40M')),
            ('training is recorded alike at a budget below its need', lambda: same('training', '80M')),
            ('hashjoin under pressure leaves a trace of blocks that live', hashjoin),
            ('a process that is killed leaves what there was', killed),
            ('a path that cannot be written is one line, and the result is the same', refused)])
