# SPDX-License-Identifier: Apache-2.0
"""examples_work.py ROW cpu|cuda - one of Taichi's examples, as it comes; its last line is a checksum of all that it shows.

Each is a program of its own, which draws in a window for ever. The window here keeps what is drawn, is clicked on once, and
closes after some pictures.
"""
import hashlib
import os
import runpy
import sys
import types

ROW, DEVICE = sys.argv[1:]
# The example says where it wants to run; these are asked before it.
os.environ.update(TI_ARCH='x64' if DEVICE == 'cpu' else 'cuda', TI_OFFLINE_CACHE='0', TI_LOG_LEVEL='error',
                  TI_DEVICE_MEMORY_GB='0.06', TI_ENABLE_FALLBACK='0')

import numpy  # pylint: disable=wrong-import-position
import taichi as ti  # pylint: disable=wrong-import-position

# Where it is, and after how many pictures it closes the window.
EXAMPLES = {'fem99': ('simulation', 1), 'taichi_logo': ('rendering', 1), 'waterwave': ('simulation', 6),
            'fem128': ('simulation', 1), 'taichi_sparse': ('features.sparse', 1)}
digest, shown = hashlib.sha256(), []


class Window:
    """What examples draw in, without a screen."""

    def __init__(self, *_, **__):
        self.pictures, self.running, self.clicked = 0, True, False
        # Beside what the example has; read at the end.
        self.beside = [ti.ndarray(ti.i32, 1 << 20) for _ in range(12)]
        for factor, array in enumerate(self.beside):
            array.from_numpy(numpy.arange(1 << 20, dtype=numpy.int32) * (factor + 1))

    def get_events(self, *_):
        """One click, in a corner."""
        if not self.clicked:
            self.clicked = True
            yield types.SimpleNamespace(key=Window.LMB, type=Window.PRESS, pos=(0.25, 0.375))

    def get_event(self, *_):
        return not self.running

    def is_pressed(self, *_):
        return False

    def get_cursor_pos(self):
        return 0.5, 0.5

    def draw(self, *drawn, **_):
        """Keeps the numbers of what is drawn."""
        for what in drawn:
            what = what.to_numpy() if hasattr(what, 'to_numpy') else numpy.asarray(what)
            digest.update(what.tobytes())
            shown.append(what.astype(numpy.float32).ravel())

    set_image = circles = circle = triangles = draw

    def clear(self, *_):
        pass

    def show(self, *_):
        self.pictures += 1
        if self.pictures < EXAMPLES[ROW][1]:
            return
        self.running = False
        for array in self.beside:
            digest.update(array.to_numpy().tobytes())
        with open(os.environ['FOREIGN_NUMBERS'], 'wb') as file:
            file.write(numpy.concatenate(shown).tobytes())
        print(digest.hexdigest(), flush=True)
        sys.exit()


for name, value in vars(ti.GUI).items():
    if name.isupper():  # keys, and what happens to them
        setattr(Window, name, value)
ti.GUI = Window
runpy.run_module(f'taichi.examples.{EXAMPLES[ROW][0]}.{ROW}', run_name='__main__')
