/* SPDX-License-Identifier: Apache-2.0 */
/* live.c - see live.h. */
#include "ledger/live.h"

#include <string.h>

#include "base/log.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/state.h"
#include "live/writer.h"
#include "policy/policies.h"

_Static_assert((int)LIVE_DEVICES == DEVICE_MAX && (int)LIVE_MOVES == MOVE_COUNT &&
                   (int)LIVE_PINS == PIN_REASON_COUNT && (int)BUDGET_CLASSES == CLASS_COUNT &&
                   (int)BUDGET_CLASSES >= HOST_CLASS_COUNT,
               "the figures have a place for each");

/* Who comes while somebody writes has that one write once more, so often at most: under a storm the next tick is soon. */
#define ROUNDS 4

static _Atomic uint64_t managed_bytes[DEVICE_MAX]; /* as was noted */
static _Atomic bool begun, ended;
static _Atomic uint32_t coming; /* who have something to write; whoever was first does it for all */

void live_note_managed(unsigned ordinal, uint64_t bytes)
{
    atomic_store_explicit(&managed_bytes[ordinal], bytes, memory_order_relaxed);
}

static struct live_shares shares_told(const struct shares *shares)
{
    return (struct live_shares){shares->operations_bytes, shares->buffers_bytes};
}

static void collect_device(unsigned ordinal, struct live_device *out)
{
    const struct device_state *device = &core.devices[ordinal];
    uint64_t managed = atomic_load_explicit(&managed_bytes[ordinal], memory_order_relaxed);
    struct shares shares;

    out->is_ready = device->ready;
    lock_acquire(&core.lock);
    shares = share_state(ordinal);
    out->configured_bytes = device->configured_bytes;
    out->total_bytes = device->total_bytes;
    out->budget = device->budget;
    lock_release(&core.lock);
    out->shares = shares_told(&shares);
    if (managed)
        budget_force(&out->budget, CLASS_MANAGED, managed);
}

static void collect_counts(struct live_counts *out)
{
    struct counters *from = &core.counters;

    for (unsigned i = 0; i < MOVE_COUNT; i++)
        out->moves[i] =
            (struct live_move){counters_read(&from->moves[i].count), counters_read(&from->moves[i].bytes),
                               counters_read(&from->moves[i].ns)};
    out->evictions = counters_read(&from->evictions);
    out->restores = counters_read(&from->restores);
    out->dropped_clean = counters_read(&from->dropped_clean);
    out->save_failures = counters_read(&from->save_failures);
    out->zero_copy_launches = counters_read(&from->zero_copy_launches);
    out->drains = counters_read(&from->drains);
    out->scans = counters_read(&from->scans);
    out->scan_ns = counters_read(&from->scan_ns);
    out->scanned_bytes = counters_read(&from->scanned_bytes);
    out->stall_ns = counters_read(&from->stall_ns);
    out->monitor_ticks = counters_read(&from->monitor_ticks);
    out->pauses = counters_read(&from->pauses);
    out->drain_ns = counters_read(&from->drain_ns);
    out->pause_ns = counters_read(&from->pause_ns);
    out->launches_foretold = counters_read(&from->launches_foretold);
    out->launches_unforetold = counters_read(&from->launches_unforetold);
    out->early_bytes = counters_read(&from->early_bytes);
    out->unused_bytes = counters_read(&from->unused_bytes);
    out->forecasts_given_up = counters_read(&from->forecasts_given_up);
}

static void collect_host(struct live_now *out, bool roughly)
{
    struct disk_figures disk = {0};
    struct shares shares;

    if (roughly)
        headroom_host_budget_roughly(&out->host);
    else
        headroom_host_budget(&out->host);
    lock_acquire(&core.lock);
    shares = host_share_state();
    lock_release(&core.lock);
    out->host_shares = shares_told(&shares);
    if (core_host_active())
        disk_figures(&core.disk, &disk);
    out->disk = (struct live_disk){disk.budget_bytes, disk.used_bytes, disk.peak_bytes};
}

static void collect(struct live_now *out, bool roughly)
{
    const char *why = atomic_load(&core.account_only);

    memset(out, 0, sizeof(*out));
    if (core.device) {
        out->duration_ns = core_now() - core.started_ns;
        out->devices = core.device->count;
    }
    out->flags = (share_in_force() ? LIVE_SHARES : 0u) | (atomic_load(&ended) ? LIVE_ENDED : 0u) |
                 (core.options && core.options->policy == POLICY_LOOKAHEAD ? (uint32_t)LIVE_LOOKAHEAD : 0u);
    collect_host(out, roughly);
    collect_counts(&out->counts);
    if (why)
        strncpy(out->account_only, why, sizeof(out->account_only) - 1);
    for (unsigned i = 0; i < out->devices; i++)
        collect_device(i, &out->device[i]);
}

void live_collect(struct live_now *out)
{
    collect(out, false);
}

/* ---- the page ---------------------------------------------------------------------------------------------- */

static void write_now(bool roughly)
{
    static struct live_now now; /* of the one who writes */
    uint32_t seen = 1;

    if (!live_writer_is_open() || atomic_fetch_add(&coming, 1))
        return;
    for (unsigned round = 1;; round++) {
        collect(&now, roughly);
        live_writer_now(&now);
        if (round == ROUNDS)
            atomic_store(&coming, 0);
        if (round == ROUNDS || atomic_compare_exchange_strong(&coming, &seen, 0))
            return;
    }
}

void live_changed(void)
{
    write_now(true);
}

void live_tick(void)
{
    write_now(false);
}

void live_begin(void)
{
    const struct options *options = core.options;
    struct live_now now;
    int error;

    if (options->live == LIVE_OFF || atomic_exchange(&begun, true))
        return;
    collect(&now, true);
    error = live_writer_open(options->live_dir, options->live == LIVE_GROUP, core.device->count, &now);
    if (error < 0)
        log_line(LOG_DEBUG, "no page of live figures: %s (EBBTIDE_LIVE_DIR)", strerrordesc_np(-error));
}

void live_end(void)
{
    atomic_store(&ended, true);
    live_tick();
    live_writer_leave(); /* all that is still held goes back now: no news of the program */
}

void live_hide(void)
{
    atomic_store(&begun, true);
    live_writer_remove();
}

void live_forked(void)
{
    atomic_store(&coming, 0);
    live_writer_leave();
}
