/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - the reports of what happened (ledger/counters.h), at the end of the process.
 */
#ifndef EBB_STATS_H
#define EBB_STATS_H

/**
 * Write the statistics file of EBBTIDE_STATS_JSON: to a temporary name, then renamed.
 *
 * @path      `%p` in it becomes the process id; without it, and when the device was never used, an existing file is
 *            left alone
 * @unhooked  names of driver entries that were handed out past the hooks
 * Returns    0 or negative errno
 */
int stats_write_json(const char *path, const char *const *unhooked, unsigned unhooked_count);

/** The last figures, for the live page. */
void stats_end(void);

/** Write the table of EBBTIDE_STATS to a descriptor; -1: nowhere. */
void stats_write_table(int fd);

/** One line at level info of what look-ahead did; none where no launch was noted. */
void stats_say_forecasts(void);

#endif
