# SPDX-License-Identifier: Apache-2.0
"""killed.py - kill -9 in the middle of a run leaves nothing in the spill folder."""
import os
import random
import subprocess
import time

import runner

TIMES = 50
OPTIONS = {'DEVICE_BUDGET': '16M', 'HOST_BUDGET': '16M', 'DISK': 'always', 'PERIOD_MS': '1', 'COLD_MS': '0'}


def start(spill):
    env = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_')) or k == 'SIMGPU_CACHE'}
    env.update({'EBBTIDE_' + k: v for k, v in OPTIONS.items()}, LD_PRELOAD=runner.LIBRARY, EBBTIDE_SPILL_DIR=spill,
               LD_LIBRARY_PATH=runner.SIMGPU)
    return subprocess.Popen([os.path.join(runner.PROGRAMS, 'standardize')] + runner.SMALL['standardize'], env=env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_written(process):
    """Until the program has written to disk, so that there would be something to leave."""
    while process.poll() is None:
        try:
            with open('/proc/%d/io' % process.pid) as io:
                if any(line.startswith('write_bytes:') and int(line.split()[1]) > 0 for line in io):
                    return True
        except OSError:
            return False
    return False


def check(seed):
    spill = runner.spill_folder()
    process = start(spill)
    try:
        written = wait_written(process)
        deadline = time.monotonic() + random.Random(seed).uniform(0, 0.3)
        while time.monotonic() < deadline and process.poll() is None:
            pass
        process.kill()
        process.wait()
        left = os.listdir(spill)
        return (['left behind: %s' % left] if left else []) + ([] if written else ['it never wrote to disk'])
    finally:
        runner.remove(spill)


runner.tap([('killed at random moment %d, nothing is left' % i, lambda i=i: check(i)) for i in range(TIMES)])
