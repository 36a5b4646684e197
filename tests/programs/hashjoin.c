/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins two generated tables and groups the result with the CUDA driver, as a GPU query engine would: scan,
 * partition, build, probe, aggregate, over blocks of rows that are allocations of their own. Two threads
 * launch on a stream each, on one device or on one each; what one needs of the other's work it waits for by events.
 * The base tables stay loaded to the end, so the peak is about four times the size of one of them.
 */
#include "hashjoin.h"

#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "join.h"
#include "peak.h"

enum {
    GRANULE_BYTES = 2 << 20,
    BLOCKS_OF_TABLE = 11, /* so that a block is about a 48th of the need */
    PINNED_BYTES = 512 << 10,
};

struct worker {
    struct join *join;
    uint32_t index;
    const struct kernels *kernels; /* of its device */
    CUstream stream;
    void *pinned;
    CUdeviceptr scratch; /* a block sorted by partition */
    CUdeviceptr table;   /* the hash table of one partition */
    uint64_t table_bytes;
};

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
        driver_launch(worker->kernels->scan, count,
                      (void *[]){&block, &count, &table, &first, &join->rows, &join->seed}, worker->stream);
        driver_launch(worker->kernels->count_rows, SLICES,
                      (void *[]){&block, &count, &join->partitions, &places}, worker->stream);
        driver_launch(worker->kernels->place_rows, 1, (void *[]){&places, &join->partitions, &starts},
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

        driver_launch(worker->kernels->scatter, SLICES,
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
        driver_launch(worker->kernels->build, partner_count,
                      (void *[]){&partners, &partner_count, &worker->table, &slots}, worker->stream);
        driver_launch(worker->kernels->probe, count,
                      (void *[]){&rows, &count, &partners, &worker->table, &slots}, worker->stream);
        driver_launch(worker->kernels->aggregate, count,
                      (void *[]){&rows, &count, &join->groups[worker->index]}, worker->stream);
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
        driver_launch(worker->kernels->merge, GROUPS, (void *[]){&join->groups[0], &join->groups[other]},
                      worker->stream);
    }
    DRIVER(cuMemsetD8Async, (join->sums, 0, TABLES * sizeof(struct row), worker->stream));
    for (uint64_t job = 0; job < TABLES * join->blocks; job++) {
        uint64_t count = block_rows(join, job % join->blocks);
        CUdeviceptr sum = join->sums + job / join->blocks * sizeof(struct row);

        driver_launch(worker->kernels->add_up, count, (void *[]){&join->block[job], &count, &sum},
                      worker->stream);
    }
    DRIVER(cuStreamSynchronize, (worker->stream));
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct join *join = worker->join;

    DRIVER(cuCtxSetCurrent, (join->context[join_device(join, worker->index)]));
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

static void join_run(struct join *join)
{
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];

    if (pthread_barrier_init(&join->barrier, NULL, WORKERS))
        failure_exit(FAILURE_OTHER, "pthread_barrier_init", "failed");
    for (uint32_t w = 0; w < WORKERS; w++) {
        workers[w] =
            (struct worker){.join = join, .index = w, .kernels = &join->kernels[join_device(join, w)]};
        if (pthread_create(&threads[w], NULL, worker_run, &workers[w]))
            failure_exit(FAILURE_OTHER, "pthread_create", "failed");
    }
    for (uint32_t w = 0; w < WORKERS; w++)
        pthread_join(threads[w], NULL);
    pthread_barrier_destroy(&join->barrier);
}

int main(int argc, char **argv)
{
    struct join join = {.rows = 1 << 20, .seed = 1, .devices = 1};
    uint64_t hash;
    const char *image = NULL;
    const struct argument table[] = {
        {"rows", "rows of each of the two tables, 16 bytes each (1048576)", ARGUMENT_COUNT, &join.rows},
        {"block", "size of a block (an 11th of a table in steps of 2M, at least 2M)", ARGUMENT_SIZE,
         &join.block_bytes},
        {"seed", "of the tables (1)", ARGUMENT_COUNT, &join.seed},
        {"devices", "how many of them share the work, 1 or 2 (1)", ARGUMENT_COUNT, &join.devices},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };

    arguments_read(argc, argv, "Joins and groups two generated tables.", NULL, table);
    if (join.rows < SLICES || join.rows > (uint64_t)UINT32_MAX * BLOCKS_OF_TABLE / 4)
        failure_exit(FAILURE_OTHER, "rows", "out of range");
    if (join.devices < 1 || join.devices > WORKERS)
        failure_exit(FAILURE_OTHER, "devices", "out of range");
    if (!join.block_bytes)
        join.block_bytes = join.rows * sizeof(struct row) / BLOCKS_OF_TABLE / GRANULE_BYTES * GRANULE_BYTES;
    if (!join.block_bytes)
        join.block_bytes = GRANULE_BYTES;
    if (join.block_bytes < SLICES * sizeof(struct row))
        failure_exit(FAILURE_OTHER, "block", "too small");
    join_open(&join, image);
    join_alloc(&join);
    join_run(&join);
    hash = join_hash(&join);
    join_free(&join);
    join_close(&join);
    result_print(hash, peak_bytes());
    return 0;
}
