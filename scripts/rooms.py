# SPDX-License-Identifier: Apache-2.0
"""rooms.py - the rooms of the library, what each may use, and who uses what: read from includes and from object files.

A use through a function pointer (struct device, an executor, a handler that was registered) is not seen.
"""
import json
import os
import re
import subprocess

# A room uses itself and what stands here, as a whole room or by one of its headers. shim/ebbtide.h is ground for all.
MAY_USE = {
    "policy": "",
    "base": "",
    "live": "base policy ledger/kind.h ledger/kind_figures.h",
    "tier": "base",
    "ledger": "base tier policy live",
    "host": "base tier ledger policy",
    "engine": "base tier ledger host policy live",
    "heap": "base ledger host engine/core.h",
    "cuda": "base tier/device.h ledger/block.h ledger/busy.h ledger/kind.h host engine/core.h hook/hook_table.def",
    "api": "base tier ledger host engine heap policy live cuda/contexts.h cuda/driver_memory.h",
    "hook": "base tier ledger host engine heap cuda api policy",
    "cli": "base policy live ledger/kind_figures.h",
}
MAY_USE = {room: names.split() for room, names in MAY_USE.items()}

# Headers and names of others, and the rooms that know them.
FOREIGN = {r"(cuda|cudaProfiler|cuda_runtime.*|driver_types)\.h": "cuda hook", r"jemalloc/.*": "heap"}
FOREIGN_NAMES = {r"cu(da)?[A-Z]\w*": "cuda hook", r"je_\w+": "heap"}

QUOTES = '"<>'
COMMENT = re.compile(r"/\*.*?(\*/|$)")
INCLUDE = re.compile(r"\s*(?:#|%:|\?\?=)\s*(?:include|include_next|import|embed)\b\s*(.*)")
GLOBAL = re.compile(r"\s*\d+:\s+\S+\s+\S+\s+(?P<type>\S+)\s+(?:GLOBAL|WEAK|UNIQUE)\s+(?P<seen>\S+)\s+(?:\[.*?\]\s+)?"
                    r"(?P<section>\S+)\s+(?P<name>[^\s@]+)")


def room_of(file):
    """The room of a file, which is named as its includes name it: `ledger/block.h`; empty for what lies in none."""
    return file.split("/")[0] if "/" in file else ""


def short(path):
    """`shim/ledger/block.h` is `ledger/block.h`, `policy/budget.h` stays what it is."""
    return path[len("shim/"):] if path.startswith("shim/") else path


def sources(tree):
    """Every source and header of the library, from the root of the tree."""
    for top in ("shim", "policy"):
        for folder, _, names in sorted(os.walk(os.path.join(tree, top))):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def", ".S")):
                    yield os.path.relpath(os.path.join(folder, name), tree)


def includes(tree, path, places=("shim", "policy", "")):
    """(line, what stands behind #include, the file of ours that it means or None) for each include of a file."""
    with open(os.path.join(tree, path), encoding="utf-8") as text:
        lines = text.read().split("\n")
    for line, content in enumerate(lines, 1):
        if "include" not in content and "import" not in content and "embed" not in content:
            continue
        found = INCLUDE.match(COMMENT.sub(" ", content))
        if found:
            written = found[1].strip()
            folders = (os.path.dirname(path), *places) if written.startswith('"') else places
            named = (os.path.normpath(f"{folder}/{written.strip(QUOTES)}").lstrip("/") for folder in folders)
            target = next((name for name in named if os.path.isfile(f"{tree}/{name}")), "")
            yield line, written, target if target.startswith(("shim/", "policy/")) else None


def objects(build):
    """(source, object) for each file that the build compiles into the library; what an older build left is not seen."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as text:
        for command in json.load(text):
            source = os.path.realpath(os.path.join(command["directory"], command["file"]))
            output = command["output"]
            if output.startswith(("shim/", "policy/")):
                yield source, os.path.join(command["directory"], output)


def symbols(tree, build):
    """Two dictionaries, source -> names: what its objects define for others, and what they take from others.

    What is exported is the program's (malloc, the driver's entries): using it is no use of the room that defines it.
    """
    source_of = {output: os.path.relpath(source, os.path.realpath(tree)) for source, output in objects(build)
                 if os.path.exists(output)}
    defined, used = {}, {}
    if not source_of:
        return defined, used
    listing = subprocess.run(["readelf", "-sW", *source_of], capture_output=True, text=True, check=True).stdout
    source = next(iter(source_of.values()))
    for line in listing.splitlines():
        if line.startswith("File: "):
            source = source_of[line[len("File: "):]]
            continue
        symbol = GLOBAL.match(line)
        if not symbol:
            continue
        if symbol["section"] == "UND":
            used.setdefault(source, set()).add(symbol["name"])
        elif symbol["seen"] != "DEFAULT" or symbol["name"].startswith("ebb_"):
            defined.setdefault(source, set()).add(symbol["name"])
    return defined, used


def calls(tree, build):
    """{(user, definer): names}: which file uses which names of which other file."""
    defined, used = symbols(tree, build)
    definer = {name: source for source, names in defined.items() for name in names}
    edges = {}
    for source, names in used.items():
        for name in names:
            if definer.get(name, source) != source:
                edges.setdefault((source, definer[name]), set()).add(name)
    return edges


class Table:
    """The table "may use" with the texts of the headers that it names: whether one file may use another."""

    def __init__(self, tree):
        self.words = {}
        for names in MAY_USE.values():
            for name in names:
                path = os.path.join(tree, "shim", name)
                if "/" in name and os.path.isfile(path):
                    with open(path, encoding="utf-8") as text:
                        self.words[name] = set(re.findall(r"\w+", text.read()))

    def includes(self, user, target):
        """Whether `user` may include `target`; both as includes name them."""
        allowed = MAY_USE.get(room_of(user), [])
        return target == "ebbtide.h" or room_of(target) in (room_of(user), *allowed) or target in allowed

    def calls(self, user, definer, name):
        """Whether `user` may use `name`, which `definer` defines: its room, or a header of it that declares it."""
        allowed = MAY_USE.get(room_of(user), [])
        if room_of(definer) in (room_of(user), *allowed):
            return True
        return any(room_of(header) == room_of(definer) and name in self.words.get(header, ()) for header in allowed)
