# SPDX-License-Identifier: Apache-2.0
"""foreign.py [--brief] [NAME...] - programs that nobody here wrote, on the simulated GPU, with and without the library.

--brief: a little of those that are small, unless EBBTIDE_TEST_LONG is there, as scripts/test --long says it.

Run from the root of a tree that was built. Prints TAP: a case for each piece of work and setting, and a table behind them.
"""
import os
import sys

sys.dont_write_bytecode = True  # of the module below
import program

GRANULE = 2 * program.MIB
SETTINGS = [(share, residency, disk) for share in (100, 50, 35) for residency in ('mapped', 'strict')
            for disk in ('auto', 'always')]
BRIEF_SETTINGS = [(50, 'mapped', 'auto'), (35, 'mapped', 'auto')]


def is_left_out(name, row, setting):
    """Whether a piece of work cannot be right with a setting."""
    return any(all(part is None or part == own for part, own in zip(pattern, (row, *setting)))
               for pattern in program.PROGRAMS[name]['left_out'])


class Lane:
    def __init__(self, brief):
        self.brief, self.cases, self.failed, self.table = brief, 0, 0, []
        self.settings = BRIEF_SETTINGS if brief else SETTINGS

    def case(self, what, wrong):
        self.cases += 1
        self.failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.cases} - {what}" + (f'\n# {wrong}' if wrong else ''), flush=True)

    def setting(self, name, row, alone, setting):
        """The table's cell for one run under the library."""
        if is_left_out(name, row, setting):
            return '-'
        share, residency, disk = setting
        need = program.device_peak(alone)
        budget = -(-need * share // 100 // GRANULE) * GRANULE
        ran = program.run_under_library(name, row, budget, {'EBBTIDE_RESIDENCY': residency, 'EBBTIDE_DISK': disk})
        moved, in_place = program.moved_bytes(ran, alone), program.is_used_in_place(name, row, ran)
        wrong = program.judge(ran, alone.checksum, budget, share == 100 or moved or in_place,
                              program.PROGRAMS[name].get('variables', 0))
        self.case(f'{name} {row}: {share} % of {need // program.MIB} MiB, {residency}, disk {disk}', wrong)
        return 'WRONG' if wrong else 'in place' if in_place and not moved else f'{moved / program.MIB:.0f}'

    def row(self, name, row):
        reference, alone = (program.run(name, row, device, {}) for device in ('cpu', 'cuda'))
        wrong = program.compare(name, row, alone, reference)
        self.case(f'{name} {row}: the device computes what the processor does', wrong)
        if wrong:
            return
        cells = [self.setting(name, row, alone, setting) for setting in self.settings]
        version = program.packages_of(program.PROGRAMS[name])[0].split('=')[-1]
        self.table.append([name, version, row, f'{program.device_peak(alone) // program.MIB}', *cells])

    def program(self, name):
        rows = program.PROGRAMS[name]['brief' if self.brief else 'rows']
        if not rows:
            return
        try:
            program.install(name)
        except program.Skip as reason:
            self.cases += 1
            print(f'ok {self.cases} - {name} # SKIP it cannot be installed: {reason}', flush=True)
            return
        if 'compiler' in program.PROGRAMS[name]:
            print(f"# {name}: its PTX is written by NVIDIA's {program.PROGRAMS[name]['compiler']}", flush=True)
        for row in rows:
            self.row(name, row)

    def print_table(self):
        head = ['program', 'version', 'what ran', 'MiB', *(' '.join(map(str, setting)) for setting in self.settings)]
        widths = [max(map(len, column)) for column in zip(head, *self.table)]
        print('# MiB: needed; then, for each share of that, residency and disk, what moved where every byte is identical')
        for line in [head, *self.table]:
            print('# ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    names = [name for name in sys.argv[1:] if name != '--brief']
    unknown = [name for name in names if name not in program.PROGRAMS]
    if unknown:
        sys.exit(f"foreign.py: there is no {unknown[0]}; there are: {' '.join(program.PROGRAMS)}")
    lane = Lane('--brief' in sys.argv and 'EBBTIDE_TEST_LONG' not in os.environ)
    for name in names or [name for name, known in program.PROGRAMS.items() if 'compiler' not in known]:
        lane.program(name)
    print(f'1..{lane.cases}')
    lane.print_table()
    sys.exit(bool(lane.failed))


if __name__ == '__main__':
    main()
