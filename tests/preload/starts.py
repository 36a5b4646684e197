# SPDX-License-Identifier: Apache-2.0
"""starts.py - programs start and end with the library, over and over, without a failure and without a word."""
import os
import shutil
import subprocess
import sys

import worlds

TIMES = 1000 if worlds.LONG else 10
CUDA = os.path.join(worlds.BUILD, 'tests', 'preload', 'ways', 'way_')
PROGRAMS = {
    'python3': [sys.executable, '-c', 'import ctypes, threading'],
    'bash': [shutil.which('bash') or 'bash', '-c', 'true | /bin/true; x=$(/bin/true)'],
    'a program linked to the driver': [CUDA + 'linked'],
    'a program with the shared runtime': [CUDA + 'shared'],
}


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_'))}
    return dict(env, LD_PRELOAD=worlds.LIBRARY, LD_LIBRARY_PATH=worlds.SIMGPU, EBBTIDE_DEVICE_BUDGET='32M', **more)


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


REFUSED = [sys.executable, '-c', 'import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n'
           'try:\n    bytes(1 << 30)\nexcept MemoryError:\n    pass']

worlds.tap([('%d starts of %s' % (TIMES, name), lambda c=command: check(c)) for name, command in PROGRAMS.items()] + [
    ('a refusal that nobody reads', lambda: unread(REFUSED, EBBTIDE_HOST_BUDGET='256M')),
    ('statistics that nobody reads', lambda: unread([CUDA + 'linked'], EBBTIDE_STATS='1')),
])
