/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger SEED OPERATIONS THREADS keep|free - random allocations of every kind on two devices, given back by any thread.
 *
 * keep: ends at rest with whatever is left. free: gives everything back first. Prints what was made and refused.
 */
#include "kinds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 48,
    THREADS_MAX = 64,
    DEVICES = 2
};

static _Atomic(struct object *) slots[SLOTS];
static CUcontext contexts[DEVICES];
static atomic_ulong made[KIND_COUNT], refused;
static unsigned long operations;

struct worker {
    pthread_t thread;
    uint64_t random;
    CUstream streams[DEVICES];
};

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(2);
}

/* The context that an object belongs to is current while it is given back. */
static void give(struct object *object, struct worker *worker)
{
    int ordinal = object->context == contexts[1];

    must(cuCtxSetCurrent(contexts[ordinal]), "cuCtxSetCurrent");
    kinds_give(object, worker->streams[ordinal]);
    free(object);
}

static void make(struct worker *worker, unsigned slot)
{
    int ordinal = (int)(kinds_random(&worker->random) % DEVICES);
    enum kind kind = (enum kind)(kinds_random(&worker->random) % KIND_COUNT);
    struct object *object = malloc(sizeof *object), *none = NULL;

    must(cuCtxSetCurrent(contexts[ordinal]), "cuCtxSetCurrent");
    if (!object ||
        !kinds_make(kind, &worker->random, contexts[ordinal], ordinal, worker->streams[ordinal], object)) {
        atomic_fetch_add(&refused, 1);
        free(object);
        return;
    }
    atomic_fetch_add(&made[kind], 1);
    if (!atomic_compare_exchange_strong(&slots[slot], &none, object))
        give(object, worker);
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < operations; i++) {
        unsigned slot = (unsigned)(kinds_random(&worker->random) % SLOTS);
        struct object *object = atomic_exchange(&slots[slot], NULL);

        if (object)
            give(object, worker);
        else
            make(worker, slot);
    }
    return NULL;
}

static void start(struct worker *worker, uint64_t seed)
{
    worker->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int device = 0; device < DEVICES; device++) {
        must(cuCtxSetCurrent(contexts[device]), "cuCtxSetCurrent");
        must(cuStreamCreate(&worker->streams[device], CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    }
}

static void settle(bool free_all, struct worker *worker)
{
    for (unsigned i = 0; free_all && i < SLOTS; i++) {
        struct object *object = atomic_exchange(&slots[i], NULL);

        if (object)
            give(object, worker);
    }
    for (int device = 0; device < DEVICES; device++) {
        CUmemoryPool pool;

        must(cuCtxSetCurrent(contexts[device]), "cuCtxSetCurrent");
        must(cuCtxSynchronize(), "cuCtxSynchronize");
        must(cuDeviceGetDefaultMemPool(&pool, device), "cuDeviceGetDefaultMemPool");
        if (free_all && cuMemPoolTrimTo(pool, 0) != CUDA_SUCCESS) /* it may be told to fail */
            must(cuMemPoolTrimTo(pool, 0), "cuMemPoolTrimTo");
        if (free_all && cuDeviceGraphMemTrim(device) != CUDA_SUCCESS)
            must(cuDeviceGraphMemTrim(device), "cuDeviceGraphMemTrim");
    }
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS_MAX];
    unsigned count = argc == 5 ? (unsigned)atoi(argv[3]) : 0;

    if (!count || count > THREADS_MAX) {
        fprintf(stderr, "usage: ledger SEED OPERATIONS THREADS keep|free\n");
        return 1;
    }
    operations = strtoul(argv[2], NULL, 10) / count;
    must(cuInit(0), "cuInit");
    for (int device = 0; device < DEVICES; device++)
        must(cuDevicePrimaryCtxRetain(&contexts[device], device), "cuDevicePrimaryCtxRetain");
    for (unsigned i = 0; i < count; i++) {
        start(&workers[i], strtoull(argv[1], NULL, 10) * THREADS_MAX + i + 1);
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    settle(strcmp(argv[4], "free") == 0, &workers[0]);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        printf("%s%lu", kind ? " " : "made ", atomic_load(&made[kind]));
    printf("\nrefused %lu\n", atomic_load(&refused));
    return 0;
}
