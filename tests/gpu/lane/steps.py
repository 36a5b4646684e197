# SPDX-License-Identifier: Apache-2.0
"""The steps of the lane, in the order in which they matter: the first minute decides whether the library can live on a
driver at all, and a run that is cut has answered the questions that come first.

Each step has a limit of its own, and the limits together stay below ALL_S. What earlier steps have left of theirs a
later one may use, up to twice its own: a machine that is slow to load PyTorch once is not lost for that, and the sum
stays what it is.
"""
import collections
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build"
LANE = BUILD / "tests" / "gpu"
PROGRAMS = BUILD / "tests" / "programs"
LIBRARY = BUILD / "shim" / "libebbtide.so"
HERE = ROOT / "tests" / "gpu" / "lane"
REAL = ROOT / "tests" / "gpu" / "real"
ALL_S = 360  # for a run in which every step hangs, killing included
LIBRARY_DEBUG = {"EBBTIDE_LOG": "debug"}

# name       in the table, the archive and FINDINGS.md
# limit_s    how long it may take
# command    its words; the first may be the name of a module, for the Python that has it
# question   of steps whose program prints none
# settings   EBBTIDE_ variables for a run under the library, None for one without it
# judge      what makes the verdict (judge.py): "own" is what it prints
# beside     the step whose results it must have
# simulated  other arguments on the simulated device; a text says why it is skipped there
# gpu_paths  whether NVIDIA's libraries from Python's packages are put in its way
Step = collections.namedtuple("Step", "name limit_s command question settings judge beside simulated gpu_paths",
                              defaults=("", None, "own", None, None, True))

NO_TORCH = "PyTorch does not run on the simulated device"
NO_CUPY = "CuPy does not run on the simulated device"


def measurement(name, limit_s):
    """A program of tests/gpu."""
    return Step(name, limit_s, (str(LANE / name),), simulated=("--simulated",))


def training(name, limit_s, question, settings, judge, beside=None):
    """PyTorch trains a transformer, as launches and as one graph."""
    return Step(name, limit_s, ("torch", str(REAL / "torch_training.py"), "transformer", "--way", "plain", "graph",
                                "--steps", "10"), question, settings, judge, beside, NO_TORCH, False)


def standardize(name, limit_s, question, settings, judge, beside=None):
    """A program of the CUDA runtime, with nothing of PyTorch."""
    return Step(name, limit_s, (str(PROGRAMS / "standardize"), "--bytes", "1G"), question, settings, judge, beside,
                ("--bytes", "64M"))


def half_of_need(records):
    """Half of what the run without a limit held at its peak; of what PyTorch says, where that run did not end."""
    stats = records.get("torch-preload", {}).get("stats")
    peaks = [device["peak_bytes"] for device in stats["devices"]] if stats else []
    told = [found.get("peak_bytes", 0) for found in records.get("torch-plain", {}).get("data", [])]
    need = max(peaks + told + [0])
    return {"EBBTIDE_DEVICE_BUDGET": str(need // 2) if need else "2G"}


STEPS = (
    Step("facts", 12, (sys.executable, str(HERE / "facts.py")), "what machine is this?", simulated=()),
    Step("entries", 8, (sys.executable, str(HERE / "entries.py")),
         "does cuGetProcAddress hand out the exported functions?", simulated=()),
    Step("doctor", 8, (str(BUILD / "shim" / "ebbtide"), "doctor"), "do the hooks live, and what works here?", None,
         "doctor", None, ()),
    Step("torch-smoke", 25, ("torch", str(REAL / "torch_smoke.py")), "does PyTorch live under the library?",
         LIBRARY_DEBUG, "lives", None, NO_TORCH, False),
    Step("cupy-smoke", 15, ("cupy", str(REAL / "cupy_smoke.py")), "does CuPy live under the library?",
         LIBRARY_DEBUG, "lives", None, NO_CUPY),
    measurement("handles", 6),
    measurement("access", 10),
    measurement("attributes", 6),
    measurement("swap", 14),
    measurement("queue", 14),
    measurement("launch", 8),
    measurement("creation", 16),
    measurement("zerocopy", 14),
    measurement("graph", 12),
    measurement("capture", 8),
    measurement("drain", 26),
    measurement("reset", 12),
    measurement("answers", 10),
    measurement("eviction", 10),
    training("torch-plain", 18, "what does PyTorch compute without the library?", None, "plain"),
    training("torch-preload", 18, "does PyTorch compute the same under the library, and in what time?",
             {"EBBTIDE_DEVICE_BUDGET": "off"}, "same", "torch-plain"),
    training("torch-half", 24, "does PyTorch compute the same within half of what it needs?", half_of_need, "moved",
             "torch-plain"),
    Step("hold", 18, (str(LANE / "hold"),), "is a program of slow steps at nine tenths of its budget left alone?",
         {"EBBTIDE_DEVICE_BUDGET": "8000M"}, "fits", None, ("--simulated",)),
    standardize("runtime-plain", 5, "what does a program of the CUDA runtime compute without the library?", None,
                "plain"),
    standardize("runtime-preload", 6, "does it compute the same under the library?", {"EBBTIDE_DEVICE_BUDGET": "off"},
                "same", "runtime-plain"),
    standardize("runtime-disk", 12, "does it compute the same where most of it goes to disk?",
                {"EBBTIDE_DEVICE_BUDGET": "256M", "EBBTIDE_HOST_BUDGET": "512M", "EBBTIDE_DISK": "always"}, "moved",
                "runtime-plain"),
    Step("torch-eviction", 12, ("torch", str(REAL / "torch_eviction.py"), str(LANE / "evict.so")),
         "are PyTorch's results bit-identical while blocks move at random?", None, "own", None, NO_TORCH, False),
)

# On the simulated device the same steps with less memory.
SIMULATED_SETTINGS = {
    "hold": {"EBBTIDE_DEVICE_BUDGET": "80M"},
    "runtime-disk": {"EBBTIDE_DEVICE_BUDGET": "16M", "EBBTIDE_HOST_BUDGET": "48M", "EBBTIDE_DISK": "always"},
}
