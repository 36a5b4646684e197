/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - what happened, as numbers.
 *
 * Units    bytes and nanoseconds. Counters only grow; each is exact on its own, a snapshot is not one instant.
 * Threads  any.
 */
#ifndef EBB_STATS_H
#define EBB_STATS_H

#include <stdatomic.h>
#include <stdint.h>

enum stats_move {
    MOVE_DEVICE_TO_HOST,
    MOVE_HOST_TO_DEVICE,
    MOVE_HOST_TO_DISK,
    MOVE_DISK_TO_HOST,
    MOVE_COUNT
};

struct move_counter {
    _Atomic uint64_t count;
    _Atomic uint64_t bytes;
    _Atomic uint64_t ns;
};

struct stats_counters {
    struct move_counter moves[MOVE_COUNT];
    _Atomic uint64_t evictions;      /**< chunks that left the device */
    _Atomic uint64_t restores;       /**< chunks that came back to it */
    _Atomic uint64_t dropped_clean;  /**< chunks that left without a copy because an equal one existed */
    _Atomic uint64_t blocks_evicted; /**< that were whole on the device before */
    _Atomic uint64_t blocks_saved;   /**< of these, copied */
    _Atomic uint64_t save_failures;
    _Atomic uint64_t zero_copy_launches; /**< launches that ran with a block in host memory */
    _Atomic uint64_t drains;
    _Atomic uint64_t scans;
    _Atomic uint64_t scan_ns;
    _Atomic uint64_t scanned_bytes;
    _Atomic uint64_t stall_ns; /**< program threads waiting for a move */
    _Atomic uint64_t monitor_ticks;
};

static inline void stats_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/** Count one finished move. */
void stats_moved(enum stats_move move, uint64_t bytes, uint64_t ns);

/**
 * Write the statistics file of EBBTIDE_STATS_JSON: to a temporary name, then renamed.
 *
 * @path      `%p` in it becomes the process id; without it, and when the device was never used, an existing file is
 *            left alone
 * @unhooked  names of driver entries that were handed out past the hooks
 * Returns    0 or negative errno
 */
int stats_write_json(const char *path, const char *const *unhooked, unsigned unhooked_count);

/** Write the table of EBBTIDE_STATS to a descriptor; -1: nowhere. */
void stats_write_table(int fd);

#endif
