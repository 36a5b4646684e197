#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether cuGetProcAddress hands out the functions that libcuda exports. Everything rests on it: the library knows an
entry by its address, and what is handed out under another address passes it by. Asks for all that NVIDIA's runtime asks
for, as it asks and for the other default stream, and for every name that the library hooks.
"""
import ctypes
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ASKED = ROOT / "tests" / "preload" / "cudart-13.0-entry-points.tsv"
HOOKS = ROOT / "shim" / "hook" / "hook_table.def"
PER_THREAD = 2
NAMED_MOST = 40


class Symbol(ctypes.Structure):
    """What dladdr tells."""
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p),
                ("address", ctypes.c_void_p)]


def base_of(name):
    """An entry's name without its version and kind of stream."""
    return re.sub(r"(_v\d+)?(_ptds|_ptsz)?$", "", name)


def hooked_names():
    """The driver's entries that the library stands before, by base name."""
    text = HOOKS.read_text(encoding="utf-8")
    rows = re.findall(r"^(?:(?:HOOK|WORD)\w*\(\w+, |USE\w*\(|CALL\()(cu[A-Z]\w+)", text, re.MULTILINE)
    return {base_of(name) for name in rows}


class Driver:
    """libcuda, and what its entries are called."""

    def __init__(self):
        self.library, self.process = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL(None)
        self.process.dlsym.restype = ctypes.c_void_p
        self.process.dlsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        result = self.library.cuInit(0)
        if result:
            print(f"no GPU: cuInit failed with {result}")
            sys.exit(77)
        version = ctypes.c_int()
        self.library.cuDriverGetVersion(ctypes.byref(version))
        self.version = version.value

    def ask(self, name, version, flags):
        """What cuGetProcAddress hands out, or None."""
        found = ctypes.c_void_p()
        arguments = [name.encode(), ctypes.byref(found), ctypes.c_int(version), ctypes.c_uint64(flags)]
        if hasattr(self.library, "cuGetProcAddress_v2"):
            result = self.library.cuGetProcAddress_v2(*arguments, None)
        else:
            result = self.library.cuGetProcAddress(*arguments)
        return found.value if result == 0 else None

    def symbol(self, address):
        """The exported name whose address it is, or None and what dladdr says."""
        found = Symbol()
        if not self.process.dladdr(ctypes.c_void_p(address), ctypes.byref(found)) or not found.name:
            return None, "nothing"
        name = found.name.decode()
        exported = self.process.dlsym(self.library._handle, found.name)  # pylint: disable=protected-access
        return (name if exported == address == found.address else None), name


def questions(driver, hooked):
    """(name, version, flags) as the runtime asks, and for what it would not ask."""
    asked = []
    for line in ASKED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version, flags = line.split("\t")[:3]
            asked.append((name, int(version), int(flags)))
    other = [(name, version, flags ^ PER_THREAD) for name, version, flags in asked]
    newest = [(name, driver.version, flags) for name in sorted(hooked) for flags in (0, PER_THREAD)]
    return {"asked_by_cudart": asked, "other_stream": other, "newest_of_hooked": newest}


def main():
    """Every question, each kind counted by itself."""
    print("# does cuGetProcAddress hand out the exported functions?", flush=True)
    driver, hooked = Driver(), hooked_names()
    print(f"driver {driver.version} version")
    bad, strange = {}, {}
    for kind, entries in questions(driver, hooked).items():
        same = refused = renamed = other = 0
        for name, version, flags in entries:
            address = driver.ask(name, version, flags)
            if not address:
                refused += 1
                continue
            exported, nearest = driver.symbol(address)
            # Another exported name is as good, as long as the library stands before that one.
            if exported and (base_of(name) not in hooked or base_of(exported) in hooked):
                same += 1
                renamed += base_of(exported) != base_of(name)
                continue
            other += 1
            (bad if base_of(name) in hooked else strange)[(name, version, flags)] = nearest
        for what, count in (("exported", same), ("by_another_name", renamed), ("other", other), ("refused", refused),
                            ("all", len(entries))):
            print(f"{kind}_{what} {count} entries")
    for (name, version, flags), nearest in list({**bad, **strange}.items())[:NAMED_MOST]:
        print(f"not_exported_{name}_{version}_{flags} {nearest} dladdr")
    print(f"hooked {len(hooked)} names")
    if bad:
        print(f"verdict: contradicts: {len(bad)} answers for entries that we hook are no exported function: "
              f"{' '.join(sorted({name for name, _, _ in bad})[:10])}")
        return 1
    print(f"verdict: confirms: every answer for an entry that we hook is the exported function; {len(strange)} others "
          "are not")
    return 0


if __name__ == "__main__":
    sys.exit(main())
