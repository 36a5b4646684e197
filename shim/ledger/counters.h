/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.h - what happened, as numbers.
 *
 * Units    bytes and nanoseconds. Counters only grow; each is exact on its own, a snapshot is not one instant.
 * Threads  any.
 */
#ifndef EBB_COUNTERS_H
#define EBB_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum move_kind {
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

struct counters {
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
    _Atomic uint64_t launches_foretold;   /**< noted launches that came as the order of those before said */
    _Atomic uint64_t launches_unforetold; /**< and that did not */
    _Atomic uint64_t early_bytes;         /**< that came before anybody wanted them */
    _Atomic uint64_t unused_bytes; /**< of blocks of these that left or were freed before anybody did */
    _Atomic uint64_t
        forecasts_given_up; /**< times that they moved more than LRU would have, and were not followed for a while */
    _Atomic uint64_t pauses;   /**< in which something moved while devices stood still */
    _Atomic uint64_t drain_ns; /**< until they did */
    _Atomic uint64_t pause_ns; /**< while they did */
};

static inline void counters_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static inline unsigned long long counters_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/** Count one finished move. */
static inline void counters_moved(struct counters *counters, enum move_kind move, uint64_t bytes, uint64_t ns)
{
    counters_add(&counters->moves[move].count, 1);
    counters_add(&counters->moves[move].bytes, bytes);
    counters_add(&counters->moves[move].ns, ns);
}

#endif
