# SPDX-License-Identifier: Apache-2.0
"""hashcat_work.py ROW cpu|cuda - what word has a digest, by hashcat; its last line is the digest and the word.

Before that, hashcat finds the word of a digest that comes with it, and does nothing else if it does not.
"""
import hashlib
import itertools
import os
import string
import sys

ROW, DEVICE = sys.argv[1:]
DATA = os.path.join(os.environ['PYTHONPATH'], 'usr', 'share', 'hashcat')
WORDS = os.path.join(DATA, 'words')


def masked():
    return map(''.join, itertools.product(string.ascii_lowercase, repeat=4))


def listed():
    with open(WORDS, encoding='ascii') as file:
        yield from map(str.rstrip, file)


# row: its words, how they are digested, which of them is looked for; the same in hashcat's words.
ROWS = {'mask': (masked, hashlib.md5, 'zbad', ['-m', '0', '-a', '3'], '?l?l?l?l'),
        'words': (listed, hashlib.sha256, f'word{99902 ** 2}', ['-m', '1400', '-a', '0'], WORDS)}
words, method, wanted, kind, source = ROWS[ROW]
digest = method(wanted.encode()).hexdigest()

if DEVICE == 'cpu':
    print(f'{digest}:{next(word for word in words() if method(word.encode()).hexdigest() == digest)}')
else:
    os.execv(os.path.join(DATA, 'hashcat'),
             ['hashcat', '--quiet', '--potfile-disable', '--backend-ignore-opencl', '--force', '--kernel-accel', '32',
              '--kernel-loops', '4', '--kernel-threads', '64', *kind, digest, source])
