/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on two simulated devices of 1 GiB, budgets 16 and 24 MiB: whoever asks for memory hears the same story.
 * CUDA_VISIBLE_DEVICES turns their order around, or hides the first; NVML counts all in the machine's. */
#include "../world.h"

#include "cuda/nvml.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef TOLD_VIRTUAL
#define TOTAL(ordinal) ((ordinal) ? 24 * MIB : 16 * MIB)
#define MEMINFO_USED   (6 * MIB) /* of a device that holds 4 more of another process */
#else
#define TOTAL(ordinal) ((void)(ordinal), (size_t)1024 * MIB)
#define MEMINFO_USED   (10 * MIB)
#endif

/* The library as monitoring programs load it, device 1 first as it counts them, and as a program's own device 0 where
 * the other is hidden. */
struct nvml {
    void *handle;
    nvmlDevice_t device[2];
    __typeof__(nvmlDeviceGetMemoryInfo) *memory;
    __typeof__(nvmlDeviceGetMemoryInfo_v2) *memory_v2;
    __typeof__(nvmlDeviceGetComputeRunningProcesses) *processes;
    __typeof__(nvmlDeviceGetComputeRunningProcesses_v2) *processes_v2;
    __typeof__(nvmlDeviceGetComputeRunningProcesses_v3) *processes_v3;
};

static void *function(const struct nvml *nvml, const char *name)
{
    void *found = dlsym(nvml->handle, name);

    cr_assert(found, "%s", dlerror());
    return found;
}

static struct nvml nvml_open(void)
{
    struct nvml nvml = {.handle = dlopen("libnvidia-ml.so.1", RTLD_NOW)};

    cr_assert(nvml.handle, "%s", dlerror());
    int (*init)(void) = (int (*)(void))(uintptr_t)function(&nvml, "nvmlInit_v2");
    int (*by_index)(unsigned, nvmlDevice_t *) =
        (int (*)(unsigned, nvmlDevice_t *))(uintptr_t)function(&nvml, "nvmlDeviceGetHandleByIndex_v2");

    cr_assert_eq(init(), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(by_index(1 - i, &nvml.device[i]), 0);
    *(void **)&nvml.memory = function(&nvml, "nvmlDeviceGetMemoryInfo");
    *(void **)&nvml.memory_v2 = function(&nvml, "nvmlDeviceGetMemoryInfo_v2");
    *(void **)&nvml.processes = function(&nvml, "nvmlDeviceGetComputeRunningProcesses");
    *(void **)&nvml.processes_v2 = function(&nvml, "nvmlDeviceGetComputeRunningProcesses_v2");
    *(void **)&nvml.processes_v3 = function(&nvml, "nvmlDeviceGetComputeRunningProcesses_v3");
    return nvml;
}

/* Everybody says the same of a device whose context is current. */
static void expect_agreement(const struct nvml *nvml, int ordinal)
{
    nvmlMemory_t first;
    nvmlMemory_v2_t second = {.version = (unsigned)sizeof second | 2u << 24};
    nvmlProcessInfo_v1_t old;
    nvmlProcessInfo_v2_t process;
    unsigned count = 1;
    size_t free_bytes, total_bytes, device_bytes;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    OK(cuDeviceTotalMem(&device_bytes, ordinal));
    cr_expect_eq(total_bytes, TOTAL(ordinal), "%zu", total_bytes);
    cr_expect_eq(device_bytes, total_bytes);
    cr_assert_eq(nvml->memory(nvml->device[ordinal], &first), 0);
    cr_expect(first.total == total_bytes && first.free == free_bytes &&
                  first.used == total_bytes - free_bytes,
              "%llu of %llu free, expected %zu of %zu", first.free, first.total, free_bytes, total_bytes);
    cr_assert_eq(nvml->memory_v2(nvml->device[ordinal], &second), 0);
    cr_expect(second.total == first.total && second.free == first.free && second.used == first.used);
    cr_expect_eq(second.version, (unsigned)sizeof second | 2u << 24);
    cr_expect_eq(second.reserved + second.free + second.used, second.total);
    cr_assert_eq(nvml->processes(nvml->device[ordinal], &count, &old), 0);
    cr_expect(count == 1 && old.pid == (unsigned)getpid() && old.usedGpuMemory == first.used);
    cr_assert_eq(nvml->processes_v2(nvml->device[ordinal], &count, &process), 0);
    cr_expect(count == 1 && process.pid == (unsigned)getpid() && process.usedGpuMemory == first.used);
    cr_assert_eq(nvml->processes_v3(nvml->device[ordinal], &count, &process), 0);
    cr_expect_eq(process.usedGpuMemory, first.used);
}

Test(queries, agree_with_each_other_and_the_budget)
{
    struct world world = world_make();
    struct nvml nvml = nvml_open();
    CUdeviceptr block, small;
    CUcontext other;

    expect_agreement(&nvml, 0);
    OK(cuMemAlloc(&block, 4 * MIB));
    OK(cuMemAlloc(&small, 1000));
    expect_agreement(&nvml, 0);
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    OK(cuCtxSetCurrent(other));
    expect_agreement(&nvml, 1);
    OK(cuCtxSetCurrent(world.context));
    OK(cuMemFree(block));
    OK(cuMemFree(small));
    expect_agreement(&nvml, 0);
    OK(cuDevicePrimaryCtxRelease(1));
    world_end(&world);
}

Test(queries, pass_on_what_the_library_refuses)
{
    struct world world = world_make();
    struct nvml nvml = nvml_open();
    nvmlMemory_v2_t old_version = {.version = 1};
    nvmlMemory_t memory = {.total = 7};
    nvmlProcessInfo_v2_t process;
    unsigned count = 0;

    cr_expect_eq(nvml.memory_v2(nvml.device[0], &old_version), 25);
    cr_expect_eq(nvml.memory(NULL, &memory), 2);
    cr_expect_eq(memory.total, 7);
    cr_expect_eq(nvml.processes_v3(nvml.device[0], &count, &process), 7);
    cr_expect_eq(count, 1);
    world_end(&world);
}

Test(queries, before_cuda_is_up_have_the_real_answer)
{
    struct nvml nvml = nvml_open();
    nvmlMemory_t memory;

    cr_assert_eq(nvml.memory(nvml.device[0], &memory), 0);
    cr_expect_eq(memory.total, 1024 * MIB);
}

Test(hidden, devices_have_the_real_answer_and_the_others_that_of_the_budget)
{
    struct world world = world_make();
    struct nvml nvml = nvml_open();
    nvmlProcessInfo_v2_t process;
    nvmlMemory_t memory;
    unsigned count = 1;
    CUdeviceptr block;

    OK(cuMemAlloc(&block, 4 * MIB));
    expect_agreement(&nvml, 0);
    cr_assert_eq(nvml.memory(nvml.device[1], &memory), 0);
    cr_expect_eq(memory.total, 1024 * MIB);
    cr_expect_eq(memory.used, 0);
    cr_assert_eq(nvml.processes_v3(nvml.device[1], &count, &process), 0);
    cr_expect_eq(count, 0);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Another process on the first device, with its library, until the pipe ends. */
static pid_t start_other(int ready, int end)
{
    pid_t child = fork();
    char byte = 0;

    if (child == 0) {
        CUcontext context;
        CUdeviceptr block;

        if (cuInit(0) == CUDA_SUCCESS && cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
            cuCtxSetCurrent(context) == CUDA_SUCCESS && cuMemAlloc(&block, 4 * MIB) == CUDA_SUCCESS)
            byte = 1;
        if (write(ready, &byte, 1) != 1)
            _exit(1);
        _exit((int)read(end, &byte, 1));
    }
    return child;
}

/* 6 MiB are ours, and 4 another's. */
static void expect_shared(const struct nvml *nvml)
{
    size_t free_bytes, total_bytes;
    nvmlMemory_t memory;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    cr_assert_eq(nvml->memory(nvml->device[0], &memory), 0);
    cr_expect(memory.total == total_bytes && memory.free == free_bytes);
    cr_expect_eq(total_bytes, TOTAL(0));
    cr_expect_eq(memory.used, MEMINFO_USED);
}

/* Its own figures are those of its budget, and another process's are the device's. */
Test(shared, device_is_told_of_by_each_process_with_its_own_budget)
{
    char path[64], byte = 0;
    nvmlProcessInfo_v2_t infos[4];
    unsigned count = 4, found = 0;
    int ready[2], end[2];
    struct world world;
    struct nvml nvml;
    CUdeviceptr block;
    pid_t other;

    snprintf(path, sizeof path, "%s/simgpu-queries-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    setenv("SIMGPU_SHARED", path, 1);
    cr_assert(pipe(ready) == 0 && pipe(end) == 0);
    other = start_other(ready[1], end[0]);
    cr_assert(read(ready[0], &byte, 1) == 1 && byte);
    world = world_make();
    nvml = nvml_open();
    OK(cuMemAlloc(&block, 6 * MIB));
    cr_assert_eq(nvml.processes_v3(nvml.device[0], &count, infos), 0);
    cr_assert_eq(count, 2);
    for (unsigned i = 0; i < count; i++) {
        found += infos[i].pid == (unsigned)getpid() && infos[i].usedGpuMemory == 6 * MIB;
        found += infos[i].pid == (unsigned)other && infos[i].usedGpuMemory == 4 * MIB;
    }
    cr_expect_eq(found, 2);
    expect_shared(&nvml);
    OK(cuMemFree(block));
    world_end(&world);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    unlink(path);
}
