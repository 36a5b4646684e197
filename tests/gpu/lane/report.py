# SPDX-License-Identifier: Apache-2.0
"""What an archive holds, as a table and as the sections of tests/gpu/FINDINGS.md."""
import pathlib

import archive

TAIL_LINES = 12


def header_line():
    """The table's head."""
    return f"{'step':<16}{'verdict':<13}{'s':>6}  what was found"


def row(record):
    """The table's line for one step."""
    seconds = f"{record['seconds']:>6.1f}" if "seconds" in record else f"{'-':>6}"
    return f"{record['step']:<16}{record['verdict']:<13}{seconds}  {record['text']}"


def shown(value):
    """A row's value as text."""
    return f"{value:.6g}" if isinstance(value, float) else value


def machine(records):
    """What it ran on, in a line: first of all in what kind of container."""
    facts = {found["name"]: shown(found["value"]) for found in records.get("facts", {}).get("rows", [])}
    words = [f"{name} {facts[name]}" for name in ("container", "device", "driver_release", "driver") if name in facts]
    return ", ".join(words) or "no facts about the machine"


def complete(header, records):
    """Every step that was to be run: those of which the archive has nothing were not."""
    for name in header["steps"]:
        yield records.get(name) or {"step": name, "verdict": "not run", "text": "the run was cut before its end"}


def tail(record):
    """The last lines of what a step that gave no answer said."""
    for name in ("out", "errors"):
        lines = record.get(name, "").strip().splitlines()[-TAIL_LINES:]
        if lines:
            yield f"    [{name}]"
            yield from (f"    {line}" for line in lines)


def section(record):
    """One section of FINDINGS.md."""
    yield f"### {record['step']}: {record.get('question', '')}"
    yield ""
    yield f"**{record['verdict']}**: {record['text']}"
    yield ""
    if "settings" in record:
        yield f"    under the library with {record['settings'] or 'nothing set'}"
    for found in record.get("rows", []):
        yield f"    {found['name']} {shown(found['value'])} {found['unit']}"
    if record["verdict"] in ("failed", "contradicts"):
        yield from tail(record)
    yield ""


def show(path):
    """Prints the table and the sections; the exit status is that of the run."""
    header, records = archive.read(pathlib.Path(path))
    found = list(complete(header, records))
    print(f"{machine(records)}; {header['date']}; {'the simulated device' if header['simulated'] else 'hardware'}")
    print(header_line())
    for record in found:
        print(row(record))
    print(f"\n# {machine(records)}, {header['date'][:10]}\n")
    for record in found:
        print("\n".join(section(record)))
    return status(found)


def status(found):
    """0 where every step was answered or cannot be run here, and no answer contradicts the design."""
    return int(any(record["verdict"] not in ("confirms", "open", "skipped") for record in found))
