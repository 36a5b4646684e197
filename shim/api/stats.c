/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - see stats.h. */
#include "api/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"
#include "base/size.h"
#include "engine/core.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/state.h"
#include "policy/policies.h"

/* Text on its way to a descriptor. */
struct sheet {
    int fd;
    size_t used;
    int error;
    char buf[4096];
};

static void sheet_flush(struct sheet *sheet)
{
    for (size_t at = 0; at < sheet->used && !sheet->error;) {
        ssize_t wrote = output_write(sheet->fd, sheet->buf + at, sheet->used - at);

        sheet->error = wrote < 0 ? (int)wrote : 0;
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    sheet->used = 0;
}

static void put(struct sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct sheet *sheet, const char *format, ...)
{
    va_list args;

    if (sizeof(sheet->buf) - sheet->used < 1024)
        sheet_flush(sheet);
    va_start(args, format);
    sheet->used += log_format(sheet->buf + sheet->used, sizeof(sheet->buf) - sheet->used, format, args);
    va_end(args);
}

static const char *const class_words[CLASS_COUNT] = {"block", "native", "managed", "pool",
                                                     "array", "vmm",    "graph",   "reserved"};
static const char *const host_words[HOST_CLASS_COUNT] = {"heap", "pinned", "registered", "tier"};
static const char *const pin_words[PIN_REASON_COUNT] = {
    "exported", "peer", "registered", "texture", "graph", "api", "library", "alias", "referenced"};
static const char *const move_words[MOVE_COUNT] = {"device_to_host", "host_to_device", "host_to_disk",
                                                   "disk_to_host"};

/* Bytes of live blocks by what keeps them, and of all together. */
struct held {
    uint64_t pinned[PIN_REASON_COUNT];
    uint64_t blocks, bytes;
};

static struct held held_on(int ordinal_or_all)
{
    struct held held = {0};

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        const struct block *block = &core.blocks.block[g];
        uint64_t bytes = block->granules * GRANULE_BYTES;

        if (ordinal_or_all >= 0 && block->ordinal != ordinal_or_all)
            continue;
        held.blocks++;
        held.bytes += bytes;
        for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
            if (block->pins[reason] || (reason == PIN_LIBRARY && block->flags & BLOCK_FIXED) ||
                (reason == PIN_REFERENCED && block->flags & BLOCK_REFERENCED))
                held.pinned[reason] += bytes;
    }
    lock_release(&core.lock);
    return held;
}

static uint64_t shown_limit(uint64_t limit_bytes, uint64_t none)
{
    return limit_bytes == BUDGET_NO_LIMIT ? none : limit_bytes;
}

static void put_budget(struct sheet *sheet, const struct budget *budget, uint64_t limit_bytes)
{
    put(sheet, "\"budget_bytes\": %llu, \"used_bytes\": %llu, \"peak_bytes\": %llu",
        (unsigned long long)limit_bytes, (unsigned long long)budget->used_bytes,
        (unsigned long long)budget->peak_bytes);
}

static void put_list(struct sheet *sheet, const char *name, const uint64_t *values, const char *const *words,
                     unsigned count)
{
    put(sheet, "\"%s\": {", name);
    for (unsigned i = 0; i < count; i++)
        put(sheet, "%s\"%s\": %llu", i ? ", " : "", words[i], (unsigned long long)values[i]);
    put(sheet, "}");
}

static void put_shares(struct sheet *sheet, const struct shares *shares)
{
    put(sheet, ", \"operations_bytes\": %llu, \"buffers_bytes\": %llu",
        (unsigned long long)shares->operations_bytes, (unsigned long long)shares->buffers_bytes);
}

static struct shares shares_of(int ordinal_or_host)
{
    struct shares shares;

    lock_acquire(&core.lock);
    shares = ordinal_or_host < 0 ? host_share_state() : share_state((unsigned)ordinal_or_host);
    lock_release(&core.lock);
    return shares;
}

/* What the driver says is in use beside what we hold. */
static uint64_t untracked_on(unsigned ordinal, const struct budget *budget)
{
    uint64_t free_bytes = 0, total_bytes = 0;

    if (!core.devices[ordinal].ready || !core_active() ||
        core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        return 0;
    return shares_over(total_bytes - free_bytes, budget_held(budget));
}

/* ---- kinds ------------------------------------------------------------------------------------------------- */

/* One device's at a time: too much for a stack that is a program's. */
static struct kinds kinds;

static bool kind_occurred(const struct kind_figures *kind)
{
    return kind->tally.total || kind->tally.peak_bytes || kind->device_bytes;
}

static void put_part(struct sheet *sheet, const char *name, const struct kind_part *part)
{
    put(sheet, "\"%s\": {\"count\": %llu, \"bytes\": %llu}", name, (unsigned long long)part->count,
        (unsigned long long)part->bytes);
}

/* Those of which there is something, or has been. */
static void put_stays(struct sheet *sheet, enum kind which, const struct native_tally *native)
{
    const struct kind_figures *kind = &kinds.of[which];
    bool any = false;

    put(sheet, "\"stays\": {");
    for (unsigned why = 0; why < STAY_COUNT; why++) {
        const struct kind_part *part = &kind->stays[why];

        if (!part->count && !part->bytes && !native[why].total)
            continue;
        put(sheet, "%s\"%s\": {\"count\": %llu, \"bytes\": %llu", any ? ", " : "", stay_key[why],
            (unsigned long long)part->count, (unsigned long long)part->bytes);
        if (native[why].total)
            put(sheet, ", \"total_count\": %llu", (unsigned long long)native[why].total);
        put(sheet, "}");
        any = true;
    }
    put(sheet, "}");
}

static void put_kind(struct sheet *sheet, enum kind which, const struct native_tally *native)
{
    const struct kind_figures *kind = &kinds.of[which];
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

    put(sheet, "\"%s\": {", kind_key[which]);
    for (unsigned i = 0; i < sizeof(figures) / sizeof(*figures); i++)
        put(sheet, "\"%s\": %llu, ", figures[i].name, (unsigned long long)figures[i].value);
    put_part(sheet, "movable", &kind->leaves);
    put(sheet, ", ");
    put_part(sheet, "away", &kind->away);
    put(sheet, ",\n     ");
    put_stays(sheet, which, native);
    put(sheet, "}");
}

static void put_kinds(struct sheet *sheet, const struct kinds_tally *tally)
{
    bool any = false;

    put(sheet, "\"kinds\": {");
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        if (!kind_occurred(&kinds.of[kind]))
            continue;
        put(sheet, "%s\n    ", any ? "," : "");
        put_kind(sheet, kind, tally->native[kind]);
        any = true;
    }
    put(sheet, "}");
}

static void put_device(struct sheet *sheet, unsigned ordinal)
{
    struct shares shares = shares_of((int)ordinal);
    struct device_state *device = &core.devices[ordinal];
    struct held held = held_on((int)ordinal);
    const struct budget *budget = &kinds.budget;

    core_kinds(ordinal, &kinds);
    put(sheet, "%s\n  {\"ordinal\": %u, ", ordinal ? "," : "", ordinal);
    put_budget(sheet, budget, shown_limit(device->configured_bytes, device->total_bytes));
    put(sheet, ", \"idle_bytes\": %llu, \"untracked_bytes\": %llu, \"refused\": %llu,\n   ",
        (unsigned long long)budget->idle_bytes, (unsigned long long)untracked_on(ordinal, budget),
        (unsigned long long)budget->refused);
    put_list(sheet, "classes", budget->class_bytes, class_words, CLASS_COUNT);
    put_shares(sheet, &shares);
    put(sheet, ",\n   ");
    put_list(sheet, "pinned", held.pinned, pin_words, PIN_REASON_COUNT);
    put(sheet, ",\n   ");
    put_kinds(sheet, &device->kinds);
    put(sheet, "}");
}

/* Bytes of the character of UTF-8 that begins here; 0: none does. */
static size_t character(const unsigned char *text, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = text[0] < 0x80       ? 1
                   : text[0] >> 5 == 6  ? 2
                   : text[0] >> 4 == 14 ? 3
                   : text[0] >> 3 == 30 ? 4
                                        : 0;
    uint32_t code = bytes > 1 ? text[0] & (0x7fu >> bytes) : text[0];

    if (bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    return bytes && code >= least[bytes] && code <= 0x10ffff && code >> 11 != 0x1b ? bytes : 0;
}

/* Inside a string of JSON: quotes escaped, control characters and what is no text masked. */
static void put_text(struct sheet *sheet, const char *text, size_t length)
{
    for (size_t i = 0, bytes; i < length; i += bytes) {
        bytes = character((const unsigned char *)text + i, length - i);
        if (!bytes || (unsigned char)text[i] < ' ')
            put(sheet, "?");
        else
            put(sheet, "%s%.*s", text[i] == '"' || text[i] == '\\' ? "\\" : "", (int)bytes, text + i);
        bytes += !bytes;
    }
}

static void put_command(struct sheet *sheet)
{
    char line[512];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < length; i++)
        line[i] = line[i] ? line[i] : ' ';
    if (length > 0)
        put_text(sheet, line, (size_t)length - 1);
}

static void put_events(struct sheet *sheet)
{
    struct counters *c = &core.counters;
    struct held left = held_on(-1);

    put(sheet, " \"moves\": {");
    for (unsigned i = 0; i < MOVE_COUNT; i++)
        put(sheet, "%s\"%s\": {\"count\": %llu, \"bytes\": %llu, \"ns\": %llu}", i ? ",\n           " : "",
            move_words[i], counters_read(&c->moves[i].count), counters_read(&c->moves[i].bytes),
            counters_read(&c->moves[i].ns));
    put(sheet,
        "},\n \"evictions\": %llu, \"restores\": %llu, \"dropped_clean\": %llu, \"save_failures\": %llu,",
        counters_read(&c->evictions), counters_read(&c->restores), counters_read(&c->dropped_clean),
        counters_read(&c->save_failures));
    put(sheet,
        "\n \"zero_copy_launches\": %llu, \"drains\": %llu, \"searches\": %llu, \"search_ns\": %llu, "
        "\"searched_bytes\": %llu,",
        counters_read(&c->zero_copy_launches), counters_read(&c->drains), counters_read(&c->scans),
        counters_read(&c->scan_ns), counters_read(&c->scanned_bytes));
    put(sheet,
        "\n \"launches_foretold\": %llu, \"launches_unforetold\": %llu, \"early_bytes\": %llu, "
        "\"unused_bytes\": %llu, \"forecasts_given_up\": %llu,",
        counters_read(&c->launches_foretold), counters_read(&c->launches_unforetold),
        counters_read(&c->early_bytes), counters_read(&c->unused_bytes),
        counters_read(&c->forecasts_given_up));
    put(sheet, "\n \"pauses\": %llu, \"drain_ns\": %llu, \"pause_ns\": %llu,", counters_read(&c->pauses),
        counters_read(&c->drain_ns), counters_read(&c->pause_ns));
    put(sheet,
        "\n \"stall_ns\": %llu, \"monitor_ticks\": %llu, \"leaked\": {\"blocks\": %llu, \"bytes\": %llu}",
        counters_read(&c->stall_ns), counters_read(&c->monitor_ticks), (unsigned long long)left.blocks,
        (unsigned long long)left.bytes);
}

static struct disk_figures disk_now(void)
{
    struct disk_figures figures = {0};

    if (core_host_active())
        disk_figures(&core.disk, &figures);
    return figures;
}

static void put_json(struct sheet *sheet, const char *const *unhooked, unsigned unhooked_count)
{
    struct disk_figures disk = disk_now();
    const char *why = atomic_load(&core.account_only);
    struct shares shares = shares_of(-1);
    struct budget host;

    headroom_host_budget(&host);
    put(sheet, "{\"version\": 1, \"pid\": %d, \"command\": \"", (int)getpid());
    put_command(sheet);
    put(sheet, "\", \"duration_ns\": %llu,\n \"devices\": [",
        core.device ? (unsigned long long)(core_now() - core.started_ns) : 0ULL);
    for (unsigned i = 0; core.device && i < core.device->count; i++)
        put_device(sheet, i);
    put(sheet, "],\n \"host\": {");
    put_budget(sheet, &host, shown_limit(host.limit_bytes, 0));
    put(sheet, ", \"idle_bytes\": %llu, \"refused\": %llu, ", (unsigned long long)host.idle_bytes,
        (unsigned long long)host.refused);
    put_list(sheet, "classes", host.class_bytes, host_words, HOST_CLASS_COUNT);
    put_shares(sheet, &shares);
    put(sheet, "},\n \"disk\": {\"budget_bytes\": %llu, \"used_bytes\": %llu, \"peak_bytes\": %llu},\n",
        (unsigned long long)disk.budget_bytes, (unsigned long long)disk.used_bytes,
        (unsigned long long)disk.peak_bytes);
    put_events(sheet);
    put(sheet, ",\n \"unhooked\": [");
    for (unsigned i = 0; i < unhooked_count; i++) {
        put(sheet, "%s\"", i ? ", " : "");
        put_text(sheet, unhooked[i], strlen(unhooked[i]));
        put(sheet, "\"");
    }
    put(sheet, "], \"account_only\": %s", why ? "\"" : "null");
    if (why)
        put_text(sheet, why, strlen(why));
    put(sheet, "%s}\n", why ? "\"" : "");
}

int stats_write_json(const char *path, const char *const *unhooked, unsigned unhooked_count)
{
    char name[1100], temporary[1200];
    struct sheet sheet = {0};
    int error = options_path(path, name, sizeof(name));

    if (error < 0)
        return error;
    if (!core.device && !strstr(path, "%p") && access(name, F_OK) == 0)
        return 0;
    log_print(temporary, sizeof(temporary), "%s.%d.new", name, (int)getpid());
    sheet.fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (sheet.fd < 0)
        return -errno;
    put_json(&sheet, unhooked, unhooked_count);
    sheet_flush(&sheet);
    if (close(sheet.fd) < 0 && !sheet.error)
        sheet.error = -errno;
    if (!sheet.error && rename(temporary, name) < 0)
        sheet.error = -errno;
    if (sheet.error)
        unlink(temporary);
    return sheet.error;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

/* @shares  NULL: the tier has none */
static void put_row(struct sheet *sheet, const char *name, uint64_t budget_bytes, uint64_t used_bytes,
                    uint64_t peak_bytes, const struct shares *shares)
{
    put(sheet, "  %-10s %12s %12s %12s", name,
        size_text(budget_bytes == BUDGET_NO_LIMIT ? SIZE_UNLIMITED : budget_bytes).text,
        size_text(used_bytes).text, size_text(peak_bytes).text);
    if (shares && share_in_force())
        put(sheet, " %12s %12s", size_text(shares->operations_bytes).text,
            size_text(shares->buffers_bytes).text);
    put(sheet, "\n");
}

/* "96 MiB in 3", or a dash for nothing. */
static const char *part_text(const struct kind_part *part, char *buf, size_t size)
{
    log_print(buf, size, part->count || part->bytes ? "%s in %llu" : "-", size_text(part->bytes).text,
              (unsigned long long)part->count);
    return buf;
}

/* Why what cannot leave the device cannot: a line for each reason. */
static void put_stay_rows(struct sheet *sheet, const struct kind_figures *kind,
                          const struct native_tally *native)
{
    char part[64];

    for (unsigned why = 0; why < STAY_COUNT; why++) {
        const struct kind_part *stays = &kind->stays[why];

        if (!stays->count && !stays->bytes && !native[why].total)
            continue;
        put(sheet, "    %-36s %s", stay_words[why], part_text(stays, part, sizeof(part)));
        if (native[why].total)
            put(sheet, ", %llu ever", (unsigned long long)native[why].total);
        put(sheet, "\n");
    }
}

/* What the device holds and has held, by kind; nothing where there never was any. */
static void put_kind_rows(struct sheet *sheet, unsigned ordinal)
{
    bool any = false;
    char part[64];

    core_kinds(ordinal, &kinds);
    for (enum kind which = 0; which < KIND_COUNT; which++)
        any = any || kind_occurred(&kinds.of[which]);
    if (!any)
        return;
    put(sheet, "  device %u: %-27s %10s %12s %12s %12s %12s %12s  could move\n", ordinal, "kind", "count",
        "peak", "peak bytes", "on device", "on host", "on disk");
    for (enum kind which = 0; which < KIND_COUNT; which++) {
        const struct kind_figures *kind = &kinds.of[which];

        if (!kind_occurred(kind))
            continue;
        put(sheet, "  %-37s %10llu %12llu %12s %12s %12s %12s  %s\n", kind_words[which],
            (unsigned long long)kind->tally.count, (unsigned long long)kind->tally.peak_count,
            size_text(kind->tally.peak_bytes).text, size_text(kind->device_bytes).text,
            size_text(kind->host_bytes).text, size_text(kind->disk_bytes).text,
            part_text(&kind->leaves, part, sizeof(part)));
        put_stay_rows(sheet, kind, core.devices[ordinal].kinds.native[which]);
    }
    put(sheet, "  %-37s %s\n", "the driver's own, and others'",
        size_text(untracked_on(ordinal, &kinds.budget)).text);
}

/* What look-ahead did. */
static const char *forecasts_text(char *buf, size_t size)
{
    struct counters *c = &core.counters;

    log_print(buf, size,
              "look-ahead: %llu launches foretold, %llu not; %s came early, %s of it for nobody; given up "
              "%llu times",
              counters_read(&c->launches_foretold), counters_read(&c->launches_unforetold),
              size_text(counters_read(&c->early_bytes)).text, size_text(counters_read(&c->unused_bytes)).text,
              counters_read(&c->forecasts_given_up));
    return buf;
}

void stats_say_forecasts(void)
{
    char text[192];

    if (counters_read(&core.counters.launches_foretold) + counters_read(&core.counters.launches_unforetold))
        log_line(LOG_INFO, "%s", forecasts_text(text, sizeof(text)));
}

void stats_write_table(int fd)
{
    struct sheet sheet = {.fd = fd};
    struct disk_figures disk = disk_now();
    struct counters *c = &core.counters;
    struct budget host, budget;
    unsigned long long refused = 0;
    struct shares shares;
    char name[24], text[192];

    if (fd < 0 || (!core.device && !counters_read(&c->moves[MOVE_HOST_TO_DISK].count)))
        return;
    headroom_host_budget(&host);
    put(&sheet, "ebbtide[%d]\n  %-10s %12s %12s %12s%s\n", (int)getpid(), "tier", "budget", "used", "peak",
        share_in_force() ? "   operations      buffers" : "");
    for (unsigned i = 0; core.device && i < core.device->count; i++) {
        shares = shares_of((int)i);
        log_print(name, sizeof(name), "device %u", i);
        if (!core.devices[i].ready)
            continue;
        core_device_budget(i, &budget);
        put_row(&sheet, name, core.devices[i].configured_bytes, budget.used_bytes, budget.peak_bytes,
                &shares);
    }
    shares = shares_of(-1);
    put_row(&sheet, "host", host.limit_bytes, host.used_bytes, host.peak_bytes, &shares);
    put_row(&sheet, "disk", disk.budget_bytes, disk.used_bytes, disk.peak_bytes, NULL);
    for (unsigned i = 0; core.device && i < core.device->count; i++) {
        put_kind_rows(&sheet, i);
        refused += core.devices[i].budget.refused;
    }
    for (unsigned i = 0; i < MOVE_COUNT; i++) {
        unsigned long long ns = counters_read(&c->moves[i].ns), moved = counters_read(&c->moves[i].bytes);

        put(&sheet, "  %-15s %8llu moves %12s %8llu MB/s\n", move_words[i], counters_read(&c->moves[i].count),
            size_text(moved).text, ns / 1000 ? moved / (ns / 1000) : 0);
    }
    put(&sheet,
        "  %llu drains, %llu searches, %llu launches from host memory, stalled %llu ms, refused %llu\n",
        counters_read(&c->drains), counters_read(&c->scans), counters_read(&c->zero_copy_launches),
        counters_read(&c->stall_ns) / 1000000, refused);
    put(&sheet,
        "  %llu pauses: %llu ms until devices stood still, %llu ms while they did, %llu ms of searches\n",
        counters_read(&c->pauses), counters_read(&c->drain_ns) / 1000000,
        counters_read(&c->pause_ns) / 1000000, counters_read(&c->scan_ns) / 1000000);
    if (core.options->policy == POLICY_LOOKAHEAD)
        put(&sheet, "  %s\n", forecasts_text(text, sizeof(text)));
    sheet_flush(&sheet);
}
