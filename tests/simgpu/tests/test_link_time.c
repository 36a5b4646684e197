/* SPDX-License-Identifier: Apache-2.0 */
/* What pinning takes, and what the link takes of those who use host memory where it is. */
#include "driver.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* What the options charge is counted, so that it can be told exactly, however long the machine takes. */
static void expect_spent(uint64_t to_device, uint64_t from_device, uint64_t faults, uint64_t kernels,
                         uint64_t mapping)
{
    cr_expect_eq(simgpu_spent_ns(0, TO_DEVICE), to_device, "%llu",
                 (unsigned long long)simgpu_spent_ns(0, TO_DEVICE));
    cr_expect_eq(simgpu_spent_ns(0, FROM_DEVICE), from_device, "%llu",
                 (unsigned long long)simgpu_spent_ns(0, FROM_DEVICE));
    cr_expect_eq(simgpu_spent_ns(0, FAULTS), faults, "%llu", (unsigned long long)simgpu_spent_ns(0, FAULTS));
    cr_expect_eq(simgpu_spent_ns(0, KERNELS), kernels, "%llu",
                 (unsigned long long)simgpu_spent_ns(0, KERNELS));
    cr_expect_eq(simgpu_spent_ns(0, MAPPING), mapping, "%llu",
                 (unsigned long long)simgpu_spent_ns(0, MAPPING));
}

static void declare_times(CUdeviceptr memory, uint64_t bytes, uint64_t passes, uint64_t ns)
{
    must(launch("declare_times", NULL, (void *[]){&memory, &bytes, &passes, &ns}));
    must(cuCtxSynchronize());
}

Test(link_time, nothing_takes_time_unless_an_option_says_so)
{
    const bool on_host[] = {true};
    CUdeviceptr near, far;

    start();
    module();
    near = allocated(4 * MIB);
    far = pinned(4 * MIB);
    must(cuMemcpy(near, far, 4 * MIB));
    must(cuMemcpy(far, near, 4 * MIB));
    declare_times(far, 4 * MIB, 3, 1000000000);
    declare_times(mapped_at(on_host, 1), 2 * MIB, 3, 0);
    must(cuMemAllocManaged(&near, 4 * MIB, CU_MEM_ATTACH_GLOBAL));
    declare_times(near, 4 * MIB, 1, 0);
    expect_spent(0, 0, 0, 0, 0);
}

Test(link_time, what_a_kernel_goes_over_several_times_is_carried_as_often)
{
    setenv("SIMGPU_LINK_GBPS", "1", 1);
    setenv("SIMGPU_ZEROCOPY_GBPS", "0.5", 1);
    start();
    module();
    declare_times(pinned(4 * MIB), 4 * MIB, 3, 0);
    expect_spent(3 * 2 * 4 * MIB, 0, 0, 0, 0);
    declare_times(allocated(4 * MIB), 4 * MIB, 3, 0);
    expect_spent(3 * 2 * 4 * MIB, 0, 0, 0, 0);
}

Test(link_time, a_kernel_takes_what_its_argument_says_by_the_scale)
{
    CUdeviceptr near;
    uint64_t started;

    setenv("SIMGPU_KERNEL_SCALE", "12", 1);
    setenv("SIMGPU_KERNEL_NS", "2000000", 1);
    start();
    module();
    near = allocated(2 * MIB);
    declare_times(near, 2 * MIB, 1, 1000000);
    expect_spent(0, 0, 0, 12000000, 0);
    started = now_ns();
    declare_times(near, 2 * MIB, 1, 100000);
    cr_expect_geq(now_ns() - started, 2000000);
    expect_spent(0, 0, 0, 14000000, 0); /* and the least that any takes */
}

Test(link_time, each_mapping_call_takes_its_own)
{
    CUdeviceptr address;
    CUmemGenericAllocationHandle handle;

    setenv("SIMGPU_VMM_NS", "1,20,300,4000,50000", 1);
    start();
    address = mapped(&handle);
    expect_spent(0, 0, 0, 0, 321);
    must(cuMemUnmap(address, GRANULE));
    expect_spent(0, 0, 0, 0, 4321);
    must(cuMemRelease(handle));
    expect_spent(0, 0, 0, 0, 54321);
}

Test(link_time, one_number_is_for_all_mapping_calls_and_others_are_refused)
{
    static const char *const bad[] = {"1,2", "1,2,3,4,5,6", "", "1,,2,3,4", "-1", "1,2,3,4,5,", "x"};
    CUmemGenericAllocationHandle handle;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            setenv("SIMGPU_VMM_NS", bad[i], 1);
            _exit(cuInit(0) == CUDA_SUCCESS);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect_eq(status, 0, "'%s'", bad[i]);
    }
    setenv("SIMGPU_VMM_NS", "7", 1);
    start();
    mapped(&handle);
    expect_spent(0, 0, 0, 0, 21);
}

/* Four seconds out, four milliseconds in: who is done first does not hang on the machine. */
Test(link_time, a_copy_passes_one_that_goes_the_other_way_and_waits_for_one_that_goes_its_own)
{
    CUdeviceptr near, host;
    CUstream first, second;
    uint64_t started;

    setenv("SIMGPU_LINK_GBPS", "0.001", 1);
    start();
    first = stream_new();
    second = stream_new();
    near = allocated(8 * MIB);
    host = pinned(8 * MIB);
    started = now_ns();
    must(cuMemcpyAsync(host, near, 4 * MIB, first));
    must(cuMemcpyAsync(near + 4 * MIB, host + 4 * MIB, 4096, second));
    must(cuStreamSynchronize(second));
    cr_expect_eq(cuStreamQuery(first), CUDA_ERROR_NOT_READY);
    while (!simgpu_spent_ns(0, FROM_DEVICE)) /* the first has taken its place */
        sched_yield();
    must(cuMemcpyAsync(host + 4 * MIB, near + 4 * MIB, 4096, second));
    must(cuStreamSynchronize(second));
    cr_expect_geq(now_ns() - started, 100ull * CARRIED_NS + 4096000);
}
