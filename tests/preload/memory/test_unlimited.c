/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded with EBBTIDE_DEVICE_BUDGET=off on a simulated device of 1 GiB: no limit of ours, so no figures of ours. */
#include "../world.h"

#include "cuda/nvml.h"

#include <dlfcn.h>

/* What NVML says of device 0. */
static nvmlMemory_t nvml_memory(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    nvmlDevice_t device;
    nvmlMemory_t memory = {0};

    cr_assert(library, "%s", dlerror());
    int (*init)(void) = (int (*)(void))(uintptr_t)dlsym(library, "nvmlInit_v2");
    int (*by_index)(unsigned, nvmlDevice_t *) =
        (int (*)(unsigned, nvmlDevice_t *))(uintptr_t)dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    int (*ask)(nvmlDevice_t, nvmlMemory_t *) =
        (int (*)(nvmlDevice_t, nvmlMemory_t *))(uintptr_t)dlsym(library, "nvmlDeviceGetMemoryInfo");

    cr_assert(init && by_index && ask);
    cr_assert_eq(init(), 0);
    cr_assert_eq(by_index(0, &device), 0);
    cr_assert_eq(ask(device, &memory), 0);
    return memory;
}

static size_t free_now(void)
{
    size_t free_bytes, total_bytes;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    cr_expect_eq(total_bytes, 1024 * MIB, "%zu", total_bytes);
    cr_expect_leq(free_bytes, total_bytes);
    return free_bytes;
}

Test(unlimited, programs_are_told_the_drivers_own_total)
{
    struct world world = world_make();
    size_t device_bytes;

    free_now();
    OK(cuDeviceTotalMem(&device_bytes, world.device));
    cr_expect_eq(device_bytes, 1024 * MIB);
    cr_expect_eq(nvml_memory().total, 1024 * MIB);
    world_end(&world);
}

Test(unlimited, what_was_freed_is_free_though_we_keep_it_at_hand)
{
    struct world world = world_make();
    size_t before = free_now(), held;
    CUdeviceptr block;

    OK(cuMemAlloc(&block, 64 * MIB));
    held = free_now();
    cr_expect_eq(before - held, 64 * MIB, "%zu", before - held);
    cr_expect_eq(nvml_memory().free, held);
    OK(cuMemFree(block));
    cr_expect_eq(free_now(), before);
    world_end(&world);
}
