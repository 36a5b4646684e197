/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join of hashjoin.c: its tables and what else of it lies on the devices. The workers take turns on the devices; a
 * worker's own memory, its blocks and its partitions are on its device, and the others reach them as peers.
 */
#ifndef PROGRAMS_JOIN_H
#define PROGRAMS_JOIN_H

#include "hashjoin.h"

#include <cuda.h>
#include <pthread.h>

enum {
    WORKERS = 2,
};

struct kernels {
    CUfunction scan, count_rows, place_rows, scatter, build, probe, aggregate, merge, add_up;
};

struct join {
    uint64_t rows, blocks, seed; /* of each table */
    uint64_t block_bytes, block_rows;
    uint64_t devices; /* 1 to WORKERS */
    uint32_t partitions;
    CUcontext context[WORKERS]; /* of each device */
    CUmodule module[WORKERS];
    struct kernels kernels[WORKERS];
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

/* The device that a worker uses. */
static inline uint32_t join_device(const struct join *join, uint32_t worker)
{
    return worker % (uint32_t)join->devices;
}

/* Opens the devices, each a peer of the others, and loads the kernels on each. join_close gives them back. */
void join_open(struct join *join, const char *image);
void join_close(struct join *join);

/* Allocates what is there from the beginning; rows, seed, devices and block_bytes are set. join_free frees it, and the
 * blocks and partitions that the workers have allocated. */
void join_alloc(struct join *join);
void join_free(struct join *join);

/* Compares the result with what the CPU finds, and hashes it with the joined rows. */
uint64_t join_hash(const struct join *join);

/* The first row of a block, and how many it has. */
uint64_t block_first(const struct join *join, uint64_t b);
uint64_t block_rows(const struct join *join, uint64_t b);

/* Rows of partition p of a table: those that come from the blocks up to, not with, block b, and all of them. */
uint64_t partition_rows_before(const struct join *join, uint32_t table, uint32_t p, uint64_t b);
uint64_t partition_rows(const struct join *join, uint32_t table, uint32_t p);
uint64_t partition_bytes(const struct join *join, uint32_t table, uint32_t p);

#endif
