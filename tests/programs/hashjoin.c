/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins two generated tables and groups the result with the CUDA driver, as a GPU query engine would: scan,
 * partition, build, probe, aggregate, over blocks of rows that are allocations of their own. Two threads
 * launch on a stream each; what one needs of the other's work it waits for by events. The base tables stay
 * loaded to the end, so the peak is about four times the size of one of them.
 */
#include "hashjoin.h"

#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "expected.h"
#include "failure.h"
#include "peak.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 2,
    GRANULE_BYTES = 2 << 20,
    BLOCKS_OF_TABLE = 11, /* so that a block is about a 48th of the need */
    PINNED_BYTES = 512 << 10,
};

struct kernels {
    CUfunction scan, count_rows, place_rows, scatter, build, probe, aggregate, merge, add_up;
};

struct join {
    uint64_t rows, blocks, seed; /* of each table */
    uint64_t block_bytes, block_rows;
    uint32_t partitions;
    CUcontext context;
    struct kernels kernels;
    pthread_barrier_t barrier;
    CUdeviceptr *block;                /* [TABLES * blocks], a base table's after the other's */
    CUdeviceptr *partition;            /* [TABLES * partitions], likewise */
    CUdeviceptr places;                /* [TABLES * blocks][partitions * SLICES] */
    CUdeviceptr starts;                /* [TABLES * blocks][partitions + 1] */
    uint32_t *host_starts;             /* the same, pinned */
    uint64_t *hashes;                  /* [partitions]: of the joined rows */
    CUdeviceptr groups[WORKERS], sums; /* the result, and one row per table: all keys and values added up */
    CUevent scattered[WORKERS], aggregated[WORKERS];
};

struct worker {
    struct join *join;
    uint32_t index;
    CUstream stream;
    void *pinned;
    CUdeviceptr scratch; /* a block sorted by partition */
    CUdeviceptr table;   /* the hash table of one partition */
    uint64_t table_bytes;
};

static uint64_t block_first(const struct join *join, uint64_t b)
{
    return b * join->block_rows;
}

static uint64_t block_rows(const struct join *join, uint64_t b)
{
    uint64_t left = join->rows - block_first(join, b);

    return left < join->block_rows ? left : join->block_rows;
}

/* Rows of partition p in the blocks of a table up to, not with, block b. */
static uint64_t partition_rows_before(const struct join *join, uint32_t table, uint32_t p, uint64_t b)
{
    uint64_t rows = 0;

    for (uint64_t i = 0; i < b; i++) {
        const uint32_t *starts = join->host_starts + (table * join->blocks + i) * (join->partitions + 1);

        rows += starts[p + 1] - starts[p];
    }
    return rows;
}

static uint64_t partition_rows(const struct join *join, uint32_t table, uint32_t p)
{
    return partition_rows_before(join, table, p, join->blocks);
}

static uint64_t partition_bytes(const struct join *join, uint32_t table, uint32_t p)
{
    uint64_t blocks = (partition_rows(join, table, p) + join->block_rows - 1) / join->block_rows;

    return (blocks ? blocks : 1) * join->block_bytes;
}

static CUdeviceptr job_places(const struct join *join, uint64_t job)
{
    return join->places + job * join->partitions * SLICES * sizeof(uint32_t);
}

/* Generates every WORKERS-th block and counts what it has for each partition. */
static void worker_scan(struct worker *worker)
{
    struct join *join = worker->join;
    uint64_t starts_bytes = (join->partitions + 1) * sizeof(uint32_t);

    for (uint64_t job = worker->index; job < TABLES * join->blocks; job += WORKERS) {
        uint32_t table = (uint32_t)(job / join->blocks);
        uint64_t b = job % join->blocks, first = block_first(join, b), count = block_rows(join, b);
        CUdeviceptr block = driver_alloc(join->block_bytes);
        CUdeviceptr places = job_places(join, job), starts = join->starts + job * starts_bytes;

        join->block[job] = block;
        driver_launch(join->kernels.scan, count,
                      (void *[]){&block, &count, &table, &first, &join->rows, &join->seed}, worker->stream);
        driver_launch(join->kernels.count_rows, SLICES,
                      (void *[]){&block, &count, &join->partitions, &places}, worker->stream);
        driver_launch(join->kernels.place_rows, 1, (void *[]){&places, &join->partitions, &starts},
                      worker->stream);
        DRIVER(cuMemcpyDtoHAsync,
               (join->host_starts + job * (join->partitions + 1), starts, starts_bytes, worker->stream));
        progress_show("scan", job + 1, TABLES * join->blocks);
    }
    DRIVER(cuStreamSynchronize, (worker->stream));
}

/* Sorts every WORKERS-th block by partition and hands the pieces to the partitions. */
static void worker_exchange(struct worker *worker)
{
    struct join *join = worker->join;

    worker->scratch = driver_alloc(join->block_bytes);
    for (uint64_t job = worker->index; job < TABLES * join->blocks; job += WORKERS) {
        uint32_t table = (uint32_t)(job / join->blocks);
        uint64_t b = job % join->blocks, count = block_rows(join, b);
        CUdeviceptr places = job_places(join, job);
        const uint32_t *starts = join->host_starts + job * (join->partitions + 1);

        driver_launch(join->kernels.scatter, SLICES,
                      (void *[]){&join->block[job], &count, &join->partitions, &places, &worker->scratch},
                      worker->stream);
        for (uint32_t p = 0; p < join->partitions; p++) {
            uint64_t to = partition_rows_before(join, table, p, b) * sizeof(struct row);
            uint64_t bytes = (starts[p + 1] - starts[p]) * sizeof(struct row);

            if (bytes)
                DRIVER(cuMemcpyDtoDAsync,
                       (join->partition[table * join->partitions + p] + to,
                        worker->scratch + starts[p] * sizeof(struct row), bytes, worker->stream));
        }
        progress_show("exchange", job + 1, TABLES * join->blocks);
    }
    DRIVER(cuEventRecord, (join->scattered[worker->index], worker->stream));
}

/* Joins every WORKERS-th partition; the probe side's rows become the joined rows. */
static void worker_join(struct worker *worker)
{
    struct join *join = worker->join;
    uint32_t slots;

    for (uint32_t p = worker->index; p < join->partitions; p += WORKERS)
        if (partition_bytes(join, TABLE_BUILD, p) > worker->table_bytes)
            worker->table_bytes = partition_bytes(join, TABLE_BUILD, p);
    /* As large as the rows: four slots for each. */
    worker->table_bytes = worker->table_bytes ? worker->table_bytes : join->block_bytes;
    worker->table = driver_alloc(worker->table_bytes);
    slots = (uint32_t)(worker->table_bytes / sizeof(uint32_t));
    for (uint32_t p = worker->index; p < join->partitions; p += WORKERS) {
        CUdeviceptr partners = join->partition[p], rows = join->partition[join->partitions + p];
        uint64_t partner_count = partition_rows(join, TABLE_BUILD, p),
                 count = partition_rows(join, TABLE_PROBE, p);

        DRIVER(cuMemsetD32Async, (worker->table, 0, slots, worker->stream));
        driver_launch(join->kernels.build, partner_count,
                      (void *[]){&partners, &partner_count, &worker->table, &slots}, worker->stream);
        driver_launch(join->kernels.probe, count,
                      (void *[]){&rows, &count, &partners, &worker->table, &slots}, worker->stream);
        driver_launch(join->kernels.aggregate, count, (void *[]){&rows, &count, &join->groups[worker->index]},
                      worker->stream);
        progress_show("join", p + 1, join->partitions);
    }
    DRIVER(cuEventRecord, (join->aggregated[worker->index], worker->stream));
}

/* Reads the joined rows back, in pieces that the pinned buffer holds. */
static void worker_read(struct worker *worker)
{
    struct join *join = worker->join;

    for (uint32_t p = worker->index; p < join->partitions; p += WORKERS) {
        uint64_t bytes = partition_rows(join, TABLE_PROBE, p) * sizeof(struct row);
        struct digest *digest = digest_create();

        for (uint64_t done = 0; done < bytes; done += PINNED_BYTES) {
            uint64_t now = bytes - done < PINNED_BYTES ? bytes - done : PINNED_BYTES;

            DRIVER(cuMemcpyDtoHAsync,
                   (worker->pinned, join->partition[join->partitions + p] + done, now, worker->stream));
            DRIVER(cuStreamSynchronize, (worker->stream));
            digest_add(digest, worker->pinned, now);
        }
        join->hashes[p] = digest_finish(digest);
        progress_show("read", p + 1, join->partitions);
    }
}

/* Puts the workers' groups together and adds up the base tables once more, in one worker. */
static void worker_combine(struct worker *worker)
{
    struct join *join = worker->join;

    for (uint32_t other = 1; other < WORKERS; other++) {
        DRIVER(cuStreamWaitEvent, (worker->stream, join->aggregated[other], 0));
        driver_launch(join->kernels.merge, GROUPS, (void *[]){&join->groups[0], &join->groups[other]},
                      worker->stream);
    }
    DRIVER(cuMemsetD8Async, (join->sums, 0, TABLES * sizeof(struct row), worker->stream));
    for (uint64_t job = 0; job < TABLES * join->blocks; job++) {
        uint64_t count = block_rows(join, job % join->blocks);
        CUdeviceptr sum = join->sums + job / join->blocks * sizeof(struct row);

        driver_launch(join->kernels.add_up, count, (void *[]){&join->block[job], &count, &sum},
                      worker->stream);
    }
    DRIVER(cuStreamSynchronize, (worker->stream));
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct join *join = worker->join;

    DRIVER(cuCtxSetCurrent, (join->context));
    DRIVER(cuStreamCreate, (&worker->stream, CU_STREAM_NON_BLOCKING));
    DRIVER(cuMemHostAlloc, (&worker->pinned, PINNED_BYTES, 0));
    worker_scan(worker);
    pthread_barrier_wait(&join->barrier);
    for (uint32_t i = worker->index; i < TABLES * join->partitions; i += WORKERS)
        join->partition[i] = driver_alloc(partition_bytes(join, i / join->partitions, i % join->partitions));
    DRIVER(cuMemsetD8Async, (join->groups[worker->index], 0, GROUPS * sizeof(struct group), worker->stream));
    pthread_barrier_wait(&join->barrier);
    worker_exchange(worker);
    pthread_barrier_wait(&join->barrier);
    for (uint32_t other = 0; other < WORKERS; other++)
        DRIVER(cuStreamWaitEvent, (worker->stream, join->scattered[other], 0));
    worker_join(worker);
    worker_read(worker);
    pthread_barrier_wait(&join->barrier);
    if (!worker->index)
        worker_combine(worker);
    driver_free(worker->scratch, join->block_bytes);
    driver_free(worker->table, worker->table_bytes);
    DRIVER(cuMemFreeHost, (worker->pinned));
    DRIVER(cuStreamDestroy, (worker->stream));
    return NULL;
}

static void join_alloc(struct join *join)
{
    uint64_t starts_bytes;

    join->block_rows = join->block_bytes / sizeof(struct row);
    join->blocks = (join->rows + join->block_rows - 1) / join->block_rows;
    /* A few percent less than a block each on average, so that none needs a second one by chance. */
    join->partitions = (uint32_t)(join->rows * 26 / 25 / join->block_rows + 1);
    starts_bytes = TABLES * join->blocks * (join->partitions + 1) * sizeof(uint32_t);
    join->block = failure_malloc(TABLES * join->blocks * sizeof(*join->block));
    join->partition = failure_malloc(TABLES * join->partitions * sizeof(*join->partition));
    join->hashes = failure_malloc(join->partitions * sizeof(*join->hashes));
    join->places = driver_alloc(TABLES * join->blocks * join->partitions * SLICES * sizeof(uint32_t));
    join->starts = driver_alloc(starts_bytes);
    join->sums = driver_alloc(TABLES * sizeof(struct row));
    DRIVER(cuMemHostAlloc, ((void **)&join->host_starts, starts_bytes, 0));
    for (int w = 0; w < WORKERS; w++) {
        join->groups[w] = driver_alloc(GROUPS * sizeof(struct group));
        DRIVER(cuEventCreate, (&join->scattered[w], CU_EVENT_DISABLE_TIMING));
        DRIVER(cuEventCreate, (&join->aggregated[w], CU_EVENT_DISABLE_TIMING));
    }
}

static void join_free(struct join *join)
{
    for (uint64_t job = 0; job < TABLES * join->blocks; job++)
        driver_free(join->block[job], join->block_bytes);
    for (uint32_t i = 0; i < TABLES * join->partitions; i++)
        driver_free(join->partition[i], partition_bytes(join, i / join->partitions, i % join->partitions));
    for (int w = 0; w < WORKERS; w++) {
        driver_free(join->groups[w], GROUPS * sizeof(struct group));
        DRIVER(cuEventDestroy, (join->scattered[w]));
        DRIVER(cuEventDestroy, (join->aggregated[w]));
    }
    driver_free(join->sums, TABLES * sizeof(struct row));
    driver_free(join->places, TABLES * join->blocks * join->partitions * SLICES * sizeof(uint32_t));
    driver_free(join->starts, TABLES * join->blocks * (join->partitions + 1) * sizeof(uint32_t));
    DRIVER(cuMemFreeHost, (join->host_starts));
    free(join->hashes);
    free(join->partition);
    free(join->block);
}

static void join_run(struct join *join)
{
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];

    if (pthread_barrier_init(&join->barrier, NULL, WORKERS))
        failure_exit(FAILURE_OTHER, "pthread_barrier_init", "failed");
    for (uint32_t w = 0; w < WORKERS; w++) {
        workers[w] = (struct worker){.join = join, .index = w};
        if (pthread_create(&threads[w], NULL, worker_run, &workers[w]))
            failure_exit(FAILURE_OTHER, "pthread_create", "failed");
    }
    for (uint32_t w = 0; w < WORKERS; w++)
        pthread_join(threads[w], NULL);
    pthread_barrier_destroy(&join->barrier);
}

static uint64_t join_hash(const struct join *join)
{
    static struct group groups[GROUPS], expected[GROUPS];
    struct row sums[TABLES], expected_sums[TABLES];
    struct digest *digest = digest_create();

    DRIVER(cuMemcpyDtoH, (groups, join->groups[0], sizeof(groups)));
    DRIVER(cuMemcpyDtoH, (sums, join->sums, sizeof(sums)));
    expected_find(join->rows, join->seed, expected, expected_sums);
    if (memcmp(groups, expected, sizeof(groups)))
        failure_exit(FAILURE_OTHER, "join", "the groups are wrong");
    if (memcmp(sums, expected_sums, sizeof(sums)))
        failure_exit(FAILURE_OTHER, "join", "the base tables have changed");
    digest_add(digest, groups, sizeof(groups));
    digest_add(digest, sums, sizeof(sums));
    digest_add(digest, join->hashes, join->partitions * sizeof(*join->hashes));
    return digest_finish(digest);
}

static struct kernels kernels_load(CUmodule module)
{
    return (struct kernels){
        .scan = driver_function(module, "scan"),
        .count_rows = driver_function(module, "count_rows"),
        .place_rows = driver_function(module, "place_rows"),
        .scatter = driver_function(module, "scatter"),
        .build = driver_function(module, "build"),
        .probe = driver_function(module, "probe"),
        .aggregate = driver_function(module, "aggregate"),
        .merge = driver_function(module, "merge"),
        .add_up = driver_function(module, "add_up"),
    };
}

int main(int argc, char **argv)
{
    struct join join = {.rows = 1 << 20, .seed = 1};
    uint64_t hash;
    const char *image = NULL;
    const struct argument table[] = {
        {"rows", "rows of each of the two tables, 16 bytes each (1048576)", ARGUMENT_COUNT, &join.rows},
        {"block", "size of a block (an 11th of a table in steps of 2M, at least 2M)", ARGUMENT_SIZE,
         &join.block_bytes},
        {"seed", "of the tables (1)", ARGUMENT_COUNT, &join.seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    CUmodule module;

    arguments_read(argc, argv, "Joins and groups two generated tables.", NULL, table);
    if (join.rows < SLICES || join.rows > (uint64_t)UINT32_MAX * BLOCKS_OF_TABLE / 4)
        failure_exit(FAILURE_OTHER, "rows", "out of range");
    if (!join.block_bytes)
        join.block_bytes = join.rows * sizeof(struct row) / BLOCKS_OF_TABLE / GRANULE_BYTES * GRANULE_BYTES;
    if (!join.block_bytes)
        join.block_bytes = GRANULE_BYTES;
    if (join.block_bytes < SLICES * sizeof(struct row))
        failure_exit(FAILURE_OTHER, "block", "too small");
    join.context = driver_open();
    module = driver_load(image);
    join.kernels = kernels_load(module);
    join_alloc(&join);
    join_run(&join);
    hash = join_hash(&join);
    join_free(&join);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
