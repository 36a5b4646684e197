/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated runtime as a program sees it. Each case is a process of its own. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    COUNT = 1000
};

static const unsigned long long huge = 1ULL << 50;

static cudaLibrary_t load(cudaKernel_t *add)
{
    cudaLibrary_t library;

    cr_assert_eq(cudaLibraryLoadFromFile(&library, getenv("TEST_KERNELS"), NULL, NULL, 0, NULL, NULL, 0),
                 cudaSuccess);
    cr_assert_eq(cudaLibraryGetKernel(add, library, "add"), cudaSuccess);
    return library;
}

static void launch(cudaKernel_t add, void *out, cudaStream_t stream)
{
    unsigned int value = 3;
    unsigned long long count = COUNT;
    void *arguments[] = {&out, &value, &count};

    cr_assert_eq(cudaLaunchKernel((const void *)add, (dim3){4, 1, 1}, (dim3){64, 1, 1}, arguments, 0, stream),
                 cudaSuccess);
}

static void *zeros(void)
{
    void *memory;

    cr_assert_eq(cudaMalloc(&memory, COUNT * sizeof(unsigned int)), cudaSuccess);
    cr_assert_eq(cudaMemset(memory, 0, COUNT * sizeof(unsigned int)), cudaSuccess);
    return memory;
}

static void expect_all(const void *memory, unsigned int value)
{
    unsigned int host[COUNT];

    cr_assert_eq(cudaMemcpy(host, memory, sizeof(host), cudaMemcpyDeviceToHost), cudaSuccess);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(host[i], value, "[%d] is %u", i, host[i]);
}

Test(runtime, an_error_is_remembered_until_it_is_asked_for)
{
    void *memory;
    int count;

    cr_assert_eq(cudaMalloc(&memory, huge), cudaErrorMemoryAllocation);
    cr_assert_eq(cudaGetDeviceCount(&count), cudaSuccess);
    cr_assert_eq(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
    cr_assert_eq(cudaGetLastError(), cudaErrorMemoryAllocation);
    cr_assert_eq(cudaGetLastError(), cudaSuccess);
}

static void *last_error_elsewhere(void *unused)
{
    (void)unused;
    return (void *)(unsigned long)cudaGetLastError();
}

Test(runtime, an_error_is_the_threads_own)
{
    pthread_t thread;
    void *memory, *other;

    cr_assert_eq(cudaMalloc(&memory, huge), cudaErrorMemoryAllocation);
    cr_assert_eq(pthread_create(&thread, NULL, last_error_elsewhere, NULL), 0);
    cr_assert_eq(pthread_join(thread, &other), 0);
    cr_assert_null(other);
    cr_assert_eq(cudaGetLastError(), cudaErrorMemoryAllocation);
}

Test(runtime, a_wrong_device_is_refused)
{
    cr_assert_eq(cudaSetDevice(99), cudaErrorInvalidDevice);
    cr_assert_eq(cudaSetDevice(-1), cudaErrorInvalidDevice);
}

Test(runtime, nothing_is_a_null_pointer)
{
    void *memory = &memory;

    cr_assert_eq(cudaMalloc(&memory, 0), cudaSuccess);
    cr_assert_null(memory);
    cr_assert_eq(cudaFree(memory), cudaSuccess);
}

Test(runtime, properties_describe_the_device)
{
    struct cudaDeviceProp properties;
    size_t free_bytes, total_bytes;

    cr_assert_eq(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    cr_assert_eq(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
    cr_assert_eq(properties.totalGlobalMem, total_bytes);
    cr_assert_leq(free_bytes, total_bytes);
    cr_assert_neq(properties.name[0], '\0');
    cr_assert_eq(properties.warpSize, 32);
    cr_assert_eq(cudaGetDeviceProperties(&properties, 99), cudaErrorInvalidDevice);
}

Test(runtime, a_kernel_runs_with_its_arguments)
{
    cudaKernel_t add;
    cudaLibrary_t library = load(&add);
    void *memory = zeros();
    unsigned int factor = 5;
    size_t bytes;
    void *variable;

    launch(add, memory, NULL);
    expect_all(memory, 3);
    cr_assert_eq(cudaLibraryGetGlobal(&variable, &bytes, library, "factor"), cudaSuccess);
    cr_assert_eq(bytes, sizeof(factor));
    cr_assert_eq(cudaMemcpy(variable, &factor, sizeof(factor), cudaMemcpyHostToDevice), cudaSuccess);
    launch(add, memory, NULL);
    expect_all(memory, 18);
    cr_assert_eq(cudaFree(memory), cudaSuccess);
    cr_assert_eq(cudaLibraryUnload(library), cudaSuccess);
}

Test(runtime, a_captured_graph_runs_as_often_as_it_is_launched)
{
    cudaKernel_t add;
    cudaLibrary_t library = load(&add);
    void *memory = zeros();
    enum cudaStreamCaptureStatus status;
    cudaGraphExec_t exec;
    cudaStream_t stream;
    cudaGraph_t graph;
    size_t nodes = 0;

    cr_assert_eq(cudaStreamCreate(&stream), cudaSuccess);
    cr_assert_eq(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    cr_assert_eq(cudaStreamIsCapturing(stream, &status), cudaSuccess);
    cr_assert_eq(status, cudaStreamCaptureStatusActive);
    launch(add, memory, stream);
    launch(add, memory, stream);
    cr_assert_eq(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cr_assert_eq(cudaGraphGetNodes(graph, NULL, &nodes), cudaSuccess);
    cr_assert_eq(nodes, 2);
    cr_assert_eq(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(cudaGraphLaunch(exec, stream), cudaSuccess);
    cr_assert_eq(cudaStreamSynchronize(stream), cudaSuccess);
    expect_all(memory, 18);
    cr_assert_eq(cudaGraphExecDestroy(exec), cudaSuccess);
    cr_assert_eq(cudaGraphDestroy(graph), cudaSuccess);
    cr_assert_eq(cudaStreamDestroy(stream), cudaSuccess);
    cr_assert_eq(cudaFree(memory), cudaSuccess);
    cr_assert_eq(cudaLibraryUnload(library), cudaSuccess);
}

Test(runtime, pointers_tell_where_they_lead)
{
    struct cudaPointerAttributes attributes;
    void *memory = zeros(), *pinned;
    int ordinary;

    cr_assert_eq(cudaPointerGetAttributes(&attributes, memory), cudaSuccess);
    cr_assert_eq(attributes.type, cudaMemoryTypeDevice);
    cr_assert_eq(attributes.devicePointer, memory);
    cr_assert_eq(cudaMallocHost(&pinned, 4096), cudaSuccess);
    cr_assert_eq(cudaPointerGetAttributes(&attributes, pinned), cudaSuccess);
    cr_assert_eq(attributes.type, cudaMemoryTypeHost);
    cr_assert_eq(cudaPointerGetAttributes(&attributes, &ordinary), cudaSuccess);
    cr_assert_eq(attributes.type, cudaMemoryTypeUnregistered);
    cr_assert_eq(cudaFreeHost(pinned), cudaSuccess);
    cr_assert_eq(cudaFree(memory), cudaSuccess);
}

Test(runtime, the_driver_is_asked_for_the_flavour_of_the_caller)
{
    typedef cudaError_t query(const char *, void **, unsigned int, unsigned long long,
                              enum cudaDriverEntryPointQueryResult *);
    query *per_thread = (query *)dlsym(RTLD_DEFAULT, "cudaGetDriverEntryPointByVersion_ptsz");
    enum cudaDriverEntryPointQueryResult found;
    void *ours = NULL, *theirs = NULL;

    cr_assert_not_null(per_thread);
    cr_assert_eq(cudaGetDriverEntryPointByVersion("cuMemcpyHtoDAsync", &ours, 12000, 0, &found), cudaSuccess);
    cr_assert_eq(found, cudaDriverEntryPointSuccess);
    cr_assert_eq(per_thread("cuMemcpyHtoDAsync", &theirs, 12000, 0, &found), cudaSuccess);
    cr_assert_not_null(ours);
    cr_assert_not_null(theirs);
    cr_assert_neq(ours, theirs);
    cr_assert_eq(cudaGetDriverEntryPointByVersion("cuNoSuchThing", &ours, 12000, 0, &found), cudaSuccess);
    cr_assert_null(ours);
    cr_assert_eq(found, cudaDriverEntryPointSymbolNotFound);
}

/* Opens the handle that it reads, asks for the event once it is told to, and waits for it; says after each how it went. */
static void follow(int orders, int answers)
{
    cudaIpcEventHandle_t handle;
    cudaEvent_t event;
    char good = read(orders, &handle, sizeof handle) == (ssize_t)sizeof handle &&
                cudaIpcOpenEventHandle(&event, handle) == cudaSuccess;

    if (write(answers, &good, 1) != 1 || read(orders, &good, 1) != 1)
        _exit(1);
    good = cudaEventQuery(event) == cudaErrorNotReady;
    if (write(answers, &good, 1) != 1)
        _exit(1);
    good = cudaEventSynchronize(event) == cudaSuccess;
    _exit(write(answers, &good, 1) == 1 ? 0 : 1);
}

static bool says_yes(int answers)
{
    char said;

    return read(answers, &said, 1) == 1 && said;
}

static void wait_until_set(void *flag)
{
    while (!__atomic_load_n((int *)flag, __ATOMIC_ACQUIRE))
        usleep(100);
}

Test(runtime, an_event_is_waited_for_in_another_process, .timeout = 60)
{
    int orders[2], answers[2], flag = 0;
    cudaIpcEventHandle_t handle;
    cudaEvent_t event;
    pid_t other;

    cr_assert_eq(pipe(orders) | pipe(answers), 0);
    other = fork();
    if (!other)
        follow(orders[0], answers[1]);
    cr_assert_eq(cudaEventCreateWithFlags(&event, cudaEventInterprocess), cudaErrorInvalidValue);
    cr_assert_eq(cudaEventCreateWithFlags(&event, cudaEventInterprocess | cudaEventDisableTiming),
                 cudaSuccess);
    cr_assert_eq(cudaIpcGetEventHandle(&handle, event), cudaSuccess);
    cr_assert_eq(write(orders[1], &handle, sizeof handle), (ssize_t)sizeof handle);
    cr_assert(says_yes(answers[0]));
    cr_assert_eq(cudaLaunchHostFunc(NULL, wait_until_set, &flag), cudaSuccess);
    cr_assert_eq(cudaEventRecord(event, NULL), cudaSuccess);
    cr_assert_eq(write(orders[1], "", 1), 1);
    cr_assert(says_yes(answers[0]));
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    cr_assert(says_yes(answers[0]));
    waitpid(other, NULL, 0);
}

Test(runtime, what_was_set_is_told_again)
{
    cudaLaunchAttributeValue value = {.priority = -1}, found = {0};
    enum cudaFuncCache config;
    unsigned int flags;
    cudaStream_t stream;
    size_t bytes;
    int device = 7;

    cr_assert_eq(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync | cudaDeviceMapHost), cudaSuccess);
    cr_assert_eq(cudaGetDeviceFlags(&flags), cudaSuccess);
    cr_assert_eq(flags, cudaDeviceScheduleBlockingSync | cudaDeviceMapHost);
    cr_assert_eq(cudaSetDeviceFlags(1u << 20), cudaErrorInvalidValue);
    cr_assert_eq(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 1 << 24), cudaSuccess);
    cr_assert_eq(cudaDeviceGetLimit(&bytes, cudaLimitMallocHeapSize), cudaSuccess);
    cr_assert_eq(bytes, 1 << 24);
    cr_assert_eq(cudaDeviceSetCacheConfig(cudaFuncCachePreferL1), cudaSuccess);
    cr_assert_eq(cudaDeviceGetCacheConfig(&config), cudaSuccess);
    cr_assert_eq(config, cudaFuncCachePreferL1);
    cr_assert_eq(cudaStreamCreate(&stream), cudaSuccess);
    cr_assert_eq(cudaStreamSetAttribute(stream, cudaLaunchAttributePriority, &value), cudaSuccess);
    cr_assert_eq(cudaStreamGetAttribute(stream, cudaLaunchAttributePriority, &found), cudaSuccess);
    cr_assert_eq(found.priority, -1);
    cr_assert_eq(cudaStreamGetDevice(stream, &device), cudaSuccess);
    cr_assert_eq(device, 0);
}

Test(runtime, advice_is_told_for_a_range_all_at_once)
{
    enum cudaMemRangeAttribute asked[] = {cudaMemRangeAttributeReadMostly,
                                          cudaMemRangeAttributePreferredLocation};
    struct cudaMemLocation host = {.type = cudaMemLocationTypeHost};
    int read_mostly = 7, preferred = 7;
    void *memory, *answers[] = {&read_mostly, &preferred};
    size_t sizes[] = {sizeof read_mostly, sizeof preferred};

    cr_assert_eq(cudaMallocManaged(&memory, 1 << 21, cudaMemAttachGlobal), cudaSuccess);
    cr_assert_eq(cudaMemAdvise(memory, 1 << 21, cudaMemAdviseSetPreferredLocation, host), cudaSuccess);
    cr_assert_eq(cudaMemRangeGetAttributes(answers, sizes, asked, 2, memory, 1 << 21), cudaSuccess);
    cr_assert(read_mostly == 0 && preferred == cudaCpuDeviceId);
}

Test(runtime, what_is_missing_says_so_and_fails)
{
    cr_assert_eq(cudaGraphDebugDotPrint(NULL, "", 0), cudaErrorNotSupported);
    cr_assert_eq(cudaGetLastError(), cudaErrorNotSupported);
}

Test(runtime, a_reset_device_can_be_used_again)
{
    void *memory = zeros();

    cr_assert_not_null(memory);
    cr_assert_eq(cudaDeviceReset(), cudaSuccess);
    memory = zeros();
    expect_all(memory, 0);
    cr_assert_eq(cudaFree(memory), cudaSuccess);
}
