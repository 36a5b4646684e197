/* SPDX-License-Identifier: Apache-2.0 */
/* figures.c - see figures.h. */
#include "api/figures.h"

#include "engine/core.h"
#include "ledger/state.h"

enum {
    BRACKETS = 64
};

/* Counts and peaks from outside of a bracket, when it began. */
static struct bracket {
    struct ebb_stats before; /* counts */
    uint64_t device_bytes[DEVICE_MAX], host_bytes, disk_bytes;
} bracket[BRACKETS];
static unsigned depth;
static struct lock lock = LOCK_INIT(LOCK_FIGURES); /* of both; core.lock is taken within */

static unsigned devices(void)
{
    return core.device ? core.device->count : 0;
}

static void put_counts(struct ebb_stats *out)
{
    struct counters *from = &core.counters;

    out->evictions = counters_read(&from->blocks_evicted);
    out->saves = counters_read(&from->blocks_saved);
    out->drops = out->evictions - out->saves;
    out->to_host_bytes = counters_read(&from->moves[MOVE_DEVICE_TO_HOST].bytes);
    out->to_device_bytes = counters_read(&from->moves[MOVE_HOST_TO_DEVICE].bytes);
    out->to_disk_bytes = counters_read(&from->moves[MOVE_HOST_TO_DISK].bytes);
    out->from_disk_bytes = counters_read(&from->moves[MOVE_DISK_TO_HOST].bytes);
    out->save_failures = counters_read(&from->save_failures);
    out->stall_ns = counters_read(&from->stall_ns);
}

static void put_budget(const struct budget *budget, struct ebb_tier_stats *out)
{
    *out = (struct ebb_tier_stats){
        .budget_bytes = budget->limit_bytes,
        .used_bytes = budget->used_bytes,
        .peak_bytes = budget->used_peak_bytes,
        .refused = budget->refused,
    };
}

void figures_now(unsigned ordinal, struct ebb_stats *out)
{
    struct device_state *device = &core.devices[ordinal];
    struct ebb_tier_stats *tier = out->tier;
    struct disk_figures disk;
    struct budget budget;

    disk_figures(&core.disk, &disk);
    core_device_budget(ordinal, &budget);
    lock_acquire(&core.lock);
    put_budget(&budget, &tier[EBB_TIER_DEVICE]);
    tier[EBB_TIER_DEVICE].budget_bytes = device->configured_bytes;
    tier[EBB_TIER_DEVICE].reserved_bytes = device->budget.class_bytes[CLASS_RESERVED];
    tier[EBB_TIER_DEVICE].operations_bytes =
        device->shares.bytes[SHARE_OPERATION] + device->budget.class_bytes[CLASS_RESERVED];
    tier[EBB_TIER_DEVICE].buffers_bytes = device->shares.bytes[SHARE_BUFFER];
    put_budget(&core.host_budget, &tier[EBB_TIER_HOST]);
    tier[EBB_TIER_HOST].operations_bytes = core.host_share.books.bytes[SHARE_OPERATION];
    tier[EBB_TIER_HOST].buffers_bytes = core.host_share.books.bytes[SHARE_BUFFER];
    lock_release(&core.lock);
    tier[EBB_TIER_DISK] = (struct ebb_tier_stats){
        .budget_bytes = disk.budget_bytes,
        .used_bytes = disk.used_bytes,
        .peak_bytes = disk_peak(&core.disk, false, 0),
        .buffers_bytes = disk.used_bytes,
    };
    put_counts(out);
}

/* Start a budget's peak again. Returns what it was. */
static uint64_t restart(struct budget *budget)
{
    uint64_t peak_bytes = budget->used_peak_bytes;

    budget->used_peak_bytes = budget->used_bytes;
    return peak_bytes;
}

int figures_push(void)
{
    struct bracket *fresh;
    int error = -ENOSPC;

    lock_acquire(&lock);
    if (depth < BRACKETS) {
        fresh = &bracket[depth++];
        put_counts(&fresh->before);
        lock_acquire(&core.lock);
        for (unsigned i = 0; i < devices(); i++)
            fresh->device_bytes[i] = restart(&core.devices[i].budget);
        fresh->host_bytes = restart(&core.host_budget);
        lock_release(&core.lock);
        fresh->disk_bytes = disk_peak(&core.disk, true, 0);
        error = 0;
    }
    lock_release(&lock);
    return error;
}

static void raise(struct budget *budget, uint64_t peak_bytes)
{
    if (budget->used_peak_bytes < peak_bytes)
        budget->used_peak_bytes = peak_bytes;
}

static void subtract(struct ebb_stats *out, const struct ebb_stats *before)
{
    out->evictions -= before->evictions;
    out->saves -= before->saves;
    out->drops -= before->drops;
    out->to_host_bytes -= before->to_host_bytes;
    out->to_device_bytes -= before->to_device_bytes;
    out->to_disk_bytes -= before->to_disk_bytes;
    out->from_disk_bytes -= before->from_disk_bytes;
    out->save_failures -= before->save_failures;
    out->stall_ns -= before->stall_ns;
}

int figures_pop(unsigned ordinal, struct ebb_stats *out)
{
    const struct bracket *inner;
    int error = -EINVAL;

    lock_acquire(&lock);
    if (depth) {
        inner = &bracket[--depth];
        if (out) {
            figures_now(ordinal, out);
            subtract(out, &inner->before);
        }
        lock_acquire(&core.lock);
        for (unsigned i = 0; i < devices(); i++)
            raise(&core.devices[i].budget, inner->device_bytes[i]);
        raise(&core.host_budget, inner->host_bytes);
        lock_release(&core.lock);
        disk_peak(&core.disk, false, inner->disk_bytes);
        error = 0;
    }
    lock_release(&lock);
    return error;
}
