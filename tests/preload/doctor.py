# SPDX-License-Identifier: Apache-2.0
"""doctor.py - `ebbtide doctor` on the simulated driver, without a driver, and where something is missing."""
import os
import re
import subprocess

import runner

COMMAND = os.path.join(runner.BUILD, 'shim', 'ebbtide')


def doctor(*options, driver=True, **env):
    plain = {k: v for k, v in os.environ.items() if not k.startswith(('EBBTIDE_', 'SIMGPU_', 'LD_')) or k == 'SIMGPU_CACHE'}
    if driver:
        plain['LD_LIBRARY_PATH'] = runner.SIMGPU
    return subprocess.run([COMMAND, 'doctor', *options], env=dict(plain, **env), capture_output=True, text=True, timeout=60)


def expect(done, status, *patterns):
    text = done.stdout + done.stderr
    return [] if done.returncode == status and all(re.search(p, text, re.M) for p in patterns) else [
        'status %d\n%s' % (done.returncode, text)]


def all_live():
    done = doctor('--device-budget', '1G', SIMGPU_DEVICES='2')
    hooks = re.findall(r'^hooks: (\w+) +(\d+) of (\d+) live$', done.stdout, re.M)
    wrong = [h for h in hooks if h[1] != h[2] or h[1] == '0']
    return expect(done, 0, 'driver +13.0$', '^device 1 +budget 1 GiB of 8 GiB', '^verdict +programs are managed') + (
        [] if len(hooks) == 6 and not wrong else ['%s' % hooks])


runner.tap([
    ('every hook is live on the simulated driver', all_live),
    ('without a driver it says so', lambda: expect(doctor(driver=False), 1, '^driver +none', '^host', '^verdict')),
    ('a driver that is too old is named', lambda: expect(doctor(SIMGPU_DRIVER_VERSION='11040'), 0, 'driver +11.4: older')),
    ('a device that cannot map host memory is named', lambda: expect(
        doctor(SIMGPU_HOST_NUMA='0'), 1, '^residency +host memory cannot be mapped', '^verdict +not all works')),
    ('a driver without virtual memory is named', lambda: expect(
        doctor(SIMGPU_VMM='0'), 1, 'no virtual memory management', '^residency +nothing moves', '^verdict +not all works')),
    ('managed memory needs none', lambda: expect(
        doctor('--allocator', 'managed', SIMGPU_VMM='0'), 0, '^residency .* managed memory', '^verdict +programs are managed')),
    ('what shall not move does not have to', lambda: expect(
        doctor('--allocator', 'native'), 0, '^residency +nothing moves', '^verdict +programs are managed')),
    ('a spill folder that cannot be written is named', lambda: expect(
        doctor('--spill-dir', '/nowhere'), 1, '^spill folder +/nowhere: cannot be written')),
    ('a disabled library is named', lambda: expect(doctor('--disable'), 1, '^verdict +not all works')),
    ('it takes options only', lambda: expect(doctor('python3'), 125, 'takes options only')),
])
