/* SPDX-License-Identifier: Apache-2.0 */
/* report_table.c - the table for people. See report.h. */
#include "live/report.h"

#include "base/log.h"
#include "base/size.h"

/* @shares  NULL: the tier has none, or they are not in force */
static void put_row(struct sheet *sheet, const char *name, uint64_t budget_bytes, uint64_t used_bytes,
                    uint64_t peak_bytes, const struct live_shares *shares)
{
    sheet_put(sheet, "  %-10s %12s %12s %12s", name,
              size_text(budget_bytes == BUDGET_NO_LIMIT ? SIZE_UNLIMITED : budget_bytes).text,
              size_text(used_bytes).text, size_text(peak_bytes).text);
    if (shares)
        sheet_put(sheet, " %12s %12s", size_text(shares->operations_bytes).text,
                  size_text(shares->buffers_bytes).text);
    sheet_put(sheet, "\n");
}

/* "96 MiB in 3", or a dash for nothing. */
static const char *part_text(const struct kind_part *part, char *buf, size_t size)
{
    log_print(buf, size, part->count || part->bytes ? "%s in %llu" : "-", size_text(part->bytes).text,
              (unsigned long long)part->count);
    return buf;
}

/* Why what cannot leave the device cannot: a line for each reason. */
static void put_stay_rows(struct sheet *sheet, const struct live_look *look, enum kind which)
{
    const struct kind_figures *kind = &look->kinds.of[which];
    char part[64];

    for (unsigned why = 0; why < STAY_COUNT; why++) {
        const struct kind_part *stays = &kind->stays[why];
        uint64_t made = look->made[which][why];

        if (!stays->count && !stays->bytes && !made)
            continue;
        sheet_put(sheet, "    %-36s %s", stay_words[why], part_text(stays, part, sizeof(part)));
        if (made)
            sheet_put(sheet, ", %llu ever", (unsigned long long)made);
        sheet_put(sheet, "\n");
    }
}

/* What the device holds and has held, by kind; nothing where there never was any. */
static void put_kind_rows(struct sheet *sheet, const struct live_look *look, unsigned ordinal)
{
    bool any = false;
    char part[64];

    for (enum kind which = 0; which < KIND_COUNT; which++)
        any = any || kind_occurred(&look->kinds.of[which]);
    if (!any)
        return;
    sheet_put(sheet, "  device %u: %-27s %10s %12s %12s %12s %12s %12s  could move\n", ordinal, "kind",
              "count", "peak", "peak bytes", "on device", "on host", "on disk");
    for (enum kind which = 0; which < KIND_COUNT; which++) {
        const struct kind_figures *kind = &look->kinds.of[which];

        if (!kind_occurred(kind))
            continue;
        sheet_put(sheet, "  %-37s %10llu %12llu %12s %12s %12s %12s  %s\n", kind_words[which],
                  (unsigned long long)kind->tally.count, (unsigned long long)kind->tally.peak_count,
                  size_text(kind->tally.peak_bytes).text, size_text(kind->device_bytes).text,
                  size_text(kind->host_bytes).text, size_text(kind->disk_bytes).text,
                  part_text(&kind->leaves, part, sizeof(part)));
        put_stay_rows(sheet, look, which);
    }
    sheet_put(sheet, "  %-37s %s\n", "the driver's own, and others'", size_text(look->untracked_bytes).text);
}

static void put_tiers(struct sheet *sheet, const struct live_now *now)
{
    bool have_shares = now->flags & LIVE_SHARES;
    char name[24];

    for (unsigned i = 0; i < now->devices; i++) {
        const struct live_device *device = &now->device[i];

        if (!device->is_ready)
            continue;
        log_print(name, sizeof(name), "device %u", i);
        put_row(sheet, name, device->configured_bytes, device->budget.used_bytes, device->budget.peak_bytes,
                have_shares ? &device->shares : NULL);
    }
    put_row(sheet, "host", now->host.limit_bytes, now->host.used_bytes, now->host.peak_bytes,
            have_shares ? &now->host_shares : NULL);
    put_row(sheet, "disk", now->disk.budget_bytes, now->disk.used_bytes, now->disk.peak_bytes, NULL);
}

const char *report_forecasts(const struct live_counts *counts, char *buf, size_t size)
{
    log_print(buf, size,
              "look-ahead: %llu launches foretold, %llu not; %s came early, %s of it for nobody; given up "
              "%llu times",
              (unsigned long long)counts->launches_foretold, (unsigned long long)counts->launches_unforetold,
              size_text(counts->early_bytes).text, size_text(counts->unused_bytes).text,
              (unsigned long long)counts->forecasts_given_up);
    return buf;
}

static void put_events(struct sheet *sheet, const struct live_now *now)
{
    const struct live_counts *counts = &now->counts;
    uint64_t refused = 0;
    char text[192];

    for (unsigned i = 0; i < LIVE_MOVES; i++) {
        const struct live_move *move = &counts->moves[i];

        sheet_put(sheet, "  %-15s %8llu moves %12s %8llu MB/s\n", report_moves[i],
                  (unsigned long long)move->count, size_text(move->bytes).text,
                  (unsigned long long)(move->ns / 1000 ? move->bytes / (move->ns / 1000) : 0));
    }
    for (unsigned i = 0; i < now->devices; i++)
        refused += now->device[i].budget.refused;
    sheet_put(sheet,
              "  %llu drains, %llu searches, %llu launches from host memory, stalled %llu ms, refused %llu\n",
              (unsigned long long)counts->drains, (unsigned long long)counts->scans,
              (unsigned long long)counts->zero_copy_launches,
              (unsigned long long)(counts->stall_ns / 1000000), (unsigned long long)refused);
    sheet_put(
        sheet,
        "  %llu pauses: %llu ms until devices stood still, %llu ms while they did, %llu ms of searches\n",
        (unsigned long long)counts->pauses, (unsigned long long)(counts->drain_ns / 1000000),
        (unsigned long long)(counts->pause_ns / 1000000), (unsigned long long)(counts->scan_ns / 1000000));
    if (now->flags & LIVE_LOOKAHEAD)
        sheet_put(sheet, "  %s\n", report_forecasts(counts, text, sizeof(text)));
}

void report_table(struct sheet *sheet, const struct report *report)
{
    const struct live_now *now = report->now;

    sheet_put(sheet, "ebbtide[%d]\n  %-10s %12s %12s %12s%s\n", report->who->pid, "tier", "budget", "used",
              "peak", now->flags & LIVE_SHARES ? "   operations      buffers" : "");
    put_tiers(sheet, now);
    for (unsigned i = 0; i < now->devices; i++)
        put_kind_rows(sheet, &report->look[i], i);
    put_events(sheet, now);
}
