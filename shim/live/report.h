/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - the figures of a process as people and programs read them: the table of EBBTIDE_STATS, the file of
 * EBBTIDE_STATS_JSON.
 *
 * The figures may come from a file that anybody has written: any numbers are shown, and no text is believed.
 */
#ifndef EBB_REPORT_H
#define EBB_REPORT_H

#include <stdbool.h>

#include "live/figures.h"
#include "live/sheet.h"

/** What is told of a process. */
struct report {
    const struct live_who *who;
    const struct live_now *now;
    const struct live_look *look; /**< `now->devices` of them */
    const char *const
        *unhooked; /**< names of driver entries that were handed out past the hooks; NULL: not known */
    unsigned unhooked_count;
};

/** Keys of the moves, in the order of live_counts. */
extern const char *const report_moves[LIVE_MOVES];

/** What look-ahead did, in a line without its end: text that is as good as `buf`. */
const char *report_forecasts(const struct live_counts *counts, char *buf, size_t size);

void report_table(struct sheet *sheet, const struct report *report);
void report_json(struct sheet *sheet, const struct report *report);

#endif
