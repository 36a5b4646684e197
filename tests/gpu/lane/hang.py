#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worst step there is, for the test that a run ends in time: asked to end it does not, and neither do its child and
one more in a session of its own."""
import os
import signal
import time

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("this hangs", flush=True)
if os.fork() == 0 and os.fork() == 0:
    os.setsid()
while True:
    time.sleep(1000)
