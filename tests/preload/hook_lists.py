# SPDX-License-Identifier: Apache-2.0
"""hook_lists.py - the rows of the hook table, and the reasons for what is not in it, as the preprocessor sees them."""
import os
import re
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
ROWS = '''
#define ROW(library, class, result, name, body, parameters, arguments) @@ library name
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands) @@ driver name
#define MARK_ROW(name, parameters, arguments) @@ runtime name
#include "hook/hook_table.def"
'''
REASONS = '''
#define REASON(name, reason) @@ name reason
#include "hook/unhooked.def"
'''


def expand(text):
    """What the preprocessor makes of one of the lists, a line for each entry."""
    process = subprocess.run(['cc', '-E', '-P', '-I', os.path.join(ROOT, 'shim'), '-x', 'c', '-'], input=text,
                             capture_output=True, text=True, check=True)
    return [' '.join(entry.split()) for entry in process.stdout.split('@@')[1:]]


def matches(pattern, name):
    return name.startswith(pattern[:-1]) if pattern.endswith('*') else name == pattern


rows = {entry.split()[1] for entry in expand(ROWS)}
reasons = dict(re.match(r'"(\S+)" ("[^@]*")', entry).groups() for entry in expand(REASONS))
