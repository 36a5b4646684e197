/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executor.h - who carries bytes from one tier to another.
 *
 * A move is a transfer given to the least busy executor that can run its pair of tiers. A new way of moving bytes
 * (peer memory, storage that the GPU reads itself) is one more row in the core's list and no change elsewhere.
 *
 * Copy       device memory to host memory and back, by the device's copy engines. Copies of one device that go the same way
 *            share a private stream, so one synchronisation ends them all: waiting for the first transfer of a batch
 *            completes the batch, and the other waits return at once. The two ways do not wait for each other.
 * Disk       host memory to disk slots and back, by a few threads of ours that write and read, made when the first transfer
 *            comes. Transfers are carried in order of submission, in pieces that the threads share, so that one large
 *            transfer keeps the disk as busy as many. The first error that any piece meets is the transfer's result; the
 *            pieces after it are left out.
 * Ownership  a transfer belongs to the caller and stays where it is from submit until wait returns.
 * Threads    any; no lock of the core is held, and none of theirs while the device is called or the disk written and read.
 */
#ifndef EBB_EXECUTOR_H
#define EBB_EXECUTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/thread.h"
#include "tier/device.h"

enum tier {
    TIER_DEVICE,
    TIER_HOST,
    TIER_DISK,
    TIER_COUNT
};

struct disk;

struct transfer {
    enum tier from, to;
    unsigned ordinal;               /**< whose private streams, when one side is the device */
    uint64_t device_address;        /**< when one side is TIER_DEVICE */
    const struct host_memory *host; /**< when one side is TIER_HOST */
    uint64_t slot;                  /**< byte offset in the disk tier, when one side is TIER_DISK */
    uint64_t bytes;
    /** Set by the executor when the transfer has ended: 0 or negative errno. Read it after wait. */
    int result;
    /** Executor's own. */
    struct transfer *next, *prev;
    unsigned pieces_left;
    unsigned executor;
};

struct executor {
    enum tier ends[2]; /**< it carries from either to the other */
    atomic_uint busy;  /**< transfers submitted and not ended */
    /** Start it. 0, or negative errno: nothing was started. */
    int (*submit)(struct executor *self, struct transfer *transfer);
    /** Wait until it has ended; returns its result. */
    int (*wait)(struct executor *self, struct transfer *transfer);
};

/** The core's list of executors. */
struct executors {
    struct executor *row[4];
    unsigned count;
};

/** Submit to the least busy whose ends are the transfer's; -ENOTSUP when there is none. */
int executors_submit(struct executors *list, struct transfer *transfer);
int executors_wait(struct executors *list, struct transfer *transfer);

/* ---- copy_executor.c --------------------------------------------------------------------------------------- */

struct copy_executor {
    struct executor row; /**< give this to the core's list */
    struct device *device;
    struct lock lock; /**< for all below, and for transfers that have not ended */
    pthread_cond_t ended;
    /** Of each device and way, those that no synchronisation covers yet. */
    struct transfer *started[DEVICE_MAX][2];
};

/** @device  live until copy_executor_finish */
void copy_executor_init(struct copy_executor *executor, struct device *device);

/** Every transfer has been waited for. */
void copy_executor_finish(struct copy_executor *executor);

/* ---- disk_executor.c --------------------------------------------------------------------------------------- */

enum {
    DISK_THREADS = 2,
    DISK_THREADS_MAX = 4
};

struct disk_executor {
    struct executor row; /**< give this to the core's list */
    struct disk *disk;
    unsigned wanted;  /**< threads */
    struct lock lock; /**< for all below, and for transfers that have not ended */
    pthread_cond_t work;
    pthread_cond_t ended;
    struct transfer *first; /**< queue of those that have pieces left to begin */
    unsigned begun;         /**< pieces of the first that were begun */
    bool started, stopping;
    unsigned thread_count;
    struct thread worker;
    pthread_t thread[DISK_THREADS_MAX];
};

/** @disk     live until disk_executor_finish
 *  @threads  1 to DISK_THREADS_MAX; DISK_THREADS is a good number */
void disk_executor_init(struct disk_executor *executor, struct disk *disk, unsigned threads);

/** Carry what was submitted to its end, then end the threads. Nobody submits any more. Not for a forked child. */
void disk_executor_finish(struct disk_executor *executor);

#endif
