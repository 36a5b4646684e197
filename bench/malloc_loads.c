/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_loads.c - see malloc_loads.h. */
#include "malloc_loads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 2,
    OBJECTS = 1000
};

struct worker {
    pthread_t thread;
    unsigned long count;
    unsigned seed;
    void *object[OBJECTS];
};

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "malloc_program: no memory\n");
        exit(1);
    }
    return memory;
}

void *must_malloc(size_t bytes)
{
    return must(malloc(bytes));
}

static unsigned draw(struct worker *worker, unsigned below)
{
    worker->seed = worker->seed * 1664525u + 1013904223u;
    return (worker->seed >> 8) % below;
}

static void start(struct worker *worker, void *(*run)(void *))
{
    if (pthread_create(&worker->thread, NULL, run, worker)) {
        fprintf(stderr, "malloc_program: no thread\n");
        exit(1);
    }
}

/* THREADS of them at once, to their end. */
static void crowd(void *(*run)(void *), unsigned long count)
{
    static struct worker workers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].count = count / THREADS;
        workers[i].seed = i + 1;
        start(&workers[i], run);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

/* An object in use: both its ends are written. */
static void *used(size_t bytes)
{
    char *object = must_malloc(bytes);

    object[0] = object[bytes - 1] = 1;
    return object;
}

static void free_all(struct worker *worker)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        free(worker->object[i]);
        worker->object[i] = NULL;
    }
}

/* ---- the loads ------------------------------------------------------------------------------------------- */

/* A server whose connections are handed from thread to thread: each generation frees what the last one allocated. */
static void *larson_generation(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < 20 * OBJECTS && worker->count; i++, worker->count--) {
        void **object = &worker->object[draw(worker, OBJECTS)];

        for (unsigned n = 0; n < 10; n++) {
            free(*object);
            *object = used(10 + draw(worker, 500));
        }
    }
    return NULL;
}

static void *larson_line(void *arg)
{
    struct worker *worker = arg, next;

    memset(next.object, 0, sizeof(next.object));
    next.count = worker->count;
    next.seed = worker->seed;
    while (next.count) {
        start(&next, larson_generation);
        pthread_join(next.thread, NULL);
    }
    free_all(&next);
    return NULL;
}

static void larson(unsigned long count)
{
    crowd(larson_line, count);
}

/* One thread allocates what the other frees. */
static struct {
    _Atomic(void *) slot[256];
} ring;

static void *produce(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < worker->count; i++) {
        void *object = used(16 + draw(worker, 400)), *none = NULL;

        while (!atomic_compare_exchange_weak(&ring.slot[i % 256], &none, object)) {
            none = NULL;
            sched_yield();
        }
    }
    return NULL;
}

static void cross(unsigned long count)
{
    static struct worker producer;
    void *object;

    producer.count = 8 * count;
    start(&producer, produce);
    for (unsigned long i = 0; i < producer.count; i++) {
        while (!(object = atomic_exchange(&ring.slot[i % 256], NULL)))
            sched_yield();
        free(object);
    }
    pthread_join(producer.thread, NULL);
}

/* Threads that write to small objects which one thread allocated side by side: do they go on sharing lines? */
static void *scratch(void *arg)
{
    struct worker *worker = arg;

    free(worker->object[0]);
    worker->object[0] = NULL;
    for (unsigned long i = 0; i < worker->count; i++) {
        volatile char *object = must_malloc(8);

        for (unsigned n = 0; n < 500; n++)
            object[n % 8]++;
        free((void *)(uintptr_t)object);
    }
    return NULL;
}

static void cache_scratch(unsigned long count)
{
    static struct worker workers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].count = count / THREADS;
        workers[i].object[0] = must_malloc(8);
    }
    for (unsigned i = 0; i < THREADS; i++)
        start(&workers[i], scratch);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

/* Buffers of 16 KiB to 1 MiB, a few alive at a time. */
static void *large_blocks(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < 4 * worker->count; i++) {
        void **object = &worker->object[draw(worker, 20)];

        free(*object);
        *object = used(16384u << draw(worker, 7));
    }
    free_all(worker);
    return NULL;
}

static void large(unsigned long count)
{
    crowd(large_blocks, count);
}

/* Small objects of all sizes and lives. */
static void *churn_small(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < 20 * worker->count; i++) {
        void **object = &worker->object[draw(worker, i % 8 ? 100 : OBJECTS)];

        free(*object);
        *object = used(8 + draw(worker, i % 64 ? 120 : 3000));
    }
    free_all(worker);
    return NULL;
}

static void churn(unsigned long count)
{
    crowd(churn_small, count);
}

/* Threads that live for a few dozen objects. */
static void *short_life(void *arg)
{
    struct worker *worker = arg;

    for (unsigned i = 0; i < 50; i++)
        worker->object[i] = used(16 + 20 * i);
    free_all(worker);
    return NULL;
}

static void short_threads(unsigned long count)
{
    static struct worker workers[THREADS];

    for (unsigned long i = 0; i < count / 20; i++) {
        for (unsigned n = 0; n < THREADS; n++)
            start(&workers[n], short_life);
        for (unsigned n = 0; n < THREADS; n++)
            pthread_join(workers[n].thread, NULL);
    }
}

/* Texts and tables that grow by realloc. */
static void *grow_all(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < worker->count; i++) {
        char *text = NULL;

        for (size_t bytes = 16; bytes <= (i % 16 ? (size_t)4096 : (size_t)256 << 10); bytes += bytes / 2) {
            text = must(realloc(text, bytes));
            text[bytes - 1] = 1;
        }
        free(text);
    }
    return NULL;
}

static void grow(unsigned long count)
{
    crowd(grow_all, count);
}

/* Trees that are built and taken down whole. */
struct node {
    struct node *child[2];
    long value[3];
};

static struct node *tree(unsigned depth)
{
    struct node *node = must_malloc(sizeof(*node));

    node->value[0] = depth;
    node->child[0] = depth ? tree(depth - 1) : NULL;
    node->child[1] = depth ? tree(depth - 1) : NULL;
    return node;
}

static void fell(struct node *node)
{
    if (node->child[0]) {
        fell(node->child[0]);
        fell(node->child[1]);
    }
    free(node);
}

static void *plant(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < worker->count / 100; i++)
        fell(tree(11));
    return NULL;
}

static void trees(unsigned long count)
{
    crowd(plant, count);
}

static const struct {
    const char *name;
    void (*run)(unsigned long count);
} loads[] = {{"larson", larson}, {"cross", cross}, {"scratch", cache_scratch},
             {"large", large},   {"churn", churn}, {"threads", short_threads},
             {"grow", grow},     {"trees", trees}};

int loads_run(const char *name, unsigned long count)
{
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
        if (strcmp(loads[i].name, name) == 0) {
            loads[i].run(count);
            return 0;
        }
    return 2;
}
