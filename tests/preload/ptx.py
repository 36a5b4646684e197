# SPDX-License-Identifier: Apache-2.0
"""ptx.py - the kernel of shim/cuda/scan_kernel.ptx, interpreted instruction by instruction, finds what a plain search finds.

An interpreter for the few instructions that the kernel has, one thread after the other: it never runs together, and its
only writes are ones. Where NVIDIA's assembler is installed, it must take the kernel for every GPU.
"""
import operator
import os
import random
import re
import shutil
import subprocess
import tempfile

import runner

KERNEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'shim', 'cuda', 'scan_kernel.ptx')
TARGETS = ('sm_75', 'sm_80', 'sm_86', 'sm_89', 'sm_90', 'sm_100', 'sm_120')
GRANULE = 2 << 20
BASE, GRANULES = 0xb5a00000 + (0x7f12 << 32), 4096  # the upper half changes within the span
COMPARE = {'ge': operator.ge, 'gt': operator.gt, 'eq': operator.eq, 'ne': operator.ne}
COMPUTE = {'add': operator.add, 'sub': operator.sub, 'min': min, 'and': operator.and_, 'shl': operator.lshift,
           'shr': operator.rshift}


class Kernel:
    """The text as a list of (predicate, operation, operands), and where its labels are."""

    def __init__(self, path):
        with open(path) as file:
            text = re.sub(r'//[^\n]*', '', file.read())
        self.parameters = re.findall(r'\.param \.u64 (\w+)', text)
        self.code, self.labels = [], {}
        for statement in re.sub(r'(\w+):', r'\1:;', text[text.index('{'):].strip('{} \n')).split(';'):
            words = statement.split(None, 1)
            if not words or words[0] == '.reg':
                continue
            if words[0].endswith(':'):
                self.labels[words[0][:-1]] = len(self.code)
                continue
            predicate = None
            if words[0].startswith('@'):
                predicate, words = words[0][1:], words[1].split(None, 1)
            operands = re.findall(r'\{[^}]*\}|\[[^]]*\]|[^\s,]+', words[1]) if len(words) > 1 else []
            self.code.append((predicate, words[0], operands))

    def run(self, arguments, memory, thread, threads):
        """One thread of blocks of 32; `memory` has load(address, bytes) and store(address, byte)."""
        at = 0
        values = {'%tid.x': thread % 32, '%ctaid.x': thread // 32, '%ntid.x': 32, '%nctaid.x': threads // 32}

        def value(operand):
            return values[operand] if operand.startswith('%') else int(operand, 0)

        def place(operand):
            name, _, offset = operand.strip('[]').partition('+')
            return value(name.strip()) + int(offset or 0)

        while True:
            predicate, operation, operand = self.code[at]
            at += 1
            if predicate and not values[predicate]:
                continue
            kind, bits = operation.split('.')[0], int((re.findall(r'\.[ub](\d+)', operation) or ['64'])[0])
            wrap = (1 << bits) - 1
            if operation == 'ret':
                return
            if operation == 'bra':
                at = self.labels[operand[0]]
            elif operation == 'ld.param.u64':
                values[operand[0]] = arguments[operand[1].strip('[]')]
            elif operation == 'ld.global.v4.u32':
                for i, name in enumerate(re.findall(r'%\w+', operand[0])):
                    values[name] = memory.load(place(operand[1]), 16, i)
            elif operation == 'ld.global.u32':
                values[operand[0]] = memory.load(place(operand[1]), 4, 0)
            elif operation == 'st.global.u8':
                memory.store(place(operand[0]), value(operand[1]))
            elif operation == 'mov.b64':
                low, high = re.findall(r'%\w+', operand[1])
                values[operand[0]] = values[high] << 32 | values[low]
            elif operation == 'mul.wide.u32':
                values[operand[0]] = value(operand[1]) * value(operand[2])
            elif kind in ('mov', 'cvt'):
                values[operand[0]] = value(operand[1]) & (0xffffffff if '.u32' in operation[:8] else wrap)
            elif kind == 'selp':
                values[operand[0]] = value(operand[1] if values[operand[3]] else operand[2])
            elif kind == 'setp':
                left, right = value(operand[1]), value(operand[2])
                values[operand[0]] = COMPARE[operation.split('.')[1]](left, right)
            else:
                left, right = value(operand[1]), value(operand[2])
                values[operand[0]] = COMPUTE[kind](left, right) & wrap


class Memory:
    """A piece of words at an address, which nobody may read past, and bytes that are set elsewhere."""

    def __init__(self, address, words):
        self.address, self.words, self.written = address, words, set()

    def load(self, address, align, index):
        at = address - self.address
        if address % align or at < 0 or at % 4 or at // 4 + index >= len(self.words):
            raise ValueError('load at %#x' % address)
        return self.words[at // 4 + index]

    def store(self, address, byte):
        if byte != 1:
            raise ValueError('stores %d' % byte)
        self.written.add(address)


def plain_search(words):
    found = set()
    for low, high in zip(words, words[1:]):
        offset = (high << 32 | low) - BASE
        if 0 <= offset < GRANULES * GRANULE:
            found.add(offset // GRANULE)
    return found


def piece(seed, count, pointers):
    draw = random.Random(seed)
    words = [draw.getrandbits(32) for _ in range(count)]
    for _ in range(pointers):
        at = draw.randrange(max(count - 1, 1))
        word = BASE + draw.choice([0, GRANULES * GRANULE - 1, -1, GRANULES * GRANULE, draw.randrange(GRANULES * GRANULE)])
        words[at:at + 2] = [word & 0xffffffff, word >> 32]
    return words[:count]


def finds(shift, count, pointers, threads):
    kernel, wrong, marks, hit = Kernel(KERNEL), [], 1 << 40, 1 << 41
    for seed in range(6):
        words = piece(seed, count, pointers)
        memory, expected = Memory(0x700000 + shift, words), plain_search(words)
        arguments = dict(zip(kernel.parameters, (0x700000 + shift, len(words), BASE, GRANULES * GRANULE, marks, hit)))
        for thread in range(threads):
            kernel.run(arguments, memory, thread, threads)
        if memory.written != {marks + e for e in expected} | ({hit} if expected else set()):
            wrong.append('seed %d: %s instead of %s' % (seed, sorted(memory.written), sorted(expected)))
    return wrong


def assembles(target):
    with tempfile.NamedTemporaryFile(suffix='.cubin') as out:
        made = subprocess.run([PTXAS, '-arch=' + target, KERNEL, '-o', out.name], capture_output=True, text=True)
        return [] if made.returncode == 0 else [made.stderr]


PTXAS = shutil.which('ptxas') or shutil.which('ptxas', path='/usr/local/cuda/bin')
runner.tap([('finds the pointers in %d words, %d bytes off a quad, with %d threads' % (count, shift, threads),
             lambda c=count, s=shift, p=pointers, t=threads: finds(s, c, p, t))
            for count, pointers in ((0, 0), (1, 0), (2, 1), (5, 1), (64, 9), (203, 40))
            for shift in (0, 4, 8, 12) for threads in (32, 64)] +
           [('assembles for %s%s' % (target, '' if PTXAS else ' # SKIP no ptxas'),
             lambda t=target: assembles(t) if PTXAS else []) for target in TARGETS])
