# SPDX-License-Identifier: Apache-2.0
"""nvml_reader.py - NVIDIA's own Python bindings read the simulated libnvidia-ml: nvidia-ml-py from PyPI, which PyTorch,
distributed and dask-cuda ask through. scripts/test puts it into build/nvidia-ml-py; without it the cases are skipped."""
import ctypes
import os
import subprocess
import sys
import tempfile

BUILD = os.environ['EBB_BUILD']
MIB = 1 << 20
sys.path.insert(0, os.path.join(BUILD, 'nvidia-ml-py'))
try:
    import pynvml
except ImportError:
    pynvml = None


def cuda():
    return ctypes.CDLL('libcuda.so.1')


def context(driver, ordinal, mib):
    """A context on a device of this process, and that much memory there."""
    handle, address = ctypes.c_void_p(), ctypes.c_uint64()
    for result in (driver.cuInit(0), driver.cuDevicePrimaryCtxRetain(ctypes.byref(handle), ordinal),
                   driver.cuCtxSetCurrent(handle), driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(mib * MIB))):
        assert result == 0, result


def uuid_of(driver, ordinal):
    raw = (ctypes.c_ubyte * 16)()
    assert driver.cuDeviceGetUuid_v2(raw, ordinal) == 0
    digits = bytes(raw).hex()
    return 'GPU-%s-%s-%s-%s-%s' % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])


def handles():
    return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]


def names_devices():
    seen = set()
    for index, handle in enumerate(handles()):
        uuid = pynvml.nvmlDeviceGetUUID(handle)
        assert uuid.startswith('GPU-') and len(uuid) == 40, uuid
        seen.add(uuid)
        for same in (pynvml.nvmlDeviceGetHandleByUUID(uuid), pynvml.nvmlDeviceGetHandleByUUID(uuid.encode()),
                     pynvml.nvmlDeviceGetHandleByPciBusId(pynvml.nvmlDeviceGetPciInfo(handle).busId)):
            assert pynvml.nvmlDeviceGetIndex(same) == index
        assert pynvml.nvmlDeviceGetName(handle) == 'simgpu'
        assert pynvml.nvmlDeviceGetCudaComputeCapability(handle) == (9, 0)
    assert len(seen) == 3
    try:
        pynvml.nvmlDeviceGetHandleByUUID('GPU-nobody')
        assert False
    except pynvml.NVMLError_NotFound:
        pass


def tells_versions():
    assert pynvml.nvmlSystemGetCudaDriverVersion() == 13000
    major = [int(word) for word in pynvml.nvmlSystemGetDriverVersion().split('.')][0]
    assert major == 580 and pynvml.nvmlSystemGetNVMLVersion().startswith('13.580.')


def answers_without_partitions():
    handle = handles()[0]
    try:
        mode = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError_NotSupported:
        mode = None
    assert mode is None
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) == 0 and not pynvml.nvmlDeviceIsMigDeviceHandle(handle)
    bits = sum(bin(word).count('1') for word in pynvml.nvmlDeviceGetCpuAffinity(handle, 16))
    assert bits == os.sysconf('SC_NPROCESSORS_CONF'), bits
    assert list(pynvml.nvmlDeviceGetMemoryAffinity(handle, 1, pynvml.NVML_AFFINITY_SCOPE_NODE)) == [1]


def says_what_it_does_not_have():
    handle = handles()[0]
    for ask in (lambda: pynvml.nvmlDeviceGetTemperature(handle, 0), lambda: pynvml.nvmlDeviceGetPowerUsage(handle),
                lambda: pynvml.nvmlDeviceGetFanSpeed(handle), lambda: pynvml.nvmlDeviceGetClockInfo(handle, 1)):
        try:
            ask()
            assert False
        except pynvml.NVMLError_NotSupported as error:
            assert str(error) == 'Not Supported', error
    try:
        pynvml.nvmlDeviceGetSerial(handle)
        assert False
    except pynvml.NVMLError_FunctionNotFound:
        pass


def hold():
    """Another process: 6 MiB of its only device, until its input ends."""
    driver = cuda()
    context(driver, 0, 6)
    print(uuid_of(driver, 0), flush=True)
    sys.stdin.read()


def tells_of_all_who_share():
    assert all(not pynvml.nvmlDeviceGetComputeRunningProcesses(handle) for handle in handles())
    driver = cuda()
    context(driver, 1, 10)  # of 2,0: the machine's first
    assert uuid_of(driver, 0) == pynvml.nvmlDeviceGetUUID(handles()[2])
    assert uuid_of(driver, 1) == pynvml.nvmlDeviceGetUUID(handles()[0])
    with subprocess.Popen([sys.executable, __file__, 'hold'], env=dict(os.environ, CUDA_VISIBLE_DEVICES=uuid_of(driver, 1)),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline().strip() == uuid_of(driver, 1)
        expected = {os.getpid(): 10 * MIB, other.pid: 6 * MIB}
        for ask in (pynvml.nvmlDeviceGetComputeRunningProcesses, pynvml.nvmlDeviceGetComputeRunningProcesses_v2,
                    pynvml.nvmlDeviceGetComputeRunningProcesses_v3):
            assert {process.pid: process.usedGpuMemory for process in ask(handles()[0])} == expected
            assert not ask(handles()[1]) and not ask(handles()[2])
        memory = pynvml.nvmlDeviceGetMemoryInfo(handles()[0])
        assert (memory.total, memory.used, memory.free) == (64 * MIB, 16 * MIB, 48 * MIB)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handles()[0], version=pynvml.nvmlMemory_v2)
        assert memory.used == 16 * MIB
        other.kill()
    assert pynvml.nvmlDeviceGetMemoryInfo(handles()[0]).used == 10 * MIB
    assert [process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handles()[0])] == [os.getpid()]
    rates = pynvml.nvmlDeviceGetUtilizationRates(handles()[0])
    assert 0 <= rates.gpu <= 100 and 0 <= rates.memory <= 100
    assert not pynvml.nvmlDeviceGetGraphicsRunningProcesses(handles()[0])
    assert not pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3(handles()[0])


CASES = [names_devices, tells_versions, answers_without_partitions, says_what_it_does_not_have, tells_of_all_who_share]


def run(case, folder):
    """In a process of its own: the library reads its variables once."""
    env = dict(os.environ, SIMGPU_DEVICES='3', SIMGPU_MEMORY='64M', CUDA_VISIBLE_DEVICES='2,0',
               SIMGPU_SHARED=os.path.join(folder, 'simgpu-reader-%d' % os.getpid()))
    try:
        return subprocess.run([sys.executable, __file__, case], env=env, capture_output=True, text=True, timeout=60)
    finally:
        if os.path.exists(env['SIMGPU_SHARED']):
            os.unlink(env['SIMGPU_SHARED'])


def main():
    if len(sys.argv) > 1:
        if sys.argv[1] != 'hold':
            pynvml.nvmlInit()
        globals()[sys.argv[1]]()
        if sys.argv[1] != 'hold':
            pynvml.nvmlShutdown()
        return 0
    print('TAP version 13\n1..%d' % len(CASES), flush=True)
    failed = 0
    for number, case in enumerate(CASES, 1):
        name = '%d - nvidia-ml-py %s' % (number, case.__name__.replace('_', ' '))
        if not pynvml:
            print('ok %s # SKIP no nvidia-ml-py' % name, flush=True)
            continue
        result = run(case.__name__, '/dev/shm' if os.path.isdir('/dev/shm') else tempfile.gettempdir())
        failed += bool(result.returncode)
        print('%sok %s' % ('not ' if result.returncode else '', name), flush=True)
        if result.returncode:
            print('\n'.join('# ' + line for line in result.stderr.splitlines()[-8:]), flush=True)
    return 1 if failed else 0


sys.exit(main())
