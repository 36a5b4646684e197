/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trains a network with the CUDA runtime: one step (forward, backward, update of all layers) is captured into
 * a graph of kernels once and replayed. Weights, gradients and momentum of each layer are allocations of
 * their own, and the update finds them through a table of pointers in device memory.
 */
#include "training.h"

#include "arguments.h"
#include "digest.h"
#include "failure.h"
#include "peak.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>

enum {
    WIDTH_STEP = 8,
    PROGRESS_STEP = 20
};

struct kernels {
    cudaKernel_t initialise, sample, forward, loss, slope, backward, update, advance;
};

struct network {
    uint64_t layer_count, layer_bytes, vector_bytes, iterations, seed;
    uint32_t width;
    struct layer *layers; /* on the host */
    struct layer *table;  /* the same on the device */
    float *vectors, *losses;
    uint64_t *step;
    struct kernels kernels;
};

static struct kernels kernels_load(cudaLibrary_t library)
{
    return (struct kernels){
        .initialise = runtime_kernel(library, "initialise"),
        .sample = runtime_kernel(library, "sample"),
        .forward = runtime_kernel(library, "forward"),
        .loss = runtime_kernel(library, "loss"),
        .slope = runtime_kernel(library, "slope"),
        .backward = runtime_kernel(library, "backward"),
        .update = runtime_kernel(library, "update"),
        .advance = runtime_kernel(library, "advance"),
    };
}

static void network_alloc(struct network *n)
{
    n->width = (uint32_t)sqrt((double)(n->layer_bytes / sizeof(float))) / WIDTH_STEP * WIDTH_STEP;
    if (!n->width || !n->layer_count || !n->iterations)
        failure_exit(FAILURE_OTHER, "layers", "nothing to train");
    n->vector_bytes = (VECTOR_SUMS + 2 * n->layer_count + 1) * n->width * sizeof(float);
    n->layers = failure_malloc(n->layer_count * sizeof(*n->layers));
    n->table = runtime_alloc(n->layer_count * sizeof(*n->table));
    n->vectors = runtime_alloc(n->vector_bytes);
    n->losses = runtime_alloc(n->iterations * sizeof(*n->losses));
    n->step = runtime_alloc(sizeof(*n->step));
    for (uint64_t l = 0; l < n->layer_count; l++) {
        n->layers[l].weights = runtime_alloc(n->layer_bytes);
        n->layers[l].gradient = runtime_alloc(n->layer_bytes);
        n->layers[l].momentum = runtime_alloc(n->layer_bytes);
    }
}

static void network_free(struct network *n)
{
    for (uint64_t l = 0; l < n->layer_count; l++) {
        runtime_free(n->layers[l].weights, n->layer_bytes);
        runtime_free(n->layers[l].gradient, n->layer_bytes);
        runtime_free(n->layers[l].momentum, n->layer_bytes);
    }
    runtime_free(n->step, sizeof(*n->step));
    runtime_free(n->losses, n->iterations * sizeof(*n->losses));
    runtime_free(n->vectors, n->vector_bytes);
    runtime_free(n->table, n->layer_count * sizeof(*n->table));
    free(n->layers);
}

static void network_initialise(struct network *n, cudaStream_t stream)
{
    uint64_t count = n->layer_bytes / sizeof(float);
    float scale = 1 / sqrtf((float)n->width);

    for (uint64_t l = 0; l < n->layer_count; l++) {
        uint64_t seed = n->seed + 1 + l;

        runtime_launch(n->kernels.initialise, count, (void *[]){&n->layers[l], &count, &seed, &scale},
                       stream);
    }
    RUNTIME(cudaMemsetAsync, (n->step, 0, sizeof(*n->step), stream));
    RUNTIME(cudaMemcpyAsync,
            (n->table, n->layers, n->layer_count * sizeof(*n->table), cudaMemcpyHostToDevice, stream));
    RUNTIME(cudaStreamSynchronize, (stream));
}

static float *vector(struct network *n, uint64_t index)
{
    return n->vectors + index * n->width;
}

/* What layer l reads; what it writes is the input of the next. */
static float *layer_input(struct network *n, uint64_t l)
{
    return vector(n, VECTOR_SUMS + n->layer_count + l);
}

static void step_launch(struct network *n, cudaStream_t stream)
{
    float *target = vector(n, VECTOR_TARGET), *delta = vector(n, VECTOR_DELTA),
          *slopes = vector(n, VECTOR_SLOPE);
    float *input = layer_input(n, 0), *output = layer_input(n, n->layer_count), rate = 0.0001F,
          decay = 0.0001F;
    uint64_t count = n->layer_bytes / sizeof(float);
    uint32_t layer_count = (uint32_t)n->layer_count;

    runtime_launch(n->kernels.sample, n->width, (void *[]){&n->step, &input, &target, &n->width, &n->seed},
                   stream);
    for (uint64_t l = 0; l < n->layer_count; l++) {
        float *sums = vector(n, VECTOR_SUMS + l), *from = layer_input(n, l), *to = layer_input(n, l + 1);

        runtime_launch(n->kernels.forward, n->width,
                       (void *[]){&n->layers[l].weights, &from, &sums, &to, &n->width}, stream);
    }
    runtime_launch(n->kernels.loss, n->width,
                   (void *[]){&n->step, &output, &target, &delta, &n->losses, &n->width}, stream);
    for (uint64_t l = n->layer_count; l-- > 0;) {
        float *sums = vector(n, VECTOR_SUMS + l), *from = layer_input(n, l);

        runtime_launch(n->kernels.slope, n->width, (void *[]){&sums, &delta, &slopes, &n->width}, stream);
        runtime_launch(
            n->kernels.backward, n->width,
            (void *[]){&n->layers[l].weights, &from, &slopes, &delta, &n->layers[l].gradient, &n->width},
            stream);
    }
    runtime_launch(n->kernels.update, count, (void *[]){&n->table, &layer_count, &count, &rate, &decay},
                   stream);
    runtime_launch(n->kernels.advance, 1, (void *[]){&n->step}, stream);
}

static void network_train(struct network *n, cudaStream_t stream)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    RUNTIME(cudaStreamBeginCapture, (stream, cudaStreamCaptureModeThreadLocal));
    step_launch(n, stream);
    RUNTIME(cudaStreamEndCapture, (stream, &graph));
    RUNTIME(cudaGraphInstantiate, (&exec, graph, 0));
    RUNTIME(cudaGraphDestroy, (graph));
    for (uint64_t i = 0; i < n->iterations; i++) {
        RUNTIME(cudaGraphLaunch, (exec, stream));
        if ((i + 1) % PROGRESS_STEP && i + 1 < n->iterations)
            continue;
        RUNTIME(cudaStreamSynchronize, (stream));
        progress_show("iteration", i + 1, n->iterations);
    }
    RUNTIME(cudaGraphExecDestroy, (exec));
}

static void digest_device(struct digest *digest, const void *device, void *host, size_t bytes)
{
    RUNTIME(cudaMemcpy, (host, device, bytes, cudaMemcpyDeviceToHost));
    digest_add(digest, host, bytes);
}

static uint64_t network_hash(struct network *n)
{
    size_t losses_bytes = n->iterations * sizeof(*n->losses);
    float *host = failure_malloc(n->layer_bytes > losses_bytes ? n->layer_bytes : losses_bytes);
    struct digest *digest = digest_create();

    digest_device(digest, n->losses, host, losses_bytes);
    if (!isfinite(host[n->iterations - 1]))
        failure_exit(FAILURE_OTHER, "training", "the loss is not finite");
    for (uint64_t l = 0; l < n->layer_count; l++) {
        digest_device(digest, n->layers[l].weights, host, n->layer_bytes);
        digest_device(digest, n->layers[l].gradient, host, n->layer_bytes);
        digest_device(digest, n->layers[l].momentum, host, n->layer_bytes);
    }
    free(host);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    struct network network = {.layer_count = 24, .layer_bytes = 2 << 20, .iterations = 200, .seed = 1};
    const char *image = NULL;
    const struct argument table[] = {
        {"iterations", "how often the graph is launched (200)", ARGUMENT_COUNT, &network.iterations},
        {"layers", "number of layers (24)", ARGUMENT_COUNT, &network.layer_count},
        {"layer-bytes", "size of a layer's weights; gradient and momentum are as large (2M)", ARGUMENT_SIZE,
         &network.layer_bytes},
        {"seed", "of weights and samples (1)", ARGUMENT_COUNT, &network.seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    cudaLibrary_t library;
    cudaStream_t stream;
    uint64_t hash;

    arguments_read(argc, argv, "Trains a network by replaying a graph.", NULL, table);
    library = runtime_load(image);
    network.kernels = kernels_load(library);
    RUNTIME(cudaStreamCreate, (&stream));
    network_alloc(&network);
    network_initialise(&network, stream);
    network_train(&network, stream);
    hash = network_hash(&network);
    network_free(&network);
    RUNTIME(cudaStreamDestroy, (stream));
    RUNTIME(cudaLibraryUnload, (library));
    result_print(hash, peak_bytes());
    return 0;
}
