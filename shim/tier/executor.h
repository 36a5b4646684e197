/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executor.h - who carries bytes from one tier to another.
 *
 * A move is a transfer given to the least busy executor that can run its pair of tiers. A new way of moving bytes
 * (peer memory, storage that the GPU reads itself) is one more row in the core's list and no change elsewhere.
 *
 * Ownership  a transfer belongs to the caller and stays where it is from submit until wait returns.
 * Threads    any; no lock of the core is held.
 */
#ifndef EBB_EXECUTOR_H
#define EBB_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

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
    unsigned ordinal;               /**< whose private stream, when one side is the device */
    uint64_t device_address;        /**< when one side is TIER_DEVICE */
    const struct host_memory *host; /**< when one side is TIER_HOST */
    uint64_t slot;                  /**< byte offset in the disk tier, when one side is TIER_DISK */
    uint64_t bytes;
    /** Set by the executor when the transfer has ended: 0 or negative errno. Read it after wait. */
    int result;
    /** Executor's own. */
    struct transfer *next;
    unsigned pieces_left;
    int executor;
};

struct executor {
    const char *name;
    bool (*can)(const struct executor *self, enum tier from, enum tier to);
    /** Transfers submitted and not ended. */
    unsigned (*busy)(const struct executor *self);
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

/** Submit to the least busy that can; -ENOTSUP when none can. */
int executors_submit(struct executors *list, struct transfer *transfer);
int executors_wait(struct executors *list, struct transfer *transfer);

#endif
