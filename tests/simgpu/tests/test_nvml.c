/* SPDX-License-Identifier: Apache-2.0 */
/* The management library, alone, beside the driver and beside other processes. */
#include "driver.h"
#include "nvml/nvml.h"
#include "peer.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROOM = 8
};

static nvmlDevice_t device(unsigned index)
{
    nvmlDevice_t found;

    cr_assert_eq(nvmlDeviceGetHandleByIndex_v2(index, &found), NVML_SUCCESS);
    return found;
}

static unsigned long long used(unsigned index)
{
    nvmlMemory_t memory;

    cr_assert_eq(nvmlDeviceGetMemoryInfo(device(index), &memory), NVML_SUCCESS);
    cr_assert_eq(memory.free + memory.used, memory.total);
    return memory.used;
}

/* The processes on the device, by every version of the question. */
static unsigned processes(unsigned index, nvmlProcessInfo_v2_t infos[ROOM])
{
    nvmlProcessInfo_v2_t third[ROOM];
    nvmlProcessInfo_v1_t first[ROOM];
    unsigned count = ROOM, counts[2] = {ROOM, ROOM};

    cr_assert_eq(nvmlDeviceGetComputeRunningProcesses_v2(device(index), &count, infos), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetComputeRunningProcesses_v3(device(index), &counts[0], third), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetComputeRunningProcesses(device(index), &counts[1], first), NVML_SUCCESS);
    cr_assert(counts[0] == count && counts[1] == count);
    for (unsigned i = 0; i < count; i++) {
        cr_assert(third[i].pid == infos[i].pid && third[i].usedGpuMemory == infos[i].usedGpuMemory);
        cr_assert(first[i].pid == infos[i].pid && first[i].usedGpuMemory == infos[i].usedGpuMemory);
        cr_assert(infos[i].gpuInstanceId == UINT32_MAX && infos[i].computeInstanceId == UINT32_MAX);
    }
    return count;
}

Test(nvml, answers_nothing_before_its_start_and_after_its_end)
{
    nvmlDevice_t found;
    unsigned count;

    cr_assert_eq(nvmlDeviceGetCount_v2(&count), NVML_ERROR_UNINITIALIZED);
    cr_assert_eq(nvmlShutdown(), NVML_ERROR_UNINITIALIZED);
    cr_assert_eq(nvmlInitWithFlags(1u << 30), NVML_ERROR_INVALID_ARGUMENT);
    cr_assert_eq(nvmlInitWithFlags(0), NVML_SUCCESS);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(nvmlShutdown(), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
    found = device(0);
    cr_assert_eq(nvmlShutdown(), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetIndex(found, &count), NVML_ERROR_UNINITIALIZED);
    cr_assert_eq(nvmlShutdown(), NVML_ERROR_UNINITIALIZED);
}

Test(nvml, finds_devices_by_index_uuid_and_place)
{
    char uuid[96], name[64];
    nvmlPciInfo_t pci;
    nvmlDevice_t found;
    unsigned index;

    setenv("SIMGPU_DEVICES", "3", 1);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(nvmlDeviceGetUUID(device(i), uuid, sizeof uuid), NVML_SUCCESS);
        cr_assert_eq(nvmlDeviceGetHandleByUUID(uuid, &found), NVML_SUCCESS);
        cr_assert_eq(found, device(i));
        cr_assert_eq(nvmlDeviceGetPciInfo_v3(found, &pci), NVML_SUCCESS);
        cr_assert_eq(nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &found), NVML_SUCCESS);
        cr_assert_eq(found, device(i));
        cr_assert_eq(nvmlDeviceGetHandleByPciBusId_v2(pci.busId + 9, &found), NVML_SUCCESS);
        cr_assert_eq(nvmlDeviceGetIndex(found, &index), NVML_SUCCESS);
        cr_assert_eq(index, i);
    }
    cr_assert_eq(nvmlDeviceGetHandleByIndex_v2(3, &found), NVML_ERROR_INVALID_ARGUMENT);
    cr_assert_eq(nvmlDeviceGetHandleByUUID("GPU-0", &found), NVML_ERROR_NOT_FOUND);
    cr_assert_eq(nvmlDeviceGetHandleByPciBusId_v2("0000:7f:00.0", &found), NVML_ERROR_NOT_FOUND);
    cr_assert_eq(nvmlDeviceGetHandleByPciBusId_v2("nonsense", &found), NVML_ERROR_INVALID_ARGUMENT);
    cr_assert_eq(nvmlDeviceGetUUID(device(0), uuid, 10), NVML_ERROR_INSUFFICIENT_SIZE);
    cr_assert_eq(nvmlDeviceGetName(device(0), name, sizeof name), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetName(NULL, name, sizeof name), NVML_ERROR_INVALID_ARGUMENT);
    cr_assert_str_eq(nvmlErrorString(NVML_ERROR_NOT_SUPPORTED), "Not Supported");
}

Test(nvml, says_what_is_not_simulated)
{
    unsigned first, second;

    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetMigMode(device(0), &first, &second), NVML_ERROR_NOT_SUPPORTED);
    cr_assert_eq(nvmlDeviceGetPowerUsage(device(0), &first), NVML_ERROR_NOT_SUPPORTED);
    cr_assert_eq(nvmlDeviceGetMaxMigDeviceCount(device(0), &first), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceIsMigDeviceHandle(device(0), &second), NVML_SUCCESS);
    cr_assert(first == 0 && second == 0);
}

/* Without one of these PyTorch's allocator ends where it would tell of memory that is out. */
Test(nvml, has_what_pytorch_insists_on)
{
    static const char *const names[] = {"nvmlInit_v2",
                                        "nvmlDeviceGetHandleByPciBusId_v2",
                                        "nvmlDeviceGetNvLinkRemoteDeviceType",
                                        "nvmlDeviceGetNvLinkRemotePciInfo_v2",
                                        "nvmlDeviceGetComputeRunningProcesses",
                                        "nvmlSystemGetCudaDriverVersion_v2"};
    nvmlPciInfo_t pci;
    int type;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect(dlsym(RTLD_DEFAULT, names[i]), "%s", names[i]);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_expect_eq(nvmlDeviceGetNvLinkRemoteDeviceType(device(0), 0, &type), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetNvLinkRemotePciInfo_v2(device(0), 0, &pci), NVML_ERROR_NOT_SUPPORTED);
}

/* Without one of these hashcat takes the library away, and crashes where it would have asked it. */
Test(nvml, has_what_hashcat_insists_on)
{
    unsigned long long reasons;
    unsigned number;

    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_expect_eq(nvmlDeviceGetFanSpeed(device(0), &number), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetTemperatureThreshold(device(0), 0, &number), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetTemperatureThreshold(device(0), -1, &number), NVML_ERROR_INVALID_ARGUMENT);
    cr_expect_eq(nvmlDeviceGetCurrPcieLinkGeneration(device(0), &number), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetCurrPcieLinkWidth(device(0), &number), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetCurrentClocksThrottleReasons(device(0), &reasons), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetSupportedClocksThrottleReasons(device(0), &reasons), NVML_ERROR_NOT_SUPPORTED);
    cr_expect_eq(nvmlDeviceGetFanSpeed(NULL, &number), NVML_ERROR_INVALID_ARGUMENT);
}

/* A program may have no room behind what its version has. */
Test(nvml, older_descriptions_of_a_bus_end_where_they_did)
{
    struct {
        nvmlPciInfo_v1_t first;
        unsigned behind;
    } one;
    struct {
        nvmlPciInfo_v2_t second;
        unsigned behind;
    } two;
    nvmlPciInfo_t whole;

    memset(&one, 0x5a, sizeof one);
    memset(&two, 0x5a, sizeof two);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetPciInfo_v3(device(0), &whole), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetPciInfo(device(0), &one.first), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetPciInfo_v2(device(0), &two.second), NVML_SUCCESS);
    cr_expect_str_eq(one.first.busId, whole.busIdLegacy);
    cr_expect_str_eq(two.second.first.busId, whole.busIdLegacy);
    cr_expect_eq(one.first.bus, whole.bus);
    cr_expect_eq(two.second.pciSubSystemId, 0);
    cr_expect_eq(one.behind, 0x5a5a5a5a);
    cr_expect_eq(two.behind, 0x5a5a5a5a);
    cr_expect_eq(nvmlDeviceGetPciInfo(device(0), NULL), NVML_ERROR_INVALID_ARGUMENT);
}

Test(nvml, names_the_processors_and_the_memory_beside_a_device)
{
    unsigned long processors[16], nodes[2], bits = 0;

    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetCpuAffinity(device(0), 16, processors), NVML_SUCCESS);
    for (int i = 0; i < 16; i++)
        bits += (unsigned long)__builtin_popcountl(processors[i]);
    cr_assert_eq(bits, (unsigned long)sysconf(_SC_NPROCESSORS_CONF));
    cr_assert_eq(nvmlDeviceGetMemoryAffinity(device(0), 2, nodes, 0), NVML_SUCCESS);
    cr_assert(nodes[0] == 1 && nodes[1] == 0);
}

/* Without SIMGPU_SHARED it knows of this process. */
Test(nvml, lists_a_process_on_a_device_where_it_has_a_context)
{
    nvmlProcessInfo_v2_t infos[ROOM];
    CUdeviceptr address;
    unsigned count = 0;

    setenv("SIMGPU_DEVICES", "2", 1);
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(processes(0, infos), 0);
    start();
    must(cuMemAlloc(&address, 6 * MIB));
    cr_assert_eq(used(1), 6 * MIB);
    cr_assert_eq(used(0), 0);
    cr_assert_eq(processes(0, infos), 0);
    cr_assert_eq(processes(1, infos), 1);
    cr_assert_eq(infos[0].pid, (unsigned)getpid());
    cr_assert_eq(infos[0].usedGpuMemory, 6 * MIB);
    cr_assert_eq(nvmlDeviceGetComputeRunningProcesses_v3(device(1), &count, NULL),
                 NVML_ERROR_INSUFFICIENT_SIZE);
    cr_assert_eq(count, 1);
    must(cuDevicePrimaryCtxRelease(0));
    cr_assert_eq(processes(1, infos), 0);
    cr_assert_eq(nvmlDeviceGetGraphicsRunningProcesses_v3(device(1), &count, infos), NVML_SUCCESS);
    cr_assert_eq(count, 0);
}

static long act_release(long ordinal)
{
    return cuDevicePrimaryCtxRelease((CUdevice)ordinal);
}

Test(nvml, lists_all_processes_that_share_a_device, .fini = share_end)
{
    nvmlProcessInfo_v2_t infos[ROOM];
    struct peer peers[2];
    unsigned count;

    share_begin("64M");
    setenv("SIMGPU_DEVICES", "2", 1);
    peers[0] = peer_start();
    setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    peers[1] = peer_start();
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(used(0), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(peer_do(&peers[i], act_start, 0), 0);
    cr_assert_eq(peer_do(&peers[0], act_start, 1), 0);
    peer_do(&peers[0], act_take, 10 * MIB);
    peer_do(&peers[1], act_take, 20 * MIB);
    cr_assert_eq(processes(0, infos), 1);
    cr_assert(infos[0].pid == (unsigned)peers[0].pid && infos[0].usedGpuMemory == 0);
    cr_assert_eq(processes(1, infos), 2);
    cr_assert_eq(used(1), 30 * MIB);
    for (int i = 0; i < 2; i++) {
        int peer = infos[i].pid == (unsigned)peers[1].pid;

        cr_assert_eq(infos[i].pid, (unsigned)peers[peer].pid);
        cr_assert_eq(infos[i].usedGpuMemory, (peer ? 20 : 10) * MIB);
    }
    cr_assert_eq(peer_do(&peers[0], act_release, 0), 0);
    cr_assert_eq(processes(0, infos), 0);
    cr_assert_eq(processes(1, infos), 2);
    peer_kill(&peers[0]);
    cr_assert_eq(used(1), 20 * MIB);
    count = processes(1, infos);
    cr_assert(count == 1 && infos[0].pid == (unsigned)peers[1].pid);
}

Test(nvml, answers_in_a_forked_child, .fini = share_end)
{
    int status;
    pid_t child;

    share_begin("64M");
    cr_assert_eq(act_start(0), 0);
    cr_assert_eq(act_take(10 * MIB), 0);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    child = fork();
    if (child == 0)
        _exit(used(0) == 10 * MIB ? 7 : 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void *ask_on(void *over)
{
    while (!__atomic_load_n((int *)over, __ATOMIC_SEQ_CST))
        used(0);
    return NULL;
}

Test(nvml, answers_in_a_forked_child_whatever_other_threads_ask, .fini = share_end)
{
    int over = 0, status;
    pthread_t threads[2];

    share_begin("64M");
    cr_assert_eq(act_start(0), 0);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask_on, &over), 0);
    for (int round = 0; round < 200; round++) {
        pid_t child = fork();

        if (child == 0) {
            alarm(20); /* ends it where it hangs */
            _exit(used(0) == 0 ? 7 : 1);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static nvmlUtilization_t rates(void)
{
    nvmlUtilization_t found;

    cr_assert_eq(nvmlDeviceGetUtilizationRates(device(0), &found), NVML_SUCCESS);
    return found;
}

/* A kernel that has begun, and ends when the second of its words is set. */
static uint32_t *occupy(void)
{
    uint32_t *words = flags();
    uint64_t bytes = 8;
    CUdeviceptr holder;

    must(cuMemAlloc(&holder, 8));
    must(cuMemcpyHtoD(holder, &holder, sizeof holder));
    must(launch("touch_through", NULL, (void *[]){&holder, &bytes, &words}));
    while (!__atomic_load_n(&words[0], __ATOMIC_ACQUIRE))
        sched_yield();
    return words;
}

/* Each start begins to count anew. */
static void restart(void)
{
    nvmlShutdown();
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
}

Test(nvml, tells_how_busy_a_device_is_with_kernels)
{
    uint32_t *words;

    start();
    restart();
    cr_assert(rates().gpu == 0 && rates().memory == 0);
    words = occupy();
    restart();
    cr_assert_eq(rates().gpu, 100);
    let_go(&words[1]);
    must(cuCtxSynchronize());
    restart();
    cr_assert(rates().gpu == 0 && rates().memory == 0);
}

Test(nvml, tells_how_busy_a_device_is_with_copies)
{
    nvmlUtilization_t found;
    CUdeviceptr address;
    CUstream stream;
    void *host;

    setenv("SIMGPU_LINK_GBPS", "0.002", 1); /* a second */
    start();
    must(cuMemAlloc(&address, 2 * MIB));
    must(cuMemHostAlloc(&host, 2 * MIB, 0));
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuMemcpyHtoDAsync(address, host, 2 * MIB, stream));
    do { /* from when it has begun */
        restart();
        found = rates();
    } while (found.memory != 100 && cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
    cr_assert(found.memory == 100 && found.gpu == 0);
}

static long act_occupy(long unused)
{
    (void)unused;
    occupy();
    return 0;
}

Test(nvml, tells_how_busy_others_keep_a_device, .fini = share_end)
{
    struct peer peer;

    share_begin("64M");
    peer = peer_start();
    cr_assert_eq(peer_do(&peer, act_start, 0), 0);
    peer_do(&peer, act_occupy, 0);
    restart();
    cr_assert_eq(rates().gpu, 100);
    peer_kill(&peer);
    restart();
    cr_assert_eq(rates().gpu, 0);
}

/* As the driver does. */
Test(nvml_traits, knows_the_compute_capability_that_was_asked_for)
{
    int major, minor;
    nvmlDevice_t first;

    setenv("SIMGPU_COMPUTE_CAPABILITY", "8.6", 1);
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetHandleByIndex_v2(0, &first), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetCudaComputeCapability(first, &major, &minor), NVML_SUCCESS);
    cr_assert_eq(major, 8);
    cr_assert_eq(minor, 6);
}
