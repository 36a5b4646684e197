# SPDX-License-Identifier: Apache-2.0
"""starts.py - programs start and end with the library, over and over, without a failure and without a word."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import runner

TIMES = 1000 if runner.LONG else 10
CUDA = os.path.join(runner.BUILD, 'tests', 'preload', 'load_ways', 'way_')
PROGRAMS = {
    'python3': [sys.executable, '-c', 'import ctypes, threading'],
    'bash': [shutil.which('bash') or 'bash', '-c', 'true | /bin/true; x=$(/bin/true)'],
    'a program linked to the driver': [CUDA + 'linked'],
    'a program with the shared runtime': [CUDA + 'shared'],
}


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_')) or k == 'SIMGPU_CACHE'}
    return dict(env, LD_PRELOAD=runner.LIBRARY, LD_LIBRARY_PATH=runner.SIMGPU, EBBTIDE_DEVICE_BUDGET='32M', **more)


def check(command):
    env = environment()
    for i in range(TIMES):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        if done.returncode or done.stderr:
            return ['start %d: status %d\n%s' % (i, done.returncode, done.stderr)]
    return []


def unread(command, **settings):
    """Nobody reads standard error, and the signal of that would end the program. Python's own programs begin without it."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, env=environment(**settings), stdout=subprocess.DEVNULL, stderr=writer, timeout=60)
    os.close(writer)
    return ['status %d' % done.returncode] if done.returncode else []


def odd_command_line():
    """Statistics are JSON in UTF-8, whatever a program is called with."""
    odd = b'\xff \xc3 \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 "\\ \x01\n'
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'stats.json')
        for tail in (b'', b'x' * 400 + b'\xc3\xa4' * 100, b'x' * 401 + b'\xc3\xa4' * 100):
            subprocess.run([shutil.which('true').encode(), odd, 'ä€𝄞'.encode(), tail], env=environment(EBBTIDE_STATS_JSON=path), timeout=60)
            with open(path, encoding='utf-8') as file:
                command = json.load(file)['command']
            os.unlink(path)
            if 'true ? ? ?? ??? ???? "\\ ?? ä€𝄞 ' not in command or tail[:300].decode() not in command:
                return [command]
    return []


def log_into_a_pipe():
    """Nobody is waited for who might read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'pipe')
        os.mkfifo(path)
        done = subprocess.run([shutil.which('true')], env=environment(EBBTIDE_LOG_FILE=path), capture_output=True, text=True, timeout=60)
    right = done.returncode == 0 and done.stderr.count('\n') == 1 and 'EBBTIDE_LOG_FILE' in done.stderr
    return [] if right else ['%s' % done]


def forged_line():
    """A value with the end of a line in it is still one line."""
    done = subprocess.run([shutil.which('true')], env=environment(EBBTIDE_POLICY='x\nebbtide[1]: error: forged'), capture_output=True,
                          text=True, timeout=60)
    return [] if done.stderr.count('\n') == 1 else ['%s' % done]


def other_folder():
    """Relative paths are of the folder that the program was started in."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, '-c', 'import os; os.chdir("/proc"); bytes(1 << 30)'], cwd=folder, timeout=60, stderr=subprocess.DEVNULL,
                       env=environment(EBBTIDE_STATS_JSON='stats', EBBTIDE_LOG_FILE='log', EBBTIDE_HOST_BUDGET='256M'))
        left = sorted(os.listdir(folder))
    return [] if left == ['log', 'stats'] else ['%s' % left]


REFUSED = [sys.executable, '-c', 'import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n'
           'try:\n    bytes(1 << 30)\nexcept MemoryError:\n    pass']

runner.tap([('%d starts of %s' % (TIMES, name), lambda c=command: check(c)) for name, command in PROGRAMS.items()] + [
    ('a refusal that nobody reads', lambda: unread(REFUSED, EBBTIDE_HOST_BUDGET='256M')),
    ('statistics that nobody reads', lambda: unread([CUDA + 'linked'], EBBTIDE_STATS='1')),
    ('statistics of an odd command line', odd_command_line),
    ('a log into a pipe', log_into_a_pipe),
    ('a forged line', forged_line),
    ('paths, and a program that goes elsewhere', other_folder),
])
