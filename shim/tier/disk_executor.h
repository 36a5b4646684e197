/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_executor.h - host memory to disk slots and back, by a few threads that write and read.
 *
 * Shape    transfers are carried in order of submission, in pieces that the threads share, so that one large
 * transfer keeps the disk as busy as many. Owns     its threads: made when the first transfer comes, all
 * signals blocked. Threads  any; nothing is written, read or allocated while its lock is held. Errors   the
 * first that any piece meets is the transfer's result; the pieces after it are left out.
 */
#ifndef EBB_DISK_EXECUTOR_H
#define EBB_DISK_EXECUTOR_H

#include "base/lock.h"
#include "base/thread.h"
#include "tier/disk.h"
#include "tier/executor.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    DISK_THREADS = 2,
    DISK_THREADS_MAX = 4
};

struct disk_executor {
    struct executor row; /**< give this to the core's list */
    struct disk *disk;
    unsigned wanted; /**< threads */
    atomic_uint busy;
    struct lock lock; /**< for all below, and for transfers that have not ended */
    pthread_cond_t work;
    pthread_cond_t ended;
    struct transfer *first, *last; /**< queue of those that have pieces left to begin */
    unsigned begun;                /**< pieces of the first that were begun */
    bool started, stopping;
    unsigned thread_count;
    struct thread worker;
    pthread_t thread[DISK_THREADS_MAX];
};

/** @disk     live until disk_executor_finish
 *  @threads  1 to DISK_THREADS_MAX; DISK_THREADS is a good number */
void disk_executor_init(struct disk_executor *executor, struct disk *disk, unsigned threads);

/** Carry what was submitted to its end, then end the threads. Nobody submits any more. Not for a forked
 * child. */
void disk_executor_finish(struct disk_executor *executor);

#endif
