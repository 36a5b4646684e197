/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What single calls answer that hooks rest on: the layout of a kernel's parameters by either kind of handle, what a
 * context says after its reset, copies that name no direction where the block lies in host memory, and what still
 * works while the process ends. Each in a process of its own, as any may end it.
 */
#include "block.h"
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GOOD = 0,
    BAD = 10,
};

static void print(const char *what, const char *call, CUresult result)
{
    char name[128];

    snprintf(name, sizeof(name), "%s_%s", what, call);
    measure_result(name, result);
}

/* Whether the three parameters of `add` are told, and no fourth. */
static bool layout(const char *handle, CUresult (*ask)(CUfunction, size_t, size_t *, size_t *),
                   CUfunction function)
{
    size_t offset = 0, size = 0;
    CUresult first, past;

    if (!ask) {
        measure_word(handle, "absent", "entry");
        return true;
    }
    first = ask(function, 2, &offset, &size);
    past = ask(function, 3, &offset, &size);
    print(handle, "third", first);
    print(handle, "past_the_end", past);
    return first == CUDA_SUCCESS && past != CUDA_SUCCESS;
}

static CUresult ask_kernel(CUfunction function, size_t index, size_t *offset, size_t *size)
{
    return cu.cuKernelGetParamInfo((CUkernel)function, index, offset, size);
}

/* The library asks cuFuncGetParamInfo first; where that refuses a CUkernel, cuKernelGetParamInfo has to tell. */
static int layouts(void *unused)
{
    bool by_function, by_kernel;
    struct kernels kernels;
    CUlibrary library;
    CUkernel kernel;

    (void)unused;
    measure_open();
    kernels_load(&kernels);
    by_function = layout("function_cuFuncGetParamInfo", cu.cuFuncGetParamInfo, kernels.add);
    if (!cu.cuLibraryLoadFromFile || !cu.cuLibraryGetKernel) {
        measure_word("cuLibraryLoadFromFile", "absent", "entry");
        return by_function ? GOOD : BAD;
    }
    measure_must(kernels_library(&library), "cuLibraryLoadFromFile");
    MUST(cuLibraryGetKernel, (&kernel, library, "add"));
    by_kernel = layout("kernel_cuFuncGetParamInfo", cu.cuFuncGetParamInfo, (CUfunction)kernel);
    by_kernel |= layout("kernel_cuKernelGetParamInfo", cu.cuKernelGetParamInfo ? ask_kernel : NULL,
                        (CUfunction)kernel);
    MUST(cuLibraryUnload, (library));
    return by_function && by_kernel ? GOOD : BAD;
}

/* What a primary context answers: before, after its reset, and when it has been retained again. */
static bool is_dead(const char *when, CUcontext context, CUevent event)
{
    unsigned version = 0;
    CUresult asked = cu.cuCtxGetApiVersion(context, &version), created, allocated;
    CUdeviceptr pointer;
    CUcontext current;
    CUevent other;

    print(when, "cuCtxGetApiVersion", asked);
    print(when, "cuCtxGetCurrent", cu.cuCtxGetCurrent(&current));
    created = cu.cuEventCreate(&other, CU_EVENT_DISABLE_TIMING);
    print(when, "cuEventCreate", created);
    if (created == CUDA_SUCCESS)
        cu.cuEventDestroy(other);
    print(when, "cuStreamSynchronize", cu.cuStreamSynchronize(NULL));
    print(when, "cuCtxSynchronize", cu.cuCtxSynchronize());
    print(when, "cuCtxPushCurrent", cu.cuCtxPushCurrent(context));
    print(when, "cuCtxPopCurrent", cu.cuCtxPopCurrent(&current));
    allocated = cu.cuMemAlloc(&pointer, 4096);
    print(when, "cuMemAlloc", allocated);
    if (allocated == CUDA_SUCCESS)
        cu.cuMemFree(pointer);
    /* Its event went with the context: last, as the handle may be dereferenced. */
    print(when, "cuEventQuery", cu.cuEventQuery(event));
    if (cu.cuCtxRecordEvent)
        print(when, "cuCtxRecordEvent", cu.cuCtxRecordEvent(context, event));
    return asked != CUDA_SUCCESS;
}

static int reset(void *unused)
{
    CUdevice device = measure_open();
    CUcontext context, again;
    CUevent event;
    bool dead;

    (void)unused;
    MUST(cuCtxGetCurrent, (&context));
    MUST(cuEventCreate, (&event, CU_EVENT_DISABLE_TIMING));
    is_dead("before_reset", context, event);
    print("reset", "cuDevicePrimaryCtxReset", cu.cuDevicePrimaryCtxReset(device));
    dead = is_dead("after_reset", context, event);
    MUST(cuDevicePrimaryCtxRetain, (&again, device));
    measure_word("retained_again", again == context ? "same" : "other", "handle");
    MUST(cuCtxSetCurrent, (again));
    MUST(cuEventCreate, (&event, CU_EVENT_DISABLE_TIMING));
    is_dead("retained_again", again, event);
    return dead ? BAD : GOOD;
}

enum end {
    IN_HOST_MEMORY,
    OTHER_IN_HOST_MEMORY,
    ORDINARY,
    PINNED,
    ENDS,
};

static const char *const end_names[] = {"block", "other_block", "ordinary", "pinned"};

/* Every pair of ends, by calls that tell no direction; how many went wrong. */
static int copies(void *unused)
{
    CUdevice device = measure_open();
    struct block block, other;
    struct kernels kernels;
    CUdeviceptr ends[ENDS];
    void *pinned;
    int wrong = 0;

    (void)unused;
    kernels_load(&kernels);
    block_create(&block, device, 2 << 20);
    block_create(&other, device, 2 << 20);
    block_move(&block, PLACE_HOST);
    block_move(&other, PLACE_HOST);
    MUST(cuMemAlloc, (&ends[ORDINARY], block.bytes));
    MUST(cuMemAllocHost, (&pinned, block.bytes));
    ends[IN_HOST_MEMORY] = block.address;
    ends[OTHER_IN_HOST_MEMORY] = other.address;
    ends[PINNED] = (CUdeviceptr)(uintptr_t)pinned;
    for (unsigned pair = 0; pair < 2 * ENDS * ENDS; pair++) {
        unsigned from = pair / 2 / ENDS, to = pair / 2 % ENDS;
        bool waits = pair % 2 == 0;
        CUresult result;
        char name[96];

        if (from == to)
            continue;
        kernels_fill(&kernels, ends[from], block.bytes / 8, pair);
        if (to == PINNED)
            memset(pinned, 0, block.bytes);
        else
            MUST(cuMemsetD8, (ends[to], 0, block.bytes));
        MUST(cuCtxSynchronize, ());
        result = waits ? cu.cuMemcpy(ends[to], ends[from], block.bytes)
                       : cu.cuMemcpyAsync(ends[to], ends[from], block.bytes, NULL);
        MUST(cuCtxSynchronize, ());
        snprintf(name, sizeof(name), "%s_%s_to_%s", waits ? "cuMemcpy" : "cuMemcpyAsync", end_names[from],
                 end_names[to]);
        if (result == CUDA_SUCCESS && kernels_wrong(&kernels, ends[to], block.bytes / 8, pair, 0) == 0) {
            measure_word(name, "right", "copy");
            continue;
        }
        measure_result(name, result);
        measure_word(name, "wrong", "copy");
        wrong++;
    }
    return wrong ? BAD : GOOD;
}

/* What a program may do that asks for HOST_POINTER and believes the answer. */
static int host_pointer(void *unused)
{
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcPitch = 4096,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstPitch = 4096,
                          .WidthInBytes = 4096};
    CUdevice device = measure_open();
    struct block block;
    void *found = NULL;
    CUresult result;

    (void)unused;
    block_create(&block, device, 2 << 20);
    block_move(&block, PLACE_HOST);
    result = cu.cuPointerGetAttribute(&found, CU_POINTER_ATTRIBUTE_HOST_POINTER, block.address);
    measure_result("HOST_POINTER", result);
    measure_word("HOST_POINTER_is",
                 !found                              ? "null"
                 : (uintptr_t)found == block.address ? "the_address"
                                                     : "another",
                 "pointer");
    if (result != CUDA_SUCCESS || !found)
        return GOOD;
    MUST(cuMemAlloc, (&copy.dstDevice, block.bytes));
    copy.srcHost = found;
    copy.Height = block.bytes / 4096;
    measure_result("copy_from_HOST_POINTER", cu.cuMemcpy2D(&copy));
    return GOOD;
}

/* The driver at the end of the process, in the order in which a program's parts end. */
static bool ending;
static CUdeviceptr last_memory;

static void use_driver(const char *when)
{
    print(when, "cuCtxSynchronize", cu.cuCtxSynchronize());
    print(when, "cuMemFree", cu.cuMemFree(last_memory));
}

static void at_exit_before_driver(void)
{
    use_driver("atexit_registered_before_cuInit");
}

static void at_exit_after_driver(void)
{
    use_driver("atexit_registered_after_cuInit");
}

static __attribute__((destructor)) void in_destructor(void)
{
    if (ending)
        use_driver("destructor");
}

static int end(void *unused)
{
    (void)unused;
    atexit(at_exit_before_driver);
    measure_open();
    MUST(cuMemAlloc, (&last_memory, 4 << 20));
    atexit(at_exit_after_driver);
    ending = true;
    exit(GOOD);
}

int main(int argc, char **argv)
{
    int layouts_good, is_revived, copies_good, ended;

    measure_begin(argc, argv, "what do single calls answer that the hooks rest on?");
    layouts_good = measure_isolated("layouts", layouts, NULL);
    is_revived = measure_isolated("reset", reset, NULL);
    copies_good = measure_isolated("copies", copies, NULL);
    measure_isolated("host_pointer", host_pointer, NULL);
    ended = measure_isolated("end", end, NULL);
    measure_word("layouts", layouts_good == GOOD ? "told" : "not_told", "answer");
    measure_word("context_after_reset",
                 is_revived == GOOD  ? "usable"
                 : is_revived == BAD ? "dead"
                                     : "died",
                 "answer");
    /* Only what has answered can contradict; one that died or gave up has not. */
    if (layouts_good != BAD && copies_good != BAD && (layouts_good != GOOD || copies_good != GOOD))
        return MEASURE_BROKEN;
    return measure_verdict(
        layouts_good == GOOD && copies_good == GOOD && ended == GOOD, false,
        "layouts of parameters are %s; a context that was reset is %s; copies without a direction "
        "are %s; a process that uses the driver while it ends %s",
        layouts_good == GOOD ? "told" : "not told",
        is_revived == GOOD  ? "usable"
        : is_revived == BAD ? "dead until it is retained"
                            : "deadly",
        copies_good == GOOD ? "right" : "wrong", ended == GOOD ? "ends well" : "dies");
}
