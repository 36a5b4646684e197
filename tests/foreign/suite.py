# SPDX-License-Identifier: Apache-2.0
"""suite.py - a program's own tests, run as they are, and what came of each."""
import sys
import unittest


class Outcomes(unittest.TextTestResult):
    """Keeps a line for each test: its name, and how it ended."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.ends = []

    def addSuccess(self, test):
        super().addSuccess(test)
        self.ends.append(f'{test.id()} passed')

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.ends.append(f'{test.id()} skipped')


def run(modules):
    """The lines of all tests of the named modules; says what failed and ends the program where one did."""
    tests = unittest.defaultTestLoader.loadTestsFromNames(modules)
    ran = unittest.TextTestRunner(stream=sys.stderr, resultclass=Outcomes).run(tests)
    if not ran.wasSuccessful() or not ran.testsRun:
        sys.exit('tests failed')
    return '\n'.join(sorted(ran.ends))
