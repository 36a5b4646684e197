# SPDX-License-Identifier: Apache-2.0
"""made.py - what is made of what was downloaded, when a program is installed: where its makers look for it."""
import glob
import os
import shutil


def hashcat(folder, _limit_s):
    """The program in the folder of its data, where it looks for them if it is not /usr/bin's, and a list of words."""
    data = os.path.join(folder, 'usr', 'share', 'hashcat')
    shutil.copy(os.path.join(folder, 'usr', 'bin', 'hashcat'), data)
    with open(os.path.join(data, 'words'), 'w', encoding='ascii') as file:
        file.writelines(f'word{number * number}\n' for number in range(100000))
    compiler, = glob.glob(os.path.join(folder, 'nvidia', '*', 'lib', 'libnvrtc.so.*'))
    os.symlink(os.path.basename(compiler), os.path.join(os.path.dirname(compiler), 'libnvrtc.so'))
