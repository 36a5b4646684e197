#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What machine this is, as rows, the operating system first: a driver that hangs does not take that away. One JSON line
says which Python has PyTorch or CuPy. Exits with 77 where there is no GPU.

usage: facts.py [--no-python]
"""
import ctypes
import errno
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

NO_GPU = 77
PROBE_S = 5
MODULES = ("torch", "cupy", "jax")
CAPABILITIES = {"ipc_lock": 14, "sys_ptrace": 19, "sys_admin": 21, "sys_nice": 23}
SYSCALLS = {"x86_64": {"get_mempolicy": 239, "mbind": 237, "membarrier": 324, "userfaultfd": 323,
                       "io_uring_setup": 425, "pidfd_open": 434, "process_vm_readv": 310},
            "aarch64": {"get_mempolicy": 236, "mbind": 235, "membarrier": 283, "userfaultfd": 282,
                        "io_uring_setup": 425, "pidfd_open": 434, "process_vm_readv": 270}}
ATTRIBUTES = {"compute_major": 75, "compute_minor": 76, "unified_addressing": 41, "virtual_memory_management": 102,
              "handle_posix_descriptor": 103, "pageable_memory_access": 88, "pageable_uses_host_page_tables": 100,
              "host_register": 99, "concurrent_managed": 89, "memory_pools": 115, "rdma_with_vmm": 110, "dma_buf": 124,
              "numa_config": 130, "host_numa_id": 134, "host_numa_vmm": 141, "host_vmm": 145}
PROBE = """
import importlib.util as u, json, re, os, sys
found = {}
for name in sys.argv[1:]:
    spec = u.find_spec(name)
    if not spec or not spec.origin: continue
    found[name] = "yes"
    version = os.path.join(os.path.dirname(spec.origin), "version.py")
    if name == "torch" and os.path.exists(version):
        cuda = re.search(r"^cuda\\b.*?= *(.+)$", open(version).read(), re.M)
        found[name] = cuda.group(1).strip("'\\" ") if cuda else "yes"
spec = u.find_spec("nvidia")
print(json.dumps({"modules": found, "nvidia": list(spec.submodule_search_locations or []) if spec else [],
                  "version": sys.version.split()[0]}))
"""
libc = ctypes.CDLL(None, use_errno=True)


def say(name, value, unit="fact"):
    """A row; a value is one word."""
    print(name, re.sub(r"\s+", "_", str(value).strip()) or "-", unit, flush=True)


def text_of(path):
    """A file's text, or an empty one."""
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def kernel_log():
    """The kernel's messages, where they may be read; gVisor has its own."""
    buffer = ctypes.create_string_buffer(1 << 16)
    count = libc.klogctl(3, buffer, len(buffer))
    return buffer.raw[:max(0, count)].decode(errors="replace")


def container():
    """In what kind of container we are."""
    version = text_of("/proc/version")
    if "gvisor" in kernel_log().lower() or ("4.4.0" in version and "Sun Jan 10 15:06:54 PST 2016" in version):
        return "gVisor"
    if "microsoft" in version.lower() or os.path.exists("/dev/dxg"):
        return "WSL"
    for path, name in (("/var/run/secrets/kubernetes.io", "Kubernetes"), ("/.dockerenv", "Docker"),
                       ("/run/.containerenv", "Podman")):
        if os.path.exists(path):
            return name
    return "none"


def status_of(call, *arguments):
    """What a system call answers: 'ok', or the error's name. Never with arguments by which it could do something."""
    number = SYSCALLS.get(platform.machine(), {}).get(call)
    if number is None:
        return "unknown"
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(argument) for argument in arguments])
    if result >= 0 and call in ("userfaultfd", "pidfd_open", "io_uring_setup"):
        os.close(result)
    return "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno())


def tell_system():
    """Kernel, memory, rights."""
    say("kernel", platform.release())
    say("kernel_version", text_of("/proc/version"))
    say("nvidia_module", (text_of("/proc/driver/nvidia/version").splitlines() or ["-"])[0])
    say("devices", " ".join(sorted(str(path) for path in pathlib.Path("/dev").glob("nvidia*"))))
    say("processors", len(os.sched_getaffinity(0)))
    memory = dict(re.findall(r"^(\w+): +(\d+) kB", text_of("/proc/meminfo"), re.MULTILINE))
    for name in ("MemTotal", "MemAvailable", "SwapTotal"):
        say(name, int(memory.get(name, 0)) >> 10, "MiB")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if os.path.exists(path):
            say("cgroup_memory", text_of(path), "bytes")
    nodes = sorted(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))
    say("numa", " ".join(f"{node.name}:{text_of(node / 'cpulist').strip() or 'none'}" for node in nodes), "cpus")
    status = dict(re.findall(r"^(\w+):\s+(\S+)", text_of("/proc/self/status"), re.MULTILINE))
    say("uid", os.getuid())
    say("seccomp", status.get("Seccomp", "-"))
    effective = int(status.get("CapEff", "0"), 16)
    say("capabilities", " ".join(name for name, bit in CAPABILITIES.items() if effective >> bit & 1))
    for line in text_of("/proc/self/limits").splitlines():
        found = re.match(r"Max (locked memory|open files|processes|stack size|address space)\s+(\S+)", line)
        if found:
            say(f"limit {found[1]}".replace(" ", "_"), found[2])
    for path in ("vm/max_map_count", "vm/overcommit_memory", "vm/unprivileged_userfaultfd", "kernel/io_uring_disabled"):
        say(path.replace("/", "."), text_of(f"/proc/sys/{path}"))
    say("transparent_hugepages", text_of("/sys/kernel/mm/transparent_hugepage/enabled"))
    for folder in ("/var/tmp", "/tmp", "/dev/shm"):
        if os.path.isdir(folder):
            say(f"free_{folder}", shutil.disk_usage(folder).free >> 20, "MiB")


def tell_calls():
    """Which system calls the library could use here."""
    O_CLOEXEC = 0o2000000
    say("get_mempolicy", status_of("get_mempolicy", 0, 0, 0, 0, 0), "call")
    say("mbind", status_of("mbind", 0, 0, 0, 0, 0, 0), "call")
    say("membarrier_query", status_of("membarrier", 0, 0, 0), "call")
    say("membarrier_register", status_of("membarrier", 16, 0, 0), "call")
    say("membarrier_private_expedited", status_of("membarrier", 8, 0, 0), "call")
    say("userfaultfd", status_of("userfaultfd", O_CLOEXEC), "call")
    say("userfaultfd_user_only", status_of("userfaultfd", O_CLOEXEC | 1), "call")
    say("dev_userfaultfd", "ok" if os.access("/dev/userfaultfd", os.R_OK | os.W_OK) else "no", "file")
    # EFAULT: the call is there, and wants to read what we did not give.
    say("io_uring_setup", status_of("io_uring_setup", 1, 0), "call")
    say("pidfd_open", status_of("pidfd_open", os.getpid(), 0), "call")
    say("process_vm_readv", status_of("process_vm_readv", os.getpid(), 0, 0, 0, 0, 0), "call")


def interpreters():
    """Every Python that a user of this machine would start."""
    folders = os.environ.get("PATH", "").split(":") + ["/opt/conda/bin", "/opt/venv/bin", "/usr/local/bin", "/usr/bin"]
    paths = [sys.executable] + [os.path.join(folder, name) for folder in folders for name in ("python3", "python")]
    found = []
    for path in paths:
        if path not in found and os.access(path, os.X_OK) and os.path.isfile(path):
            found.append(path)
    return found[:8]


def tell_python():
    """Which of them has what; those with CUDA first."""
    started = {}
    for path in interpreters():
        try:
            started[path] = subprocess.Popen([path, "-c", PROBE, *MODULES], stdout=subprocess.PIPE, text=True,
                                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        except OSError:
            continue
    deadline_s, answers, silent = time.monotonic() + PROBE_S, {}, []
    for path, process in started.items():
        try:
            answers[path] = json.loads(process.communicate(timeout=max(0.1, deadline_s - time.monotonic()))[0])
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            silent.append(path)
    having = {}
    for module in MODULES:
        with_module = [path for path, answer in answers.items() if module in answer["modules"]]
        with_module.sort(key=lambda path: answers[path]["modules"][module] == "None")
        if with_module:
            having[module] = with_module[0]
            say(module, f"{with_module[0]} {answers[with_module[0]]['modules'][module]}", "python")
    folders = [folder for answer in answers.values() for package in answer["nvidia"]
               for folder in sorted(map(str, pathlib.Path(package).glob("*/lib")))]
    print(json.dumps({"interpreters": having, "without_cuda": [
        module for module, path in having.items() if answers[path]["modules"][module] == "None"],
        "libraries": list(dict.fromkeys(folders)), "silent": silent, "asked": answers}), flush=True)


def tell_management():
    """What NVML says, once and in this process: nothing polls it beside a measurement."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return
    text, number, handle = ctypes.create_string_buffer(96), ctypes.c_uint(), ctypes.c_void_p()
    try:
        if nvml.nvmlInit_v2():
            return
        if not nvml.nvmlSystemGetDriverVersion(text, 96):
            say("driver_release", text.value.decode(), "version")
        if nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)):
            return
        for name, entry in (("persistence_mode", "nvmlDeviceGetPersistenceMode"),
                            ("compute_mode", "nvmlDeviceGetComputeMode"),
                            ("pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration"),
                            ("pcie_width", "nvmlDeviceGetCurrPcieLinkWidth")):
            if hasattr(nvml, entry) and not getattr(nvml, entry)(handle, ctypes.byref(number)):
                say(name, number.value, "nvml")
        pending = ctypes.c_uint()
        if hasattr(nvml, "nvmlDeviceGetMigMode") and not nvml.nvmlDeviceGetMigMode(handle, ctypes.byref(number),
                                                                                    ctypes.byref(pending)):
            say("mig", number.value, "nvml")
        if hasattr(nvml, "nvmlShutdown"):
            nvml.nvmlShutdown()
    except AttributeError as missing:
        say("nvml", missing, "lacks")


def no_gpu(why):
    """Ends here."""
    print(f"no GPU: {why}", flush=True)
    sys.exit(NO_GPU)


def tell_driver():
    """The driver and device 0, without a context."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        no_gpu(f"there is no libcuda.so.1 ({error})")
    started_s = time.monotonic()
    result = driver.cuInit(0)
    say("cuInit", f"{time.monotonic() - started_s:.3f}", "s")
    if result:
        no_gpu(f"cuInit failed with {result}")
    number, total, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(100)
    if driver.cuDeviceGetCount(ctypes.byref(number)) or not number.value:
        no_gpu("the driver has no device")
    say("devices_visible", number.value, "devices")
    if not driver.cuDriverGetVersion(ctypes.byref(number)):
        say("driver", number.value, "version")
    if not driver.cuDeviceGetName(name, 100, 0):
        say("device", name.value.decode(), "name")
    if not driver.cuDeviceTotalMem_v2(ctypes.byref(total), 0):
        say("device_memory", total.value >> 20, "MiB")
    for attribute, index in ATTRIBUTES.items():
        result = driver.cuDeviceGetAttribute(ctypes.byref(number), index, 0)
        say(attribute, number.value if not result else f"error_{result}", "attribute")
    paths = {line.split()[-1] for line in text_of("/proc/self/maps").splitlines() if "libcuda.so" in line}
    say("libcuda", " ".join(sorted(paths)), "file")
    return f"{name.value.decode()}, {total.value >> 20} MiB"


def main():
    """All of it; what one part cannot tell the others do."""
    where = container()
    say("container", where)
    parts = [tell_system, tell_calls] + ([] if "--no-python" in sys.argv else [tell_python]) + [tell_management]
    for part in parts:
        try:
            part()
        except Exception as error:  # pylint: disable=broad-except
            say(part.__name__, f"{type(error).__name__}: {error}", "failed")
    device = tell_driver()
    print(f"verdict: open: {device}, in {where if where != 'none' else 'no'} container")


if __name__ == "__main__":
    main()
