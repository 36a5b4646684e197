# SPDX-License-Identifier: Apache-2.0
"""The archive of a run: one file of JSON lines. The first says what was run, each other one is a step, whole: verdict,
rows, what it printed, what the library counted.

The file is only ever appended to, and each line is on the disk before the next step begins. So wherever a run is cut,
by SIGKILL, by the machine going away, every finished step is in it: at worst the last line has no end, and is passed
over, as is a line for which the disk had no room. Nothing has to be packed at the end, and there is one file to bring
back.
"""
import json
import os

MOST_BYTES = 16 * 2**20
RECORD_BYTES = 400 * 2**10  # one line at most; the steps of a run together stay below MOST_BYTES
TEXTS = ("out", "errors")


def cut(text, most):
    """Beginning and end of a text that is too long."""
    if len(text) <= most:
        return text
    return f"{text[:most // 2]}\n[{len(text) - most} characters left out]\n{text[-(most - most // 2):]}"


def encode(record):
    """The record as one line of at most RECORD_BYTES: texts are cut first, then rows left out."""
    most = RECORD_BYTES // 4
    while True:
        record = {**record, **{name: cut(record[name], most) for name in TEXTS if name in record}}
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        if len(line) <= RECORD_BYTES:
            return line
        if most > 1000:
            most //= 4
            continue
        # What is left is larger than anything a step should say.
        record = {key: value for key, value in record.items() if key not in ("rows", "data", "stats")}
        record["left_out"] = "rows, data and statistics: too many"
        record["text"] = cut(str(record.get("text", "")), 1000)


class Archive:
    """An archive that is being written."""

    def __init__(self, path, header):
        """An earlier file of that name keeps its contents under another."""
        if path.exists():
            path.replace(path.with_suffix(".previous" + path.suffix))
        self.file = open(path, "ab", buffering=0)
        self.is_whole = True  # whether the last line has its end
        self.write({"gpu-check": 1, **header})

    def write(self, record):
        """Returns once the line is on the disk. Raises OSError where it cannot be; a later one may."""
        line = (b"" if self.is_whole else b"\n") + encode(record)
        self.is_whole = False
        while line:
            line = line[self.file.write(line):]
        self.is_whole = True
        os.fsync(self.file.fileno())

    def close(self):
        """Nothing is left to be written."""
        self.file.close()


def read(path):
    """The header and the records by step, of a run that may have been cut anywhere. Raises ValueError where the file is
    no archive."""
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    if not found or not isinstance(found[0], dict) or "gpu-check" not in found[0]:
        raise ValueError(f"{path} is no archive of gpu-check, or ends before its first line does")
    return found[0], {record["step"]: record for record in found[1:]}
