/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - see stats.h. */
#include "api/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/core.h"
#include "engine/look.h"
#include "ledger/live.h"
#include "ledger/state.h"
#include "live/report.h"
#include "live/who.h"

/* Too much for a stack that is a program's. */
static struct live_who who;
static struct live_now now;
static struct live_look look[DEVICE_MAX];

static struct report collect(void)
{
    live_who(&who);
    for (unsigned i = 0; core.device && i < core.device->count; i++)
        look_take(i, &look[i]);
    live_collect(&now);
    return (struct report){.who = &who, .now = &now, .look = look};
}

void stats_end(void)
{
    if (core.device)
        look_publish(true);
    live_end();
}

int stats_write_json(const char *path, const char *const *unhooked, unsigned unhooked_count)
{
    char name[1100], temporary[1200];
    struct sheet sheet = {0};
    struct report report;
    int error = options_path(path, name, sizeof(name));

    if (error < 0)
        return error;
    if (!core.device && !strstr(path, "%p") && access(name, F_OK) == 0)
        return 0;
    log_print(temporary, sizeof(temporary), "%s.%d.new", name, (int)getpid());
    sheet.fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (sheet.fd < 0)
        return -errno;
    report = collect();
    report.unhooked = unhooked;
    report.unhooked_count = unhooked_count;
    report_json(&sheet, &report);
    sheet_flush(&sheet);
    if (close(sheet.fd) < 0 && !sheet.error)
        sheet.error = -errno;
    if (!sheet.error && rename(temporary, name) < 0)
        sheet.error = -errno;
    if (sheet.error)
        unlink(temporary);
    return sheet.error;
}

void stats_write_table(int fd)
{
    struct sheet sheet = {.fd = fd};
    struct report report;

    if (fd < 0 || (!core.device && !counters_read(&core.counters.moves[MOVE_HOST_TO_DISK].count)))
        return;
    report = collect();
    report_table(&sheet, &report);
    sheet_flush(&sheet);
}

void stats_say_forecasts(void)
{
    char text[192];

    live_collect(&now);
    if (now.counts.launches_foretold + now.counts.launches_unforetold)
        log_line(LOG_INFO, "%s", report_forecasts(&now.counts, text, sizeof(text)));
}
