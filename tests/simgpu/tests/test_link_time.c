/* SPDX-License-Identifier: Apache-2.0 */
/* What pinning takes, and what the link takes of those who use host memory where it is. */
#include "driver.h"

#include <criterion/criterion.h>
#include <time.h>

/* At 0.1 GB/s; a kernel gets 0.85 of that. */
enum {
    CARRIED_NS = 41943040, /* 4 MiB */
    REACHED_NS = 49344752
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static CUstream stream_new(void)
{
    CUstream stream;

    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static CUdeviceptr pinned(size_t bytes)
{
    void *memory;

    must(cuMemHostAlloc(&memory, bytes, 0));
    return (uintptr_t)memory;
}

static CUdeviceptr allocated(size_t bytes)
{
    CUdeviceptr address;

    must(cuMemAlloc(&address, bytes));
    return address;
}

/* Granules side by side, each in host memory or on the device. */
static CUdeviceptr mapped_at(const bool *on_host, size_t count)
{
    CUdeviceptr address = reserve(count * GRANULE);

    for (size_t i = 0; i < count; i++)
        must(cuMemMap(address + i * GRANULE, GRANULE, 0, on_host[i] ? physical_host() : physical(), 0));
    must(grant(address, count * GRANULE));
    return address;
}

static void start_with_link(void)
{
    setenv("SIMGPU_LINK_GBPS", "0.1", 1);
    start();
    module();
}

static uint64_t time_of(const char *name, void **params)
{
    uint64_t started = now_ns();

    must(launch(name, NULL, params));
    must(cuCtxSynchronize());
    return now_ns() - started;
}

Test(link_time, pinning_takes_its_time)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 0}};
    CUmemGenericAllocationHandle handle;
    static char own[4 * MIB];
    uint64_t started;
    void *memory;

    setenv("SIMGPU_PIN_GBPS", "0.1", 1);
    start();
    started = now_ns();
    must(cuMemHostAlloc(&memory, 4 * MIB, 0));
    cr_assert_geq(now_ns() - started, CARRIED_NS);
    started = now_ns();
    must(cuMemAllocHost(&memory, 4 * MIB));
    cr_assert_geq(now_ns() - started, CARRIED_NS);
    started = now_ns();
    must(cuMemHostRegister(own, sizeof own, 0));
    cr_assert_geq(now_ns() - started, CARRIED_NS);
    started = now_ns();
    must(cuMemCreate(&handle, 4 * MIB, &prop, 0));
    cr_assert_geq(now_ns() - started, CARRIED_NS);
}

Test(link_time, a_kernel_waits_for_the_link_to_host_memory_that_it_declares)
{
    const bool on_host[] = {true, true};
    CUdeviceptr memory[2];
    uint64_t bytes = 4 * MIB;

    start_with_link();
    memory[0] = pinned(4 * MIB);
    memory[1] = mapped_at(on_host, 2);
    for (size_t i = 0; i < 2; i++)
        cr_assert_geq(time_of("declare", (void *[]){&memory[i], &bytes}), REACHED_NS);
}

Test(link_time, a_kernel_waits_for_all_host_memory_that_it_gets_and_declares_nothing_in)
{
    const bool on_host[] = {true};
    uint64_t none = 0;
    uint32_t value = 0;
    CUdeviceptr memory;

    start_with_link();
    memory = pinned(4 * MIB);
    cr_assert_geq(time_of("fill", (void *[]){&memory, &value, &none}), REACHED_NS);
    memory = mapped_at(on_host, 1);
    cr_assert_geq(time_of("fill", (void *[]){&memory, &value, &none}), REACHED_NS / 2);
}

Test(link_time, the_link_of_a_kernel_is_that_of_copies)
{
    CUdeviceptr far, near, host;
    CUstream first, second;
    uint64_t bytes = 4 * MIB, started;

    start_with_link();
    first = stream_new();
    second = stream_new();
    far = pinned(4 * MIB);
    host = pinned(4 * MIB);
    near = allocated(4 * MIB);
    started = now_ns();
    must(launch("declare", first, (void *[]){&far, &bytes}));
    must(cuMemcpyAsync(near, host, 4 * MIB, second));
    must(cuCtxSynchronize());
    cr_assert_geq(now_ns() - started, REACHED_NS + CARRIED_NS);
}

Test(link_time, the_rate_of_what_kernels_reach_is_an_option_of_its_own)
{
    CUdeviceptr memory;
    uint64_t bytes = 4 * MIB;

    setenv("SIMGPU_ZEROCOPY_GBPS", "0.05", 1);
    start();
    module();
    memory = pinned(4 * MIB);
    cr_assert_geq(time_of("declare", (void *[]){&memory, &bytes}), 2 * CARRIED_NS);
}

Test(link_time, a_set_of_host_memory_waits_for_the_link)
{
    const bool on_host[] = {true, true};
    CUdeviceptr memory;
    uint64_t started;

    start_with_link();
    memory = mapped_at(on_host, 2);
    started = now_ns();
    must(cuMemsetD8(memory, 1, 4 * MIB));
    must(cuCtxSynchronize());
    cr_assert_geq(now_ns() - started, REACHED_NS);
}

Test(link_time, a_copy_waits_for_those_of_its_pieces_that_lie_in_host_memory)
{
    const bool last[] = {false, true}, first[] = {true, false};
    CUdeviceptr from, to;
    uint64_t started;

    start_with_link();
    from = mapped_at(last, 2);
    to = allocated(4 * MIB);
    started = now_ns();
    must(cuMemcpyDtoD(to, from, 4 * MIB));
    must(cuCtxSynchronize());
    cr_assert_geq(now_ns() - started, CARRIED_NS / 2);
    to = mapped_at(first, 2);
    started = now_ns();
    must(cuMemcpyDtoD(to, from, 4 * MIB));
    must(cuCtxSynchronize());
    cr_assert_geq(now_ns() - started, CARRIED_NS / 2, "one piece each way, at once");
}

Test(link_time, a_device_carries_what_it_copies_within_host_memory)
{
    const bool on_host[] = {true, true};
    CUdeviceptr from, to;
    uint64_t started;

    start_with_link();
    from = mapped_at(on_host, 2);
    to = mapped_at(on_host, 2);
    started = now_ns();
    must(cuMemcpyDtoD(to, from, 4 * MIB));
    must(cuCtxSynchronize());
    cr_assert_geq(now_ns() - started, CARRIED_NS);
}
