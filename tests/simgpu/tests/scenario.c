/* SPDX-License-Identifier: Apache-2.0 */
/* Short programs whose report is the test's subject. usage: scenario NAME; what they find wrong themselves ends them
 * with 2. */
#include "driver.h"
#include "scenario_managed.h"
#include "scenario_order.h"
#include "scenario_ptx.h"
#include "scenario_threads.h"

#include <sched.h>
#include <string.h>

static CUstream first, second;

static void streams(void)
{
    start();
    must(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
}

static CUdeviceptr device(size_t bytes)
{
    CUdeviceptr address;

    must(cuMemAlloc(&address, bytes));
    return address;
}

/* The stream is busy until the word is set. */
static uint32_t *hold(CUstream stream)
{
    uint32_t *flag = flags();

    must(launch("wait", stream, (void *[]){&flag}));
    return flag;
}

/* Named by a parameter of a kernel that still waits for its turn. */
static void unmap_named(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    uint64_t none = 0;
    uint32_t *flag, value = 0;

    streams();
    address = mapped(&handle);
    flag = hold(first);
    must(launch("fill", first, (void *[]){&address, &value, &none}));
    must(cuMemUnmap(address, GRANULE));
    let_go(flag);
    must(cuCtxSynchronize());
}

static void unmap_after_drain(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    uint64_t none = 0;
    uint32_t *flag, value = 0;

    streams();
    address = mapped(&handle);
    flag = hold(first);
    must(launch("fill", first, (void *[]){&address, &value, &none}));
    let_go(flag);
    must(cuCtxSynchronize());
    must(cuMemUnmap(address, GRANULE));
    must(cuMemRelease(handle));
    must(cuMemAddressFree(address, GRANULE));
}

static void unmap_under_copy(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address, other;
    uint32_t *flag;

    streams();
    address = mapped(&handle);
    other = device(4096);
    flag = hold(first);
    must(cuMemcpyDtoDAsync(other, address + 4096, 64, first));
    must(cuMemUnmap(address, GRANULE));
    let_go(flag);
    must(cuMemFreeHost(flag) == CUDA_ERROR_ILLEGAL_ADDRESS ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN);
}

/* A pointer in memory: seen by nobody but the kernel, which declares it. */
static void unmap_touched(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address, holder;
    uint32_t *words;
    uint64_t bytes = GRANULE;

    streams();
    address = mapped(&handle);
    holder = device(8);
    must(cuMemcpyHtoD(holder, &address, sizeof address));
    words = flags();
    must(launch("touch_through", first, (void *[]){&holder, &bytes, &words}));
    while (!__atomic_load_n(&words[0], __ATOMIC_ACQUIRE))
        sched_yield();
    must(cuMemUnmap(address, GRANULE));
    let_go(&words[1]);
    must(cuCtxSynchronize());
}

static void revoke_named(void)
{
    CUmemAccessDesc none = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_NONE};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    uint64_t count = 0;
    uint32_t *flag, value = 0;

    streams();
    address = mapped(&handle);
    flag = hold(first);
    must(launch("fill", first, (void *[]){&address, &value, &count}));
    must(grant(address, GRANULE));
    must(cuMemSetAccess(address, GRANULE, &none, 1));
    let_go(flag);
    must(cuCtxSynchronize());
}

static void unmap_named_by_graph(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    CUgraph graph;
    CUgraphExec exec;
    uint32_t *flag;

    streams();
    address = mapped(&handle);
    must(cuStreamBeginCapture(second, CU_STREAM_CAPTURE_MODE_RELAXED));
    must(cuMemsetD8Async(address, 1, 64, second));
    must(cuStreamEndCapture(second, &graph));
    must(cuGraphInstantiate(&exec, graph, 0));
    flag = hold(first);
    must(cuGraphLaunch(exec, first));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    must(grant(address, GRANULE));
    let_go(flag);
    must(cuCtxSynchronize());
}

static void free_waits(void)
{
    CUdeviceptr address;
    uint64_t none = 0;
    uint32_t value = 0;

    streams();
    address = device(4096);
    must(launch("fill", first, (void *[]){&address, &value, &none}));
    must(cuMemFree(address));
}

static void unordered_sets(void)
{
    CUdeviceptr address;

    streams();
    address = device(4096);
    must(cuMemsetD8Async(address, 1, 100, first));
    must(cuMemsetD8Async(address + 99, 2, 100, second));
    must(cuCtxSynchronize());
}

/* Another address of the same memory. */
static void unordered_alias(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address, alias;

    streams();
    address = mapped(&handle);
    alias = reserve(GRANULE);
    must(cuMemMap(alias, GRANULE, 0, handle, 0));
    must(grant(alias, GRANULE));
    must(cuMemsetD8Async(address, 1, 100, first));
    must(cuMemsetD8Async(alias, 2, 100, second));
    must(cuCtxSynchronize());
}

static void unordered_kernel_and_copy(void)
{
    CUdeviceptr address;
    uint32_t value = 1, *pinned;
    uint64_t count = 10;

    streams();
    address = device(4096);
    pinned = flags();
    must(launch("fill", first, (void *[]){&address, &value, &count}));
    must(cuMemcpyHtoDAsync(address, pinned, 64, second));
    must(cuCtxSynchronize());
}

/* Two halves of one allocation: the kernel declares which it uses. */
static void declared_halves(void)
{
    CUdeviceptr address;
    uint32_t *pinned;
    uint64_t count = 16;

    streams();
    address = device(4096);
    pinned = flags();
    must(launch("add", first, (void *[]){&address, &address, &count}));
    must(cuMemcpyHtoDAsync(address + 2048, pinned, 64, second));
    must(cuCtxSynchronize());
}

static void unordered_host_buffer(void)
{
    CUdeviceptr address;
    uint32_t *pinned;

    streams();
    address = device(4096);
    pinned = flags();
    must(cuMemcpyDtoHAsync(pinned, address, 64, first));
    must(cuMemcpyHtoDAsync(address + 2048, pinned, 64, second));
    must(cuCtxSynchronize());
}

static void unordered_in_graph(void)
{
    CUDA_MEMSET_NODE_PARAMS set = {.elementSize = 1, .width = 64, .height = 1};
    CUgraphNode nodes[3];
    CUgraphExec exec;
    CUcontext context;
    CUgraph graph;

    streams();
    must(cuCtxGetCurrent(&context));
    set.dst = device(4096);
    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &set, context));
    must(cuGraphAddMemsetNode(&nodes[1], graph, &nodes[0], 1, &set, context));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, first));
    must(cuCtxSynchronize());
    must(cuGraphAddMemsetNode(&nodes[2], graph, &nodes[0], 1, &set, context));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, first));
    must(cuCtxSynchronize());
}

/* Columns of one pitched matrix, side by side. */
static void columns(void)
{
    CUdeviceptr address;
    size_t pitch;

    streams();
    must(cuMemAllocPitch(&address, &pitch, 512, 8, 4));
    must(cuMemsetD2D8Async(address, pitch, 1, 100, 8, first));
    must(cuMemsetD2D8Async(address + 100, pitch, 2, 100, 8, second));
    must(cuCtxSynchronize());
    must(cuMemFree(address));
}

static void moved_graph_memory(void)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    CUgraph graph;
    CUgraphExec exec;

    streams();
    address = mapped(&handle);
    must(cuStreamBeginCapture(second, CU_STREAM_CAPTURE_MODE_RELAXED));
    must(cuMemsetD8Async(address, 1, 64, second));
    must(cuStreamEndCapture(second, &graph));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemMap(address, GRANULE, 0, physical_host(), 0));
    must(grant(address, GRANULE));
    must(cuGraphLaunch(exec, first));
    must(cuCtxSynchronize());
}

static void illegal_address(void)
{
    CUdeviceptr address;
    uint64_t count = 1;
    uint32_t value = 1;

    streams();
    address = reserve(GRANULE);
    must(launch("fill", first, (void *[]){&address, &value, &count}));
    if (cuCtxSynchronize() != CUDA_ERROR_ILLEGAL_ADDRESS)
        exit(2);
}

/* One of each that counts as a leak, and some that do not. */
static void leaks(void)
{
    void *pinned;

    streams();
    device(100);
    must(cuMemHostAlloc(&pinned, 4096, 0));
    reserve(GRANULE);
    physical();
}

static void peaks(void)
{
    CUmemGenericAllocationHandle handle, host;
    CUdeviceptr address;

    streams();
    handle = physical();
    host = physical_host();
    address = device(5 * MIB);
    must(cuMemFree(address));
    must(cuMemRelease(handle));
    must(cuMemRelease(host));
    device(10);
}

static void no_init(void)
{
    int version;

    must(cuDriverGetVersion(&version));
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"unmap_named", unmap_named},
    {"unmap_after_drain", unmap_after_drain},
    {"unmap_under_copy", unmap_under_copy},
    {"unmap_touched", unmap_touched},
    {"revoke_named", revoke_named},
    {"unmap_named_by_graph", unmap_named_by_graph},
    {"free_waits", free_waits},
    {"unordered_sets", unordered_sets},
    {"value_ordered", value_ordered},
    {"value_unordered", value_unordered},
    {"unordered_alias", unordered_alias},
    {"unordered_kernel_and_copy", unordered_kernel_and_copy},
    {"declared_halves", declared_halves},
    {"unordered_host_buffer", unordered_host_buffer},
    {"unordered_in_graph", unordered_in_graph},
    {"all_ordered", all_ordered},
    {"columns", columns},
    {"moved_graph_memory", moved_graph_memory},
    {"illegal_address", illegal_address},
    {"paged", paged},
    {"ptx_unordered", ptx_unordered},
    {"ptx_ordered", ptx_ordered},
    {"ptx_beside", ptx_beside},
    {"ptx_sample_unordered", ptx_sample_unordered},
    {"ptx_sample_beside", ptx_sample_beside},
    {"ptx_unmap_used", ptx_unmap_used},
    {"ptx_managed", ptx_managed},
    {"ptx_zero_copy", ptx_zero_copy},
    {"ptx_trap", ptx_trap},
    {"leaks", leaks},
    {"peaks", peaks},
    {"no_init", no_init},
    {"storm", storm},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0) {
            scenarios[i].run();
            return 0;
        }
    }
    return 2;
}
