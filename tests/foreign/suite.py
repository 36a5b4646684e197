# SPDX-License-Identifier: Apache-2.0
"""suite.py - a program's own tests, run as they are."""
import sys
import unittest


class Names(unittest.TextTestResult):
    """Keeps the name of each test."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.names = []

    def startTest(self, test):
        super().startTest(test)
        self.names.append(test.id())


def run(modules):
    """The names of all tests of some modules, of which a program may leave some out by itself; ends the program where one
    fails, and says what did."""
    tests = unittest.defaultTestLoader.loadTestsFromNames(modules)
    ran = unittest.TextTestRunner(stream=sys.stderr, resultclass=Names).run(tests)
    if not ran.wasSuccessful() or not ran.testsRun:
        sys.exit('tests failed')
    return '\n'.join(sorted(ran.names))
