/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures.h - what is told of a process: plain figures, for the reports and for the live page.
 *
 * Shape    two parts. `live_now` is cheap to collect, and exact whenever something has moved. `live_look` is of one
 *          device, and needs a walk over all its blocks.
 * Units    bytes and nanoseconds.
 * Layout   that of the page's version (page.h): a change of any of this is a new one.
 */
#ifndef EBB_LIVE_FIGURES_H
#define EBB_LIVE_FIGURES_H

#include <stdint.h>

#include "ledger/kind_figures.h"
#include "policy/budget.h"

enum {
    LIVE_DEVICES = 16,
    LIVE_MOVES = 4,
    LIVE_PINS = 9,
    LIVE_COMMAND_BYTES = 512,
    LIVE_REASON_BYTES = 256
};

struct live_move {
    uint64_t count, bytes, ns;
};

/** Counters.h, at one moment. */
struct live_counts {
    struct live_move moves[LIVE_MOVES];
    uint64_t evictions, restores, dropped_clean, save_failures;
    uint64_t zero_copy_launches, drains, scans, scan_ns, scanned_bytes;
    uint64_t stall_ns, monitor_ticks;
    uint64_t pauses, drain_ns, pause_ns;
    uint64_t launches_foretold, launches_unforetold, early_bytes, unused_bytes, forecasts_given_up;
};

struct live_shares {
    uint64_t operations_bytes, buffers_bytes;
};

struct live_device {
    uint64_t is_ready; /**< it was used: else all below is 0 */
    uint64_t configured_bytes, total_bytes;
    struct budget budget; /**< with what managed memory takes there */
    struct live_shares shares;
};

struct live_disk {
    uint64_t budget_bytes, used_bytes, peak_bytes;
};

enum {
    LIVE_SHARES = 1,    /**< shares are in force */
    LIVE_LOOKAHEAD = 2, /**< launches are noted */
    LIVE_ENDED = 4      /**< the process has come to its end by itself: nothing is counted any more */
};

struct live_now {
    uint64_t duration_ns; /**< since the devices were started */
    uint32_t flags;
    uint32_t devices;
    struct budget host;
    struct live_shares host_shares;
    struct live_disk disk;
    struct live_counts counts;
    char account_only[LIVE_REASON_BYTES]; /**< why nothing moves, ended by NUL; empty: it does */
    struct live_device device[LIVE_DEVICES];
};

struct live_look {
    uint64_t duration_ns; /**< when it was taken, as that of live_now */
    uint64_t untracked_bytes;
    uint64_t blocks, blocks_bytes;
    uint64_t pinned_bytes[LIVE_PINS];
    struct kinds kinds;
    uint64_t made[KIND_COUNT][STAY_COUNT]; /**< by the driver, ever */
};

/** Of whom they are. */
struct live_who {
    int32_t pid;
    char command[LIVE_COMMAND_BYTES]; /**< its words with blanks between, ended by NUL */
};

#endif
