/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program that makes the blocks and launches of a trace (trace.h), with a thread for each stream of it; they take turns, as
 * the trace has it, and the GPU works meanwhile.
 * usage: replay_program FILE [managed]
 *   managed   blocks are managed memory
 *
 * Prints `launches N ns N`: the time on the wall from the first block to the end of the last launch.
 */
#include "driver.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trace.h"

#define GRANULE_BYTES ((uint64_t)2 << 20)

enum {
    THREADS = 8, /* streams beyond are those before */
    USES = 16,   /* of a kernel; what names more is several launches */
    WORDS = 1 + 2 * USES
};

struct thread {
    pthread_t handle;
    uint32_t stream;
    CUstream queue;
};

static struct trace trace;
static bool is_managed;
static CUcontext context;
static CUfunction function;
static CUdeviceptr *block;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t turn; /* of the operation that is next */

static double wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void make(const struct trace_op *op)
{
    if (is_managed)
        DRIVER(cuMemAllocManaged, (&block[op->block], op->granules * GRANULE_BYTES, CU_MEM_ATTACH_GLOBAL));
    else
        DRIVER(cuMemAlloc, (&block[op->block], op->granules * GRANULE_BYTES));
}

static uint64_t what_of(const struct trace_use *use)
{
    uint64_t bytes = trace.granules_of[use->block] * GRANULE_BYTES / 1000000 * use->part_ppm;
    uint64_t passes = use->reuse_percent < 150 ? 1 : (use->reuse_percent + 50) / 100;

    return (bytes ? bytes : 1) | (passes < 0x7fff ? passes : 0x7fff) << 48 | UINT64_C(1) << 63;
}

static void launch(const struct trace_op *op, CUstream queue)
{
    uint64_t word[WORDS];
    void *argument[WORDS];

    for (unsigned i = 0; i < WORDS; i++)
        argument[i] = &word[i];
    for (uint32_t done = 0; !done || done < op->count; done += USES) {
        memset(word, 0, sizeof(word));
        word[0] = done ? 0 : op->duration_ns;
        for (uint32_t i = 0; i < USES && done + i < op->count; i++) {
            const struct trace_use *use = &trace.use[op->use + done + i];

            word[1 + i] = block[use->block];
            word[1 + USES + i] = what_of(use);
        }
        driver_launch(function, 1, argument, queue);
    }
}

static bool is_mine(const struct trace_op *op, uint32_t stream)
{
    return op->kind == TRACE_LAUNCH ? op->stream % THREADS == stream : stream == 0;
}

static void *take_turns(void *arg)
{
    struct thread *thread = arg;

    DRIVER(cuCtxSetCurrent, (context));
    DRIVER(cuStreamCreate, (&thread->queue, CU_STREAM_NON_BLOCKING));
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < trace.ops; i++) {
        const struct trace_op *op = &trace.op[i];

        if (!is_mine(op, thread->stream))
            continue;
        while (turn != i)
            pthread_cond_wait(&changed, &lock);
        if (op->kind == TRACE_MAKE)
            make(op);
        else if (op->kind == TRACE_FREE)
            DRIVER(cuMemFree, (block[op->block]));
        else
            launch(op, thread->queue);
        turn++;
        if (turn < trace.ops && !is_mine(&trace.op[turn], thread->stream))
            pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    DRIVER(cuStreamSynchronize, (thread->queue));
    return NULL;
}

static unsigned threads_of(void)
{
    unsigned most = 1;

    for (size_t i = 0; i < trace.ops; i++)
        if (trace.op[i].kind == TRACE_LAUNCH && trace.op[i].stream % THREADS >= most)
            most = trace.op[i].stream % THREADS + 1;
    return most;
}

int main(int argc, char **argv)
{
    struct thread threads[THREADS] = {0};
    unsigned count;
    double ns;

    if (argc < 2)
        return 2;
    is_managed = argc > 2 && strcmp(argv[2], "managed") == 0;
    trace_read(&trace, argv[1]);
    block = calloc(trace.blocks + 1, sizeof(*block));
    if (!block)
        return 1;
    driver_open();
    DRIVER(cuCtxGetCurrent, (&context));
    function = driver_function(driver_load(NULL), "use");
    count = threads_of();
    ns = wall_ns();
    for (unsigned i = 0; i < count; i++) {
        threads[i].stream = i;
        if (pthread_create(&threads[i].handle, NULL, take_turns, &threads[i]))
            return 1;
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i].handle, NULL);
    printf("launches %u ns %.0f\n", trace.launches, wall_ns() - ns);
    /* What lives still goes with the process. */
    return 0;
}
