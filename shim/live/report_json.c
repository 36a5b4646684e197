/* SPDX-License-Identifier: Apache-2.0 */
/* report_json.c - the statistics for programs. See report.h. */
#include "live/report.h"

#include <string.h>

static const char *const class_words[BUDGET_CLASSES] = {"block", "native", "managed", "pool",
                                                        "array", "vmm",    "graph",   "reserved"};
static const char *const host_words[] = {"heap", "pinned", "registered", "tier"};
static const char *const pin_words[LIVE_PINS] = {"exported", "peer",    "registered", "texture",   "graph",
                                                 "api",      "library", "alias",      "referenced"};
const char *const report_moves[LIVE_MOVES] = {"device_to_host", "host_to_device", "host_to_disk",
                                              "disk_to_host"};

static uint64_t shown_limit(uint64_t limit_bytes, uint64_t none)
{
    return limit_bytes == BUDGET_NO_LIMIT ? none : limit_bytes;
}

static void put_budget(struct sheet *sheet, const struct budget *budget, uint64_t limit_bytes)
{
    sheet_put(sheet, "\"budget_bytes\": %llu, \"used_bytes\": %llu, \"peak_bytes\": %llu",
              (unsigned long long)limit_bytes, (unsigned long long)budget->used_bytes,
              (unsigned long long)budget->peak_bytes);
}

static void put_list(struct sheet *sheet, const char *name, const uint64_t *values, const char *const *words,
                     unsigned count)
{
    sheet_put(sheet, "\"%s\": {", name);
    for (unsigned i = 0; i < count; i++)
        sheet_put(sheet, "%s\"%s\": %llu", i ? ", " : "", words[i], (unsigned long long)values[i]);
    sheet_put(sheet, "}");
}

static void put_shares(struct sheet *sheet, const struct live_shares *shares)
{
    sheet_put(sheet, ", \"operations_bytes\": %llu, \"buffers_bytes\": %llu",
              (unsigned long long)shares->operations_bytes, (unsigned long long)shares->buffers_bytes);
}

/* ---- kinds ------------------------------------------------------------------------------------------------- */

static void put_part(struct sheet *sheet, const char *name, const struct kind_part *part)
{
    sheet_put(sheet, "\"%s\": {\"count\": %llu, \"bytes\": %llu}", name, (unsigned long long)part->count,
              (unsigned long long)part->bytes);
}

/* Those of which there is something, or has been. */
static void put_stays(struct sheet *sheet, const struct live_look *look, enum kind which)
{
    const struct kind_figures *kind = &look->kinds.of[which];
    bool any = false;

    sheet_put(sheet, "\"stays\": {");
    for (unsigned why = 0; why < STAY_COUNT; why++) {
        const struct kind_part *part = &kind->stays[why];

        if (!part->count && !part->bytes && !look->made[which][why])
            continue;
        sheet_put(sheet, "%s\"%s\": {\"count\": %llu, \"bytes\": %llu", any ? ", " : "", stay_key[why],
                  (unsigned long long)part->count, (unsigned long long)part->bytes);
        if (look->made[which][why])
            sheet_put(sheet, ", \"total_count\": %llu", (unsigned long long)look->made[which][why]);
        sheet_put(sheet, "}");
        any = true;
    }
    sheet_put(sheet, "}");
}

static void put_kind(struct sheet *sheet, const struct live_look *look, enum kind which)
{
    const struct kind_figures *kind = &look->kinds.of[which];
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"count", kind->tally.count},
                   {"peak_count", kind->tally.peak_count},
                   {"total_count", kind->tally.total},
                   {"bytes", kind->tally.bytes},
                   {"peak_bytes", kind->tally.peak_bytes},
                   {"device_bytes", kind->device_bytes},
                   {"host_bytes", kind->host_bytes},
                   {"disk_bytes", kind->disk_bytes},
                   {"dropped_bytes", kind->dropped_bytes},
                   {"off_bytes", kind->off_bytes},
                   {"host_copy_bytes", kind->host_copy_bytes},
                   {"disk_copy_bytes", kind->disk_copy_bytes}};

    sheet_put(sheet, "\"%s\": {", kind_key[which]);
    for (unsigned i = 0; i < sizeof(figures) / sizeof(*figures); i++)
        sheet_put(sheet, "\"%s\": %llu, ", figures[i].name, (unsigned long long)figures[i].value);
    put_part(sheet, "movable", &kind->leaves);
    sheet_put(sheet, ", ");
    put_part(sheet, "away", &kind->away);
    sheet_put(sheet, ",\n     ");
    put_stays(sheet, look, which);
    sheet_put(sheet, "}");
}

static void put_kinds(struct sheet *sheet, const struct live_look *look)
{
    bool any = false;

    sheet_put(sheet, "\"kinds\": {");
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        if (!kind_occurred(&look->kinds.of[kind]))
            continue;
        sheet_put(sheet, "%s\n    ", any ? "," : "");
        put_kind(sheet, look, kind);
        any = true;
    }
    sheet_put(sheet, "}");
}

/* ---- all of it --------------------------------------------------------------------------------------------- */

static void put_device(struct sheet *sheet, const struct live_device *device, const struct live_look *look,
                       unsigned ordinal)
{
    const struct budget *budget = &device->budget;

    sheet_put(sheet, "%s\n  {\"ordinal\": %u, ", ordinal ? "," : "", ordinal);
    put_budget(sheet, budget, shown_limit(device->configured_bytes, device->total_bytes));
    sheet_put(sheet, ", \"idle_bytes\": %llu, \"untracked_bytes\": %llu, \"refused\": %llu,\n   ",
              (unsigned long long)budget->idle_bytes, (unsigned long long)look->untracked_bytes,
              (unsigned long long)budget->refused);
    put_list(sheet, "classes", budget->class_bytes, class_words, BUDGET_CLASSES);
    put_shares(sheet, &device->shares);
    sheet_put(sheet, ",\n   ");
    put_list(sheet, "pinned", look->pinned_bytes, pin_words, LIVE_PINS);
    sheet_put(sheet, ",\n   ");
    put_kinds(sheet, look);
    sheet_put(sheet, "}");
}

static void put_host(struct sheet *sheet, const struct live_now *now)
{
    sheet_put(sheet, " \"host\": {");
    put_budget(sheet, &now->host, shown_limit(now->host.limit_bytes, 0));
    sheet_put(sheet, ", \"idle_bytes\": %llu, \"refused\": %llu, ", (unsigned long long)now->host.idle_bytes,
              (unsigned long long)now->host.refused);
    put_list(sheet, "classes", now->host.class_bytes, host_words, sizeof(host_words) / sizeof(*host_words));
    put_shares(sheet, &now->host_shares);
    sheet_put(sheet, "},\n \"disk\": {\"budget_bytes\": %llu, \"used_bytes\": %llu, \"peak_bytes\": %llu},\n",
              (unsigned long long)now->disk.budget_bytes, (unsigned long long)now->disk.used_bytes,
              (unsigned long long)now->disk.peak_bytes);
}

static void put_moves(struct sheet *sheet, const struct live_counts *counts)
{
    sheet_put(sheet, " \"moves\": {");
    for (unsigned i = 0; i < LIVE_MOVES; i++)
        sheet_put(sheet, "%s\"%s\": {\"count\": %llu, \"bytes\": %llu, \"ns\": %llu}",
                  i ? ",\n           " : "", report_moves[i], (unsigned long long)counts->moves[i].count,
                  (unsigned long long)counts->moves[i].bytes, (unsigned long long)counts->moves[i].ns);
    sheet_put(sheet, "},\n");
}

/* All blocks that are left when this is written. */
static void put_left(struct sheet *sheet, const struct report *report)
{
    uint64_t blocks = 0, bytes = 0;

    for (unsigned i = 0; i < report->now->devices; i++) {
        blocks += report->look[i].blocks;
        bytes += report->look[i].blocks_bytes;
    }
    sheet_put(sheet, "\"leaked\": {\"blocks\": %llu, \"bytes\": %llu}", (unsigned long long)blocks,
              (unsigned long long)bytes);
}

static void put_counts(struct sheet *sheet, const struct live_counts *counts)
{
    const struct {
        const char *before, *name;
        uint64_t value;
    } figures[] = {{"", "evictions", counts->evictions},
                   {"", "restores", counts->restores},
                   {"", "dropped_clean", counts->dropped_clean},
                   {"", "save_failures", counts->save_failures},
                   {"\n", "zero_copy_launches", counts->zero_copy_launches},
                   {"", "drains", counts->drains},
                   {"", "searches", counts->scans},
                   {"", "search_ns", counts->scan_ns},
                   {"", "searched_bytes", counts->scanned_bytes},
                   {"\n", "launches_foretold", counts->launches_foretold},
                   {"", "launches_unforetold", counts->launches_unforetold},
                   {"", "early_bytes", counts->early_bytes},
                   {"", "unused_bytes", counts->unused_bytes},
                   {"", "forecasts_given_up", counts->forecasts_given_up},
                   {"\n", "pauses", counts->pauses},
                   {"", "drain_ns", counts->drain_ns},
                   {"", "pause_ns", counts->pause_ns},
                   {"\n", "stall_ns", counts->stall_ns},
                   {"", "monitor_ticks", counts->monitor_ticks}};

    for (unsigned i = 0; i < sizeof(figures) / sizeof(*figures); i++)
        sheet_put(sheet, "%s \"%s\": %llu,", figures[i].before, figures[i].name,
                  (unsigned long long)figures[i].value);
    sheet_put(sheet, " ");
}

static void put_unhooked(struct sheet *sheet, const struct report *report)
{
    if (!report->unhooked) {
        sheet_put(sheet, ",\n \"unhooked\": null");
        return;
    }
    sheet_put(sheet, ",\n \"unhooked\": [");
    for (unsigned i = 0; i < report->unhooked_count; i++) {
        sheet_put(sheet, "%s\"", i ? ", " : "");
        sheet_text(sheet, report->unhooked[i], strlen(report->unhooked[i]));
        sheet_put(sheet, "\"");
    }
    sheet_put(sheet, "]");
}

void report_json(struct sheet *sheet, const struct report *report)
{
    const struct live_now *now = report->now;
    const char *why = now->account_only;

    sheet_put(sheet, "{\"version\": 1, \"pid\": %d, \"command\": \"", report->who->pid);
    sheet_text(sheet, report->who->command, strlen(report->who->command));
    sheet_put(sheet, "\", \"duration_ns\": %llu,\n \"devices\": [", (unsigned long long)now->duration_ns);
    for (unsigned i = 0; i < now->devices; i++)
        put_device(sheet, &now->device[i], &report->look[i], i);
    sheet_put(sheet, "],\n");
    put_host(sheet, now);
    put_moves(sheet, &now->counts);
    put_counts(sheet, &now->counts);
    put_left(sheet, report);
    put_unhooked(sheet, report);
    sheet_put(sheet, ", \"account_only\": %s", *why ? "\"" : "null");
    sheet_text(sheet, why, strlen(why));
    sheet_put(sheet, "%s}\n", *why ? "\"" : "");
}
