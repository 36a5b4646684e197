# SPDX-License-Identifier: Apache-2.0
"""What a step printed, and what its verdict is. The words: confirms, contradicts, open (nothing was decided), failed
(it gave no answer), skipped (this machine cannot run it) and not run (no time was left, or the run was cut)."""
import json
import re
import signal

ANSWERS = ("confirms", "open", "contradicts")
WORDS = ANSWERS + ("failed", "skipped", "not run")


def number(word):
    """A row's value: a number where it is one."""
    try:
        return float(word)
    except ValueError:
        return word


def parse(text):
    """The question, the rows, the verdict and the results of what a step printed."""
    found = {"question": "", "rows": [], "verdict": "failed", "text": "", "data": []}
    words = {}
    for line in text.splitlines():
        parts = line.split()
        if line.startswith("# "):
            found["question"] = line[2:]
        elif line.startswith("verdict: ") and line.count(": ") > 1:
            _, found["verdict"], found["text"] = line.split(": ", 2)
        elif line.startswith("{"):
            try:
                found["data"].append(json.loads(line))
            except ValueError:
                pass
        elif len(parts) == 3:
            found["rows"].append({"name": parts[0], "value": number(parts[1]), "unit": parts[2]})
        elif len(parts) == 2:
            words[parts[0]] = parts[1]
    if "hash" in words:
        found["data"].append({"hash": words["hash"], "losses": [],
                              "peak_bytes": int(words.get("peak_device_bytes", 0))})
    return found


def how(ended):
    """How a process ended, as text."""
    if ended.status is None:
        return f"still running after {ended.seconds:.1f} s"
    if ended.status >= 0:
        return f"exit status {ended.status}"
    return f"ended by {signal.Signals(-ended.status).name}"


def last_line(ended):
    """What it said last: on standard error, rather not what the library says, else on standard output."""
    errors, out = ended.errors.strip().splitlines(), ended.out.strip().splitlines()
    lines = [line for line in errors if not line.startswith("ebbtide")] or errors or out
    return lines[-1][:300] if lines else ""


def own(ended, found, _records, _step):
    """The verdict that it printed, if it came to its end."""
    if ended.status in (0, 1) and found["verdict"] in ANSWERS:
        return found["verdict"], found["text"]
    return "failed", ""


def doctor(ended, _found, _records, _step):
    """All hooks live, and blocks can move."""
    said = {line[:17].strip(): line[17:].strip() for line in ended.out.splitlines() if len(line) > 17}
    if "verdict" not in said:
        return "failed", ""
    text = "; ".join([said["verdict"]] + [f"{name}: {said[name]}" for name in ("driver", "residency") if name in said])
    return ("confirms" if said["verdict"] == "programs are managed" else "contradicts"), text


def passed_by(stats):
    """What says that the library does not stand in front of everything, or None."""
    if not stats:
        return "the library was not loaded: it left no statistics"
    if stats.get("account_only"):
        return f"accounts and moves nothing: {stats['account_only']}"
    return None


def counted(stats):
    """What the library did, as text."""
    moves = stats["moves"]
    parts = [f"{stats['evictions']} evictions, {stats['restores']} restores, {stats['zero_copy_launches']} launches "
             f"from host memory, stalled {stats['stall_ns'] / 1e6:.0f} ms"]
    for name, move in moves.items():
        if move["bytes"]:
            parts.append(f"{name.replace('_', ' ')} {move['bytes'] / 2**20:.0f} MiB at "
                         f"{move['bytes'] / max(1, move['ns']):.1f} GB/s")
    return ", ".join(parts)


def plain(ended, found, _records, _step):
    """What others are compared with."""
    if ended.status or not found["data"]:
        return "failed", ""
    return "open", ", ".join(f"{one.get('way', 'it')} took {one['seconds']:.2f} s" if "seconds" in one else
                             f"it took {ended.seconds:.2f} s" for one in found["data"])


def lives(ended, found, _records, _step):
    """It came to its end, and nothing passed the hooks by."""
    why = passed_by(found["stats"])
    if ended.status is None:
        return "failed", ""
    if ended.status or not found["data"] or why:
        return "contradicts", f"{(not ended.status and why) or 'it does not live'}; {how(ended)}: {last_line(ended)}"
    unhooked = found["stats"]["unhooked"]
    if unhooked:
        return "open", f"it lives; asked for and in no list of ours: {' '.join(unhooked)}"
    return "confirms", f"{counted(found['stats'])}; {ended.seconds:.1f} s from start to exit"


def compare(before, after):
    """Each result beside the one of the run without the library; what differs, and the ratios of the times."""
    different, ratios = [], []
    others = {one.get("way"): one for one in after}
    for one in before:
        way = one.get("way") or "the result"
        other = others.get(one.get("way"))
        if not other:
            different.append(f"{way} is missing")
        elif (one["hash"], one["losses"]) != (other["hash"], other["losses"]):
            different.append(f"{way} differs")
        elif one.get("seconds") and other.get("seconds"):
            ratios.append(f"{way} {other['seconds'] / one['seconds']:.2f} x")
    return different, ratios


def same(ended, found, records, step):
    """The results of the run without the library, within the budget."""
    beside = records.get(step.beside, {})
    if ended.status is None:
        # Of what came to its end before, the results still tell something.
        different, ratios = compare(beside.get("data", []), found["data"])
        return "failed", ", ".join([how(ended), *(f"identical: {one}" for one in ratios), *different])
    if not beside.get("data"):
        return ("open", f"nothing to compare with: {step.beside}") if ended.status == 0 else ("failed", "")
    if ended.status and beside["status"] == 0:
        return "contradicts", f"{how(ended)}, and not without the library: {last_line(ended)}"
    why = passed_by(found["stats"])
    if why:
        return "contradicts", why
    different, ratios = compare(beside["data"], found["data"])
    over = [device for device in found["stats"]["devices"] if device["peak_bytes"] > device["budget_bytes"]]
    if over:
        different.append(f"device {over[0]['ordinal']} held {over[0]['peak_bytes']} bytes of {over[0]['budget_bytes']}")
    if different:
        return "contradicts", "; ".join(different)
    times = ", ".join(ratios) or f"{ended.seconds / beside['seconds']:.2f} x with start and end"
    return "confirms", f"identical; {times}; {counted(found['stats'])}"


def moved(ended, found, records, step):
    """As `same`, and something had to move for it."""
    verdict, text = same(ended, found, records, step)
    if verdict == "confirms" and not found["stats"]["evictions"]:
        return "open", f"nothing had to move; {text}"
    return verdict, text


def fits(ended, found, _records, _step):
    """Right, and nothing was evicted."""
    why = passed_by(found["stats"])
    if ended.status is None or (ended.status == 0 and not found["text"]):
        return "failed", ""
    if ended.status:
        return "contradicts", f"{found['text']}; {how(ended)}: {last_line(ended)}"
    if why or found["stats"]["evictions"]:
        return "contradicts", f"{found['text']}; {why or counted(found['stats'])}"
    return "confirms", f"{found['text']}; nothing was evicted"


def judge(step, ended, found, records):
    """Verdict and text; a failed step always says how it ended and what it said last."""
    missing = re.search(r"error while loading shared libraries: (\S+):", ended.errors)
    if ended.status == 127 and missing:
        return "skipped", f"there is no {missing[1]}"
    verdict, text = globals()[step.judge](ended, found, records, step)
    if verdict == "failed" and not text:
        text = ": ".join(filter(None, [how(ended), last_line(ended)]))
    return verdict, text
