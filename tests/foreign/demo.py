# SPDX-License-Identifier: Apache-2.0
"""demo.py - the second half of scripts/demo: Taichi, as its makers publish it, on a simulated GPU that is too small for it.

Exits 1 unless it is refused without the library and right with it; 0 with a line that says why where it cannot be had.
"""
import sys

sys.dont_write_bytecode = True  # of the module below
import program

NAME, ROW = 'taichi', 'fields'
SMALL_DEVICE = {'SIMGPU_MEMORY': '128M'}
BUDGET = 96 * program.MIB


def human(count):
    return f'{count / program.MIB:.1f} MiB'


def tell(what, outcome):
    print(f'{what:<18}{outcome}', flush=True)


def compare():
    """Runs all three; returns what is wrong, or ''."""
    refused = program.run(NAME, ROW, 'cuda', SMALL_DEVICE)
    tell('without ebbtide', program.last_line(refused))
    if 'CUDA_ERROR_OUT_OF_MEMORY' not in refused.printed:
        return 'the device without ebbtide is large enough, or something else is wrong'
    right = program.run_under_library(NAME, ROW, BUDGET, SMALL_DEVICE)
    tell('with ebbtide', right.checksum or program.last_line(right))
    if right.checksum:
        variables = right.statistics['devices'][0]['untracked_bytes']
        tell('', f'{human(program.moved_bytes(right))} moved; the simulated GPU itself saw at most '
             f"{human(program.device_peak(right))} in use, {human(variables)} of it modules' variables, and "
             f"{right.report['hazards']} hazards")
    reference = program.run(NAME, ROW, 'cpu', {})
    wrong = program.judge(right, reference.checksum, BUDGET, program.moved_bytes(right))
    tell('on the processor', f"{reference.checksum}: {'DIFFERENT' if right.checksum != reference.checksum else 'identical'}")
    return wrong


def main():
    package = program.PROGRAMS[NAME]['packages'][0].replace('==', ' ')
    try:
        program.install(NAME)
    except program.Skip as reason:
        print(f'skipped the second program, {package} from PyPI: {reason}')
        return
    print(f"and one that nobody here wrote: {package} from PyPI, twelve fields of 4 MiB, on a simulated GPU of "
          f"{SMALL_DEVICE['SIMGPU_MEMORY']}, {BUDGET // program.MIB} MiB of it allowed", flush=True)
    wrong = compare()
    if wrong:
        sys.exit(f'demo: {wrong}')


if __name__ == '__main__':
    main()
