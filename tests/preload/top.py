# SPDX-License-Identifier: Apache-2.0
"""top.py - `ebbtide top`: the list as text and as JSON, and the screen with its keys, on a terminal of 80 columns."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import live
import runner

ROW = re.compile(r'^ *(\d+) \[[#. ]{8}\] +[\d.]+[BKMGT]?( +([\d.]+[BKMGT]?|off)){5} +\d+% +(\d+|>1k) (\((ended|killed)\) )?(\S.*)$')
COLUMNS = ['PID', 'DEVICE', 'USED', 'OF', 'HOST', 'DISK', 'OUT/s', 'IN/s', 'WAIT', 'REF', 'COMMAND']


def top(world, *arguments, **env):
    return subprocess.run([live.COMMAND, 'top', '--live-dir', world.pages, *arguments], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, **env))


def busy(world):
    """Two programs that run, and one that was killed; returns them."""
    programs = [world.start(live.TRAINING), world.start(live.TRAINING, EBBTIDE_DEVICE_BUDGET='off'), world.start(live.TRAINING)]
    deadline = time.monotonic() + 60
    while len(world.names()) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    programs[2].kill()
    programs[2].communicate()
    for running in programs[:2]:
        running.send_signal(signal.SIGSTOP)  # it runs, and is there until we have looked
    return programs


def end(programs):
    for program in programs:
        program.kill()
        program.communicate()


def aligned():
    """All lines end where their columns do, none is wider than 80, and who has gone is there if asked for."""
    with live.World() as world:
        programs = busy(world)
        wrong = []
        for arguments, count in (([], 2), (['--all'], 3), (['--filter', 'nobody'], 0), (['--filter', 'training'], 2)):
            lines = top(world, '--once', *arguments).stdout.splitlines()
            if len(lines) != 2 + count or lines[1].split() != COLUMNS or not lines[0].startswith('ebbtide top  '):
                wrong += ['%s:' % arguments] + lines
            ends = [lines[1].index(word) + len(word) for word in COLUMNS[2:10]]
            for line in lines[2:]:
                if not ROW.match(line) or len(line) > 80 or any(line[at - 1] == ' ' or line[at] != ' ' for at in ends):
                    wrong.append(line)
        end(programs)
        return wrong


def documented():
    """The README has what it prints."""
    with open(os.path.join(os.path.dirname(__file__), '..', '..', 'README.md')) as file:
        block = re.search(r'\$ build/shim/ebbtide top --once\n((    .*\n)+)', file.read())[1]
    lines = [line[4:] for line in block.splitlines()]
    wrong = [line for line in lines[2:] if not ROW.match(line)]
    head = re.match(r'ebbtide top  \d\d:\d\d:\d\d  3 processes  device memory held: \d+M  by device$', lines[0])
    return wrong if head and lines[1].split() == COLUMNS and len(lines) == 5 else lines


def as_json():
    with live.World() as world:
        programs = busy(world)
        sheet = json.loads(top(world, '--json', '--all').stdout)
        found = {entry['figures']['pid']: entry['state'] for entry in sheet['processes']}
        wanted = {program.pid: 'runs' for program in programs[:2]} | {programs[2].pid: 'killed'}
        end(programs)
        return [] if found == wanted and sheet['version'] == 1 else ['%s' % found]


class Terminal:
    """A terminal that top runs on; after each key it draws all of the screen again (^L), and not the difference alone."""

    def __init__(self, world, **env):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update({'TERM': 'xterm-256color', 'LD_LIBRARY_PATH': ''}, **env)
            os.execv(live.COMMAND, [live.COMMAND, 'top', '--all', '--live-dir', world.pages])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 80, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.all = self.seen = ''

    def expect(self, text, deadline_s=30):
        deadline = time.monotonic() + deadline_s
        while text not in self.seen and time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    new = os.read(self.fd, 65536).decode(errors='replace')
                except OSError:
                    break
                self.seen += new
                self.all += new
        return text in self.seen

    def press(self, key):
        self.seen = ''
        os.write(self.fd, key.encode())
        if key != 'q':
            time.sleep(0.1)  # an escape is a key of its own only if nothing follows
            os.write(self.fd, b'\x0c')

    def status(self):
        self.expect('\0', 3)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def keys():
    """Sorted, opened, closed, filtered and left; the terminal is given back."""
    with live.World() as world:
        programs = busy(world)
        screen, steps = Terminal(world), []
        for key, expected in ((None, 'COMMAND'), ('h', 'by host'), ('m', 'by moved'), ('w', 'by waited'), ('p', 'by pid'), ('\n', 'could move'),
                              ('\x1b', 'COMMAND'), ('/', 'filter: '), ('zz', 'nobody uses'), ('\n', 'filter  a all')):
            if key:
                screen.press(key)
            steps.append((key, screen.expect(expected)))
        screen.press('q')
        status = screen.status()
        end(programs)
        restored = '\x1b[?1049l' in screen.all
        return [] if status == 0 and restored and all(seen for _, seen in steps) else ['%s %s %s' % (status, restored, steps)]


def colours():
    """There are some, but not with NO_COLOR."""
    wrong = []
    for env, wanted in (({}, True), ({'NO_COLOR': '1'}, False)):
        with live.World() as world:
            programs = busy(world)
            screen = Terminal(world, **env)
            seen = screen.expect('COMMAND') and screen.expect('q quit')
            screen.press('q')
            screen.status()
            end(programs)
            if not seen or bool(re.search(r'\x1b\[3[1-3]m', screen.all)) != wanted:
                wrong.append('%s: %r' % (env, screen.all[-400:]))
    return wrong


def refused():
    with live.World() as world:
        wrong = []
        for arguments, text in (([], 'wants a terminal'), (['--what'], "does not take '--what'"), (['1'], "does not take '1'")):
            done = top(world, *arguments)
            if done.returncode != 125 or text not in done.stderr or done.stderr.count('\n') != 1:
                wrong.append(done.stderr)
        empty = top(world, '--once')
        return wrong + ([] if empty.returncode == 0 and len(empty.stdout.splitlines()) == 2 else [empty.stdout])


runner.tap([
    ('the list is aligned in 80 columns', aligned),
    ('the README shows it as it is', documented),
    ('programs can read it', as_json),
    ('keys sort, open, filter and leave', keys),
    ('colours are not forced on anybody', colours),
    ('what it does not take is refused', refused),
])
