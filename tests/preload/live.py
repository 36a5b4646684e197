# SPDX-License-Identifier: Apache-2.0
"""live.py - the page of a process, and `ebbtide stats` that shows it: of one that runs, ends, is killed, forks."""
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

import runner

COMMAND = os.path.join(runner.BUILD, 'shim', 'ebbtide')
TIMES = 20
GRANULE = 2 << 20
UNIT = 64 << 10  # of the simulated device's account
OPTIONS = {'DEVICE_BUDGET': '24M', 'HOST_BUDGET': '1G'}


class World:
    """A folder for pages, and a device whose account anybody can read, also when its only user is dead."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix='simgpu-live-', dir='/dev/shm')
        self.pages = os.path.join(self.folder.name, 'pages')
        self.shared = os.path.join(self.folder.name, 'device')
        return self

    def __exit__(self, *args):
        self.folder.cleanup()

    def start(self, command, **env):
        plain = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_')) or k == 'SIMGPU_CACHE'}
        plain.update({'EBBTIDE_' + k: v for k, v in OPTIONS.items()}, LD_PRELOAD=runner.LIBRARY, LD_LIBRARY_PATH=runner.SIMGPU,
                     EBBTIDE_LIVE_DIR=self.pages, SIMGPU_SHARED=self.shared)
        plain.update(env)
        return subprocess.Popen(command, env=plain, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def names(self):
        return sorted(n for n in os.listdir(self.pages) if n.endswith('.page')) if os.path.isdir(self.pages) else []

    def wait_page(self, process):
        while process.poll() is None and not self.names():
            time.sleep(0.001)
        return self.names()

    def stats(self, *arguments):
        return subprocess.run([COMMAND, 'stats', '--live-dir', self.pages, *arguments], capture_output=True, text=True, timeout=60)

    def device_bytes(self):
        """What the simulated device has given out: the total of its ledger's word."""
        users = 128 * (8 + 16 * 2 * 16)
        with open(self.shared, 'rb') as file:
            return (struct.unpack_from('<Q', file.read(), 24 + users)[0] >> 38) * UNIT


def program(name, *arguments):
    return [os.path.join(runner.PROGRAMS, name)] + (list(arguments) or runner.SMALL[name])


TRAINING = program('training', '--iterations', '200', '--layer-bytes', '2M')


def killed(seed, number):
    """What the page says is held, and what the device has given out, differ by one move at most."""
    with World() as world:
        process = world.start(TRAINING)
        if not world.wait_page(process):
            return ['no page: %s' % (process.communicate(),)]
        deadline = time.monotonic() + random.Random(seed).uniform(0, 1.5)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(number)
        process.communicate()
        done = world.stats('--json', str(process.pid))
        if done.returncode:
            return [done.stderr]
        device = json.loads(done.stdout)['devices'][0]
        held = device['used_bytes'] + device['idle_bytes']
        return [] if abs(world.device_bytes() - held) <= GRANULE else ['page %d, device %d' % (held, world.device_bytes())]


def table_of(text):
    """The lines of a table without its figures: what has the same form has the same."""
    return [re.sub(r' +', ' ', re.sub(r'[\d.]+( [KMG]iB| B)?', '#', line)).strip() for line in text.splitlines()]


def ended():
    """The table of `stats` is that which the program wrote at its end, line for line."""
    with World() as world:
        process = world.start(program('training'), EBBTIDE_STATS='1')
        _, err = process.communicate()
        done = world.stats(str(process.pid))
        said, table = done.stdout.split('\n', 1)
        by_file = world.stats(os.path.join(world.pages, world.names()[0]))
        wrong = [] if said.endswith('training --iterations 20 --layer-bytes 2M: has ended') else [said]
        if table_of(table) != table_of(err) or len(table.splitlines()) < 8 or by_file.stdout != done.stdout:
            wrong += ['at the end:', err, 'from the page:', table]
        return wrong


def json_of_both():
    """The figures are those of the statistics file; entries past the hooks alone are not in the page."""
    with World() as world:
        path = os.path.join(world.folder.name, 'stats.json')
        process = world.start(program('training'), EBBTIDE_STATS_JSON=path)
        process.communicate()
        with open(path) as file:
            written = json.load(file)
        read = json.loads(world.stats('--json', str(process.pid)).stdout)
        for sheet in (written, read):
            for varies in ('duration_ns', 'unhooked', 'host'):
                del sheet[varies]
        return [] if written == read else ['%s\n%s' % (written, read)]


def runs():
    """While it runs the page says so, and moves are seen to grow."""
    with World() as world:
        process = world.start(TRAINING)
        world.wait_page(process)
        counts = []
        while len(counts) < 3 and process.poll() is None:
            done = world.stats(str(process.pid))
            moves = re.search(r'device_to_host +(\d+) moves', done.stdout)
            if ': runs\n' in done.stdout and moves and (not counts or int(moves[1]) > counts[-1]):
                counts.append(int(moves[1]))
        process.kill()
        process.communicate()
        return [] if len(counts) == 3 else ['%s' % counts]


def cut_off():
    """Somebody cuts the file off: the program goes on, right and silent."""
    with World() as world:
        process = world.start(program('training'))
        for name in world.wait_page(process):
            os.truncate(os.path.join(world.pages, name), 0)
        out, err = process.communicate()
        whole = subprocess.run(program('training'), env=dict(os.environ, LD_LIBRARY_PATH=runner.SIMGPU), capture_output=True, text=True)
        read = world.stats(str(process.pid))
        wrong = [] if process.returncode == 0 and not err and out.split()[:2] == whole.stdout.split()[:2] else [
            'status %s\n%s%s' % (process.returncode, out, err)]
        return wrong + ([] if read.returncode == 125 and 'is no page' in read.stderr else [read.stdout + read.stderr])


def no_place():
    """Nowhere to write: no word, no page."""
    with World() as world:
        process = world.start(program('hashjoin'), EBBTIDE_LIVE_DIR='/proc/nowhere')
        out, err = process.communicate()
        return [] if process.returncode == 0 and not err else [out + err]


def modes():
    """The user reads it alone, or with the group; or there is none."""
    wrong = []
    for word, mode in (('own', 0o600), ('group', 0o640), ('off', None)):
        with World() as world:
            world.start(program('training'), EBBTIDE_LIVE=word).communicate()
            found = [os.stat(os.path.join(world.pages, name)).st_mode & 0o7777 for name in world.names()]
            wrong += [] if found == [mode] * (mode is not None) else ['%s: %s' % (word, found)]
    return wrong


def others():
    """What never uses a device has no page: a shell, its children, a program that stops at cuInit."""
    with World() as world:
        init = 'import ctypes; ctypes.CDLL("libcuda.so.1").cuInit(0)'
        for command in (['sh', '-c', 'ls / >/dev/null; true | cat'], [sys.executable, '-c', init]):
            world.start(command).communicate()
        return ['%s' % world.names()] if world.names() else []


FORKS = """
import ctypes, os, sys, time
cuda = ctypes.CDLL('libcuda.so.1')
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
def use():
    assert cuda.cuInit(0) == 0 and cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxSetCurrent(context) == 0 and cuda.cuMemAlloc_v2(ctypes.byref(memory), 4 << 20) == 0
if sys.argv[1] == 'before':
    child = os.fork()
    use()
elif sys.argv[1] == 'after':
    use()
    child = os.fork()
elif sys.argv[1] == 'closed':
    use()
    os.closerange(3, 1024)
    child = 1
else:
    use()
    os.execv('/bin/sh', ['sh', '-c', 'echo ready; read x'])
if child:
    print('ready', flush=True)
sys.stdin.read()
"""


def forks(when, expected):
    """Who has a page, and what it says while all of them still run."""
    with World() as world:
        plain = dict(os.environ, LD_PRELOAD=runner.LIBRARY, LD_LIBRARY_PATH=runner.SIMGPU, EBBTIDE_LIVE_DIR=world.pages)
        process = subprocess.Popen([sys.executable, '-c', FORKS, when], env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        deadline = time.monotonic() + 20
        while len(world.names()) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.01)
        said = [re.search(': ([a-z, ]+)\n', world.stats(name.split('-')[0]).stdout)[1] for name in world.names()]
        process.stdin.close()
        process.wait()
        return [] if said == expected else ['%s' % said]


def doctor():
    """It says where pages lie, and leaves none."""
    with World() as world:
        env = dict(os.environ, LD_LIBRARY_PATH=runner.SIMGPU)
        good = subprocess.run([COMMAND, 'doctor', '--live-dir', world.pages], env=env, capture_output=True, text=True)
        bad = subprocess.run([COMMAND, 'doctor', '--live-dir', '/proc/nowhere'], env=env, capture_output=True, text=True)
        wrong = [] if re.search('^live page +%s$' % world.pages, good.stdout, re.M) and not world.names() else [good.stdout]
        return wrong + ([] if re.search('^live page +none: /proc/nowhere', bad.stdout, re.M) else [bad.stdout])


def refusals():
    """What cannot be shown is said in one line."""
    with World() as world:
        path = os.path.join(world.folder.name, 'old')
        world.start(program('training')).communicate()
        with open(os.path.join(world.pages, world.names()[0]), 'rb') as file:
            page = file.read()
        wrong = []
        for text, content in (('is no page', b''), ('is no page', b'x' * 65536), ('another version', page[:8] + b'\xff\0\0\0' + page[12:]),
                              ('cut short', page[:1000]), ('is no page', page[:100] + b'?' + page[101:])):
            with open(path, 'wb') as file:
                file.write(content)
            done = world.stats(path)
            if done.returncode != 125 or done.stdout or done.stderr.count('\n') != 1 or text not in done.stderr:
                wrong.append('%s: %s%s' % (text, done.stdout, done.stderr))
        for arguments in (['4194304000'], ['1'], ['/nowhere'], [], ['1', '2'], ['--what'], [world.pages]):
            done = world.stats(*arguments)
            if done.returncode != 125 or done.stderr.count('\n') != 1:
                wrong.append('%s: %s%s' % (arguments, done.stdout, done.stderr))
        return wrong


if __name__ == '__main__':
    runner.tap([('killed at random moment %d, its last figures are there' % i,
                 lambda i=i: killed(i, signal.SIGTERM if i % 2 else signal.SIGKILL)) for i in range(TIMES)] + [
        ('what has ended is shown as it said itself', ended),
        ('programs read the same figures', json_of_both),
        ('what runs is shown as it is', runs),
        ('a page that is cut off is nobody\'s end', cut_off),
        ('without a place there is no page and no word', no_place),
        ('who may read it is the user\'s choice', modes),
        ('without a device there is no page', others),
        ('a child that was forked before has its own', lambda: forks('before', ['runs', 'runs'])),
        ('one that was forked after has none', lambda: forks('after', ['runs'])),
        ('closed descriptors are not missed', lambda: forks('closed', ['runs'])),
        ('another program in its place is no longer it', lambda: forks('exec', ['was killed, or has become another program'])),
        ('the doctor knows where pages lie', doctor),
        ('what is no page is refused', refusals),
    ])
