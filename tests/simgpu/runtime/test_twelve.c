/* SPDX-License-Identifier: Apache-2.0 */
/* libcudart.so.12, as programs use it that were built before 13: by its names, forms and sizes. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

enum {
    PROPERTIES_BYTES = 1032,
    POINTER_BYTES = 24,
    BYTES = 1 << 20
};

/* The function of that name and form. */
#define CALL(name, ...) ((cudaError_t(*)(__VA_ARGS__))find(#name))

static void *find(const char *name)
{
    void *library = dlopen("libcudart.so.12", RTLD_NOW);
    void *function;

    cr_assert_not_null(library, "%s", dlerror());
    function = dlvsym(library, name, "libcudart.so.12");
    cr_assert_not_null(function, "%s", dlerror());
    return function;
}

static void *memory(void)
{
    void *made;

    cr_assert_eq(CALL(cudaMalloc, void **, size_t)(&made, BYTES), cudaSuccess);
    return made;
}

Test(twelve, says_what_it_is)
{
    int version;

    cr_assert_eq(CALL(cudaRuntimeGetVersion, int *)(&version), cudaSuccess);
    cr_assert_eq(version, 12090);
}

/* Where programs read what they ask for. */
static int int_at(const unsigned char *answer, size_t offset)
{
    int value;

    memcpy(&value, answer + offset, sizeof value);
    return value;
}

Test(twelve, describes_the_device_in_its_own_layout)
{
    enum {
        TOTAL = 288,
        CLOCK_RATE = 348,
        MAJOR = 360,
        CLUSTER_LAUNCH = 772
    };
    unsigned char answer[PROPERTIES_BYTES + 64];
    size_t free_bytes, total_bytes, told;
    int major, clock_rate, clusters;

    memset(answer, 0xa5, sizeof answer);
    cr_assert_eq(CALL(cudaGetDeviceProperties_v2, void *, int)(answer, 0), cudaSuccess);
    cr_assert_eq(CALL(cudaMemGetInfo, size_t *, size_t *)(&free_bytes, &total_bytes), cudaSuccess);
    CALL(cudaDeviceGetAttribute, int *, int, int)(&major, cudaDevAttrComputeCapabilityMajor, 0);
    CALL(cudaDeviceGetAttribute, int *, int, int)(&clock_rate, cudaDevAttrClockRate, 0);
    CALL(cudaDeviceGetAttribute, int *, int, int)(&clusters, cudaDevAttrClusterLaunch, 0);
    memcpy(&told, answer + TOTAL, sizeof told);
    cr_assert_eq(told, total_bytes);
    cr_assert_eq(int_at(answer, MAJOR), major);
    cr_assert_eq(int_at(answer, CLOCK_RATE), clock_rate);
    cr_assert_eq(int_at(answer, CLUSTER_LAUNCH), clusters);
    for (size_t i = PROPERTIES_BYTES; i < sizeof answer; i++)
        cr_assert_eq(answer[i], 0xa5, "written beyond its end");
}

Test(twelve, describes_a_pointer_in_its_own_layout)
{
    unsigned char answer[POINTER_BYTES + 64];
    void *made = memory(), *told;

    memset(answer, 0xa5, sizeof answer);
    cr_assert_eq(CALL(cudaPointerGetAttributes, void *, const void *)(answer, made), cudaSuccess);
    memcpy(&told, answer + 8, sizeof told);
    cr_assert_eq(told, made);
    for (size_t i = POINTER_BYTES; i < sizeof answer; i++)
        cr_assert_eq(answer[i], 0xa5, "written beyond its end");
}

Test(twelve, takes_the_number_of_a_device_for_a_place)
{
    void *managed;

    cr_assert_eq(CALL(cudaMallocManaged, void **, size_t, unsigned)(&managed, BYTES, cudaMemAttachGlobal),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaMemAdvise, const void *, size_t, int,
                      int)(managed, BYTES, cudaMemAdviseSetPreferredLocation, cudaCpuDeviceId),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaMemPrefetchAsync, const void *, size_t, int, cudaStream_t)(managed, BYTES, 0, NULL),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaMemPrefetchAsync_ptsz, const void *, size_t, int,
                      cudaStream_t)(managed, BYTES, cudaCpuDeviceId, NULL),
                 cudaSuccess);
    cr_assert_eq(
        CALL(cudaMemPrefetchAsync, const void *, size_t, int, cudaStream_t)(managed, BYTES, 99, NULL),
        cudaErrorInvalidDevice);
    cr_assert_eq(CALL(cudaThreadSynchronize, void)(), cudaSuccess);
}

Test(twelve, joins_nodes_without_data_of_edges)
{
    struct cudaGraphNodeParams empty = {.type = cudaGraphNodeTypeEmpty};
    cudaGraphNode_t first, second, from, to;
    size_t count = 1;
    cudaGraph_t graph;

    cr_assert_eq(CALL(cudaGraphCreate, cudaGraph_t *, unsigned)(&graph, 0), cudaSuccess);
    cr_assert_eq(CALL(cudaGraphAddNode, cudaGraphNode_t *, cudaGraph_t, const cudaGraphNode_t *, size_t,
                      struct cudaGraphNodeParams *)(&first, graph, NULL, 0, &empty),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaGraphAddNode_v2, cudaGraphNode_t *, cudaGraph_t, const cudaGraphNode_t *,
                      const cudaGraphEdgeData *, size_t,
                      struct cudaGraphNodeParams *)(&second, graph, &first, NULL, 1, &empty),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaGraphGetEdges, cudaGraph_t, cudaGraphNode_t *, cudaGraphNode_t *,
                      size_t *)(graph, &from, &to, &count),
                 cudaSuccess);
    cr_assert(count == 1 && from == first && to == second);
    cr_assert_eq(CALL(cudaGraphRemoveDependencies, cudaGraph_t, const cudaGraphNode_t *,
                      const cudaGraphNode_t *, size_t)(graph, &from, &to, 1),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaGraphNodeGetDependencies, cudaGraphNode_t, cudaGraphNode_t *,
                      size_t *)(second, &from, &count),
                 cudaSuccess);
    cr_assert_eq(count, 0);
}

Test(twelve, tells_of_a_capture_in_each_form)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaGraphNode_t *after;
    unsigned long long first = 0, second = 0;
    cudaGraph_t graph = NULL;
    cudaStream_t stream;
    size_t count = 7;

    cr_assert_eq(CALL(cudaStreamCreate, cudaStream_t *)(&stream), cudaSuccess);
    cr_assert_eq(CALL(cudaStreamBeginCapture, cudaStream_t, int)(stream, cudaStreamCaptureModeRelaxed),
                 cudaSuccess);
    cr_assert_eq(CALL(cudaStreamGetCaptureInfo, cudaStream_t, enum cudaStreamCaptureStatus *,
                      unsigned long long *)(stream, &status, &first),
                 cudaSuccess);
    cr_assert(status == cudaStreamCaptureStatusActive && first);
    cr_assert_eq(CALL(cudaStreamGetCaptureInfo_v2, cudaStream_t, enum cudaStreamCaptureStatus *,
                      unsigned long long *, cudaGraph_t *, const cudaGraphNode_t **,
                      size_t *)(stream, &status, &second, &graph, &after, &count),
                 cudaSuccess);
    cr_assert(first == second && graph && count == 0);
    cr_assert_eq(CALL(cudaStreamEndCapture, cudaStream_t, cudaGraph_t *)(stream, &graph), cudaSuccess);
}
