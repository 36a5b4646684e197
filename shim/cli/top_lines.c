/* SPDX-License-Identifier: Apache-2.0 */
/* top_lines.c - see top_lines.h. */
#include "cli/top_lines.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    SHORT_BYTES = 8
};

/* An amount in five columns: 0, 900K, 1.5G, 1023M. */
struct short_text {
    char text[SHORT_BYTES];
};

static struct short_text short_size(uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    struct short_text out;
    unsigned unit = 0;
    uint64_t tenths = bytes * 10;

    if (bytes == UINT64_MAX) {
        strcpy(out.text, "off");
        return out;
    }
    while (bytes >= 1024 && unit < sizeof(units) - 2) {
        tenths = bytes * 10 / 1024;
        if (bytes > UINT64_MAX / 10)
            tenths = bytes / 1024 * 10;
        bytes /= 1024;
        unit++;
    }
    if (!bytes)
        strcpy(out.text, "0");
    else if (bytes < 10 && unit && tenths % 10)
        snprintf(out.text, sizeof(out.text), "%u.%u%c", (unsigned)bytes, (unsigned)(tenths % 10),
                 units[unit]);
    else
        snprintf(out.text, sizeof(out.text), "%u%c", (unsigned)bytes, units[unit]);
    return out;
}

/* Text of a page's, as a terminal may see it. */
static void print(char line[TOP_LINE_BYTES], unsigned width, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void print(char line[TOP_LINE_BYTES], unsigned width, const char *format, ...)
{
    size_t room = width < TOP_LINE_BYTES ? width + 1 : TOP_LINE_BYTES, length;
    va_list args;

    va_start(args, format);
    vsnprintf(line, room, format, args);
    va_end(args);
    length = strlen(line);
    for (size_t i = 0; i < length; i++)
        if (!isprint((unsigned char)line[i]))
            line[i] = '?';
    while (length && line[length - 1] == ' ')
        line[--length] = '\0';
}

/* [#######---|--]: used and free of a budget; without one there is no bar. */
static void make_bar(char bar[TOP_BAR + 1], uint64_t used_bytes, uint64_t budget_bytes)
{
    unsigned inside = TOP_BAR - 2, full = 0;

    if (budget_bytes && budget_bytes != UINT64_MAX)
        full = used_bytes < budget_bytes
                   ? (unsigned)((double)used_bytes * inside / (double)budget_bytes + 0.5)
                   : inside;
    memset(bar, budget_bytes == UINT64_MAX ? ' ' : '.', TOP_BAR);
    memset(bar + 1, '#', full);
    bar[0] = '[';
    bar[TOP_BAR - 1] = ']';
    bar[TOP_BAR] = '\0';
}

void top_line_head(char line[TOP_LINE_BYTES], unsigned width, const struct top_list *list)
{
    static const char *const words[TOP_ORDERS] = {"device", "host", "moved", "waited", "pid"};
    uint64_t used_bytes = 0;
    struct tm clock;
    time_t now = time(NULL);
    char at[16] = "";

    if (localtime_r(&now, &clock))
        strftime(at, sizeof(at), "%H:%M:%S", &clock);
    for (size_t i = 0; i < list->count; i++)
        if (list->rows[i].state == LIVE_RUNS && used_bytes < UINT64_MAX / 2)
            used_bytes += list->rows[i].used_bytes / 2;
    print(line, width, "ebbtide top  %s  %zu process%s  device memory held: %s  by %s%s%s", at, list->count,
          list->count == 1 ? "" : "es", short_size(used_bytes * 2).text, words[list->order],
          *list->filter ? "  with " : "", list->filter);
}

void top_line_columns(char line[TOP_LINE_BYTES], unsigned width)
{
    print(line, width, "%7s %-*s %5s %5s %5s %5s %5s %5s %5s %3s %s", "PID", TOP_BAR, "DEVICE", "USED", "OF",
          "HOST", "DISK", "OUT/s", "IN/s", "WAIT", "REF", "COMMAND");
}

/* The program's name first, and not where it lies. */
static const char *without_folder(const char *command)
{
    const char *name = command;

    for (const char *at = command; *at && *at != ' '; at++)
        name = *at == '/' ? at + 1 : name;
    return name;
}

void top_line_row(char line[TOP_LINE_BYTES], unsigned width, const struct top_row *row)
{
    static const char *const words[] = {
        [LIVE_RUNS] = "", [LIVE_ENDS] = "(ended) ", [LIVE_KILLED] = "(killed) "};
    char bar[TOP_BAR + 1], waited[16], refused[8] = ">1k";

    make_bar(bar, row->used_bytes, row->budget_bytes);
    snprintf(waited, sizeof(waited), "%u%%", row->waited_permille / 10);
    if (row->refused < 1000)
        snprintf(refused, sizeof(refused), "%u", (unsigned)row->refused);
    print(line, width, "%7d %s %5s %5s %5s %5s %5s %5s %5s %3s %s%s", row->who.pid, bar,
          short_size(row->used_bytes).text, short_size(row->budget_bytes).text,
          short_size(row->now.host.used_bytes).text, short_size(row->now.disk.used_bytes).text,
          short_size(row->rate_bytes[0] + row->rate_bytes[2]).text,
          short_size(row->rate_bytes[1] + row->rate_bytes[3]).text, waited, refused, words[row->state],
          without_folder(row->who.command));
}

/* ---- one process --------------------------------------------------------------------------------------------------- */

struct lines {
    unsigned width;
    top_line_fn put;
    void *arg;
};

static void put(const struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const struct lines *lines, const char *format, ...)
{
    char line[TOP_LINE_BYTES], text[TOP_LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    print(line, lines->width, "%s", text);
    lines->put(line, lines->arg);
}

static void put_tier(const struct lines *lines, const char *name, uint64_t used_bytes, uint64_t budget_bytes,
                     uint64_t peak_bytes)
{
    char bar[TOP_BAR + 1];

    make_bar(bar, used_bytes, budget_bytes);
    put(lines, "  %-9s %s %5s of %5s, %5s at most", name, bar, short_size(used_bytes).text,
        short_size(budget_bytes).text, short_size(peak_bytes).text);
}

static void put_tiers(const struct lines *lines, const struct live_now *now)
{
    char name[24];

    for (uint32_t i = 0; i < now->devices; i++) {
        if (!now->device[i].is_ready)
            continue;
        snprintf(name, sizeof(name), "device %u", i);
        put_tier(lines, name, now->device[i].budget.used_bytes, now->device[i].configured_bytes,
                 now->device[i].budget.peak_bytes);
    }
    put_tier(lines, "host", now->host.used_bytes, now->host.limit_bytes, now->host.peak_bytes);
    put_tier(lines, "disk", now->disk.used_bytes, now->disk.budget_bytes, now->disk.peak_bytes);
}

static void put_moves(const struct lines *lines, const struct live_counts *counts)
{
    static const char *const words[LIVE_MOVES] = {"device to host", "host to device", "host to disk",
                                                  "disk to host"};

    for (unsigned i = 0; i < LIVE_MOVES; i++)
        put(lines, "  %-14s %9llu moves, %5s", words[i], (unsigned long long)counts->moves[i].count,
            short_size(counts->moves[i].bytes).text);
    put(lines, "  waited %llu ms, %llu drains, %llu searches, %llu launches from host memory",
        (unsigned long long)(counts->stall_ns / 1000000), (unsigned long long)counts->drains,
        (unsigned long long)counts->scans, (unsigned long long)counts->zero_copy_launches);
}

/* What is on the device, and why it stays there. */
static void put_kinds(const struct lines *lines, const struct live_look *look)
{
    put(lines, "  %-33s %9s %6s %6s %6s %10s", "", "count", "device", "host", "disk", "could move");
    for (enum kind which = 0; which < KIND_COUNT; which++) {
        const struct kind_figures *kind = &look->kinds.of[which];

        if (!kind_occurred(kind))
            continue;
        put(lines, "  %-33s %9llu %6s %6s %6s %10s", kind_words[which], (unsigned long long)kind->tally.count,
            short_size(kind->device_bytes).text, short_size(kind->host_bytes).text,
            short_size(kind->disk_bytes).text, short_size(kind->leaves.bytes).text);
        for (unsigned why = 0; why < STAY_COUNT; why++)
            if (kind->stays[why].bytes || kind->stays[why].count)
                put(lines, "    stays: %-24s %9llu %6s", stay_words[why],
                    (unsigned long long)kind->stays[why].count, short_size(kind->stays[why].bytes).text);
    }
    put(lines, "  %-33s %9s %6s", "the driver's own, and others'", "",
        short_size(look->untracked_bytes).text);
}

void top_lines_of_process(unsigned width, const struct live_view *view, enum live_state state,
                          top_line_fn put_line, void *arg)
{
    struct lines lines = {width, put_line, arg};

    put(&lines, "%d %s", view->head.who.pid, view->head.who.command);
    put(&lines, "%s%s",
        state == LIVE_RUNS   ? "runs"
        : state == LIVE_ENDS ? "has ended"
                             : "was killed, or has become another program",
        view->is_cut && state != LIVE_RUNS ? ", in the middle of an update" : "");
    put_tiers(&lines, &view->now);
    put_moves(&lines, &view->now.counts);
    if (*view->now.account_only)
        put(&lines, "  nothing moves: %s", view->now.account_only);
    for (uint32_t i = 0; i < view->now.devices; i++)
        if (view->now.device[i].is_ready) {
            put(&lines, "device %u", i);
            put_kinds(&lines, &view->look[i]);
        }
}
