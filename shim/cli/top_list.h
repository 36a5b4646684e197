/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_list.h - the processes that top shows: read from their pages, with rates since they were read last.
 *
 * Units    bytes, and bytes a second; parts of a thousand where it says so.
 */
#ifndef EBB_TOP_LIST_H
#define EBB_TOP_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "live/reader.h"

enum top_order {
    TOP_DEVICE,
    TOP_HOST,
    TOP_MOVED,
    TOP_WAITED,
    TOP_PID,
    TOP_ORDERS
};

struct top_row {
    uint64_t started_s;
    struct live_who who;
    enum live_state state;
    struct live_now now;
    uint64_t used_bytes, budget_bytes; /**< of all its devices; UINT64_MAX: no limit */
    uint64_t rate_bytes[LIVE_MOVES];   /**< 0 when it is seen for the first time */
    uint32_t waited_permille;          /**< of the time since then, by any of its threads */
    uint64_t refused;
};

struct top_list {
    const char *folder; /**< of EBBTIDE_LIVE_DIR, or "" */
    const char *filter; /**< shown if the command has it; "" for all */
    bool dead_too;
    enum top_order order;
    uint64_t read_ns; /**< when; CLOCK_MONOTONIC */
    struct top_row *rows;
    size_t count, room;
};

/** Read the pages anew. False: out of memory; then the list is as it was, or shorter. */
bool top_list_read(struct top_list *list);

void top_list_finish(struct top_list *list);

#endif
