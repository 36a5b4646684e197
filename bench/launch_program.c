/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program that launches an empty kernel with 8 pointers, over and over, among many blocks.
 * usage: launch_program BLOCKS LAUNCHES [THREADS], each thread on a stream of its own
 *
 * Prints `launch_ns N`: processor time of the launching threads for one launch.
 */
#include "driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ARGUMENTS = 8,
    THREADS_MAX = 16,
    BATCH = 64, /* launches between two waits, so that the queue stays short */
    BLOCK_BYTES = 2 << 20
};

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* What all threads share, and what each is. */
static CUcontext context;
static CUfunction function;
static CUdeviceptr *block;
static size_t blocks, launches;

struct thread {
    pthread_t handle;
    CUstream stream;
    unsigned long random;
    double ns; /* of all its timed launches */
};

/* One batch; only the launches are timed, not the wait. */
static double batch(struct thread *thread)
{
    CUdeviceptr argument[BATCH * ARGUMENTS];
    void *parameters[ARGUMENTS];
    double since_ns;

    for (int i = 0; i < BATCH * ARGUMENTS; i++) {
        thread->random = thread->random * 6364136223846793005u + 1442695040888963407u;
        argument[i] = block[(thread->random >> 33) % blocks];
    }
    since_ns = cpu_ns();
    for (int i = 0; i < BATCH; i++) {
        for (int a = 0; a < ARGUMENTS; a++)
            parameters[a] = &argument[i * ARGUMENTS + a];
        DRIVER(cuLaunchKernel, (function, 1, 1, 1, 1, 1, 1, 0, thread->stream, parameters, NULL));
    }
    since_ns = cpu_ns() - since_ns;
    DRIVER(cuStreamSynchronize, (thread->stream));
    return since_ns;
}

static void *launch_all(void *arg)
{
    struct thread *thread = arg;

    DRIVER(cuCtxSetCurrent, (context));
    DRIVER(cuStreamCreate, (&thread->stream, CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < 4; i++)
        batch(thread);
    for (size_t done = 0; done < launches; done += BATCH)
        thread->ns += batch(thread);
    DRIVER(cuStreamDestroy, (thread->stream));
    return NULL;
}

int main(int argc, char **argv)
{
    struct thread threads[THREADS_MAX] = {0};
    size_t count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    double ns = 0;

    blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    launches = argc > 2 ? strtoul(argv[2], NULL, 10) : 64000;
    block = calloc(blocks, sizeof(*block));
    if (!blocks || !block || !count || count > THREADS_MAX)
        return 1;
    driver_open();
    DRIVER(cuCtxGetCurrent, (&context));
    function = driver_function(driver_load(NULL), "nothing");
    for (size_t i = 0; i < blocks; i++)
        block[i] = driver_alloc(BLOCK_BYTES);
    for (size_t i = 0; i < count; i++) {
        threads[i].random = i + 1;
        if (pthread_create(&threads[i].handle, NULL, launch_all, &threads[i]))
            return 1;
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i].handle, NULL);
        ns += threads[i].ns;
    }
    printf("launch_ns %.2f\n", ns / (double)((launches + BATCH - 1) / BATCH * BATCH * count));
    for (size_t i = 0; i < blocks; i++)
        driver_free(block[i], BLOCK_BYTES);
    free(block);
    driver_close();
    return 0;
}
