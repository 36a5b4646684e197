/* SPDX-License-Identifier: Apache-2.0 */
/* top_list.c - see top_list.h. */
#include "cli/top_list.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "live/folder.h"

static struct live_view view; /* of the page that is read just now */

/* A figure that anybody may have written is no reason to overflow. */
static uint64_t sum(uint64_t left, uint64_t right)
{
    return left > UINT64_MAX - right ? UINT64_MAX : left + right;
}

static void add_up(struct top_row *row)
{
    for (uint32_t i = 0; i < row->now.devices; i++) {
        const struct live_device *device = &row->now.device[i];

        if (!device->is_ready)
            continue;
        row->used_bytes = sum(row->used_bytes, device->budget.used_bytes);
        row->budget_bytes = sum(row->budget_bytes, device->configured_bytes);
        row->refused = sum(row->refused, device->budget.refused);
    }
    row->refused = sum(row->refused, row->now.host.refused);
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t ns)
{
    double per_second = now > before && ns ? (double)(now - before) * 1e9 / (double)ns : 0;

    return per_second < 1e18 ? (uint64_t)per_second : (uint64_t)1e18;
}

/* What has come since the row was read before. */
static void compare(struct top_row *row, const struct top_row *before, uint64_t ns)
{
    const struct live_counts *now = &row->now.counts, *then = &before->now.counts;
    uint64_t waited;

    for (unsigned i = 0; i < LIVE_MOVES; i++)
        row->rate_bytes[i] = rate(now->moves[i].bytes, then->moves[i].bytes, ns);
    waited = rate(now->stall_ns, then->stall_ns, ns) / 1000000;
    row->waited_permille = waited < 99999 ? (uint32_t)waited : 99999;
}

struct reading {
    struct top_list *list, before;
    bool failed;
};

static bool add(int folder, const char *name, void *arg)
{
    struct reading *reading = arg;
    struct top_list *list = reading->list;
    enum live_state state;
    struct top_row *row;

    if (live_read(folder, name, &view, &state) < 0 || (state != LIVE_RUNS && !list->dead_too) ||
        !strstr(view.head.who.command, list->filter))
        return true;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        struct top_row *rows = realloc(list->rows, room * sizeof(*rows));

        reading->failed = !rows;
        if (!rows)
            return false;
        list->rows = rows;
        list->room = room;
    }
    row = &list->rows[list->count++];
    *row = (struct top_row){
        .started_s = view.head.started_s, .who = view.head.who, .state = state, .now = view.now};
    add_up(row);
    for (size_t i = 0; i < reading->before.count; i++) {
        const struct top_row *old = &reading->before.rows[i];

        if (old->who.pid == row->who.pid && old->started_s == row->started_s)
            compare(row, old, list->read_ns - reading->before.read_ns);
    }
    return true;
}

static uint64_t moved(const struct top_row *row)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < LIVE_MOVES; i++)
        all = sum(all, row->rate_bytes[i]);
    return all;
}

static uint64_t rank(const struct top_row *row, enum top_order order)
{
    switch (order) {
    case TOP_DEVICE:
        return row->used_bytes;
    case TOP_HOST:
        return row->now.host.used_bytes;
    case TOP_MOVED:
        return moved(row);
    case TOP_WAITED:
        return row->waited_permille;
    default:
        return 0;
    }
}

/* The most first; among equals the first process. */
static int by_rank(const void *left, const void *right, void *arg)
{
    const struct top_row *a = left, *b = right;
    enum top_order order = *(const enum top_order *)arg;
    uint64_t rank_a = rank(a, order), rank_b = rank(b, order);

    if (rank_a != rank_b)
        return rank_a < rank_b ? 1 : -1;
    return (a->who.pid > b->who.pid) - (a->who.pid < b->who.pid);
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool top_list_read(struct top_list *list)
{
    struct reading reading = {.list = list, .before = *list};
    char path[LIVE_PATH_BYTES];

    list->rows = NULL;
    list->count = list->room = 0;
    list->read_ns = clock_ns();
    for (unsigned i = 0; !reading.failed && live_folder_path(i, list->folder, path); i++) {
        int folder = live_folder_open(i, list->folder, false);

        if (folder < 0)
            continue;
        live_folder_each(folder, add, &reading);
        close(folder);
    }
    free(reading.before.rows);
    if (list->count)
        qsort_r(list->rows, list->count, sizeof(*list->rows), by_rank, &list->order);
    return !reading.failed;
}

void top_list_finish(struct top_list *list)
{
    free(list->rows);
    list->rows = NULL;
    list->count = list->room = 0;
}
