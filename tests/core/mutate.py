# SPDX-License-Identifier: Apache-2.0
"""mutate.py - each bug of test_mutation.c is put into the core, and the case behind it must fail.

Only the file with the bug is compiled again, with the command that the build has for it, and linked before the
archives. So a change of the file that takes the broken place away fails here, too."""
import json
import os
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD, NINJA = sys.argv[1:3]
PROGRAM = 'tests/core/core_mutation'

# The case, the bug, the file, what is there, what is put there.
BUGS = [
    ('budget_lowered_below_its_use_admits_nothing', 'limit - used wraps',
     'policy/budget.c', 'return reach_bytes > held_bytes ? reach_bytes - held_bytes : 0;',
     'return reach_bytes - held_bytes;'),
    ('full_tiers_refuse_and_keep_every_byte', 'full tiers drop the bytes and report success',
     'shim/engine/spill.c', '''    if (spill->result)
        return;
    step_submit(''', '''    if (spill->result) {
        spill->result = 0;
        spill->clean = true;
        spill->transfer.slot = SLOT_NONE;
        return;
    }
    step_submit('''),
    ('write_that_fails_is_not_tried_for_ever', 'a failed write leaves the tier open',
     'shim/ledger/headroom.c', 'if (atomic_exchange(&core.disk_off, true))', 'if (core.disk_off || error)'),
    ('allocation_that_fails_at_any_step_leaves_every_count_as_it_was', 'the charge of a failed allocation stays',
     'shim/ledger/recycler.c', 'budget_credit(recycler->budget, recycler->class, bytes - drawn_bytes);', ''),
    ('no_lock_is_held_while_the_device_works', 'the lock is held during copies',
     'shim/engine/swap.c', 'steps_wait(part, count);',
     'lock_acquire(&core.lock);\n    steps_wait(part, count);\n    lock_release(&core.lock);'),
    ('victim_whose_save_failed_stays_a_victim', 'a victim leaves the queue before it is saved',
     'shim/engine/pause.c', 'step_begin(first, granule, CHUNK_LEAVING);',
     'step_begin(first, granule, CHUNK_LEAVING);\n    atomic_store(&core.blocks.stamp[first], 0);'),
    ('launch_past_one_closing_of_the_gate_is_waited_for_by_the_next', 'who has passed the gate once is never waited for',
     'shim/engine/gate.c', 'atomic_load(&slot->passes) == closing)', 'atomic_load(&slot->passes))'),
]


def compile_broken(bug, folder):
    """The object file of the source with the bug in it; None and why not."""
    _, _, name, there, instead = bug
    with open(os.path.join(ROOT, name)) as file:
        source = file.read()
    if source.count(there) != 1:
        return None, '%s has not this once: %s' % (name, there)
    with open(os.path.join(BUILD, 'compile_commands.json')) as file:
        command = next(c['command'] for c in json.load(file)
                       if c['file'].endswith(name) and '.a.p/' in c.get('output', c['command'])
                       and ('libcore.a' in c['command'] or 'libpolicy.a' in c['command']))
    words = shlex.split(command)
    words = words[1:] if os.path.basename(words[0]) == 'ccache' else words
    path, object_file = os.path.join(folder, os.path.basename(name)), os.path.join(folder, 'broken.o')
    with open(path, 'w') as file:
        file.write(source.replace(there, instead))
    words[words.index('-o') + 1] = object_file
    words[words.index('-c') + 1] = path
    words.insert(1, '-I' + os.path.join(ROOT, os.path.dirname(name)))
    done = subprocess.run(words, cwd=BUILD, stderr=subprocess.PIPE, text=True)
    return (object_file, '') if done.returncode == 0 else (None, done.stderr)


def link_broken(object_file, folder):
    command = subprocess.run([NINJA, '-C', BUILD, '-t', 'commands', '-s', PROGRAM], stdout=subprocess.PIPE, text=True,
                             check=True).stdout.splitlines()[-1]
    words, program = shlex.split(command), os.path.join(folder, 'broken')
    at = words.index('-o') + 1
    words[at:at + 1] = [program, object_file]
    subprocess.run(words, cwd=BUILD, check=True)
    return program


def passes(program, case):
    try:
        return subprocess.run([program, '--filter', 'mutation/' + case, '--timeout', '20'], timeout=60,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def check(bug):
    if not passes(os.path.join(BUILD, PROGRAM), bug[0]):
        return 'it fails without the bug, too'
    with tempfile.TemporaryDirectory() as folder:
        object_file, why = compile_broken(bug, folder)
        if not object_file:
            return why
        return 'it passes' if passes(link_broken(object_file, folder), bug[0]) else ''


print('1..%d' % len(BUGS), flush=True)
for i, bug in enumerate(BUGS):
    wrong = check(bug)
    print('%sok %d - %s: %s fails' % ('not ' if wrong else '', i + 1, bug[1], bug[0]), flush=True)
    for line in wrong.splitlines():
        print('# ' + line, flush=True)
