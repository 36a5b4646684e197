/* SPDX-License-Identifier: Apache-2.0 */
/* limit.c - see limit.h. */
#include "ledger/limit.h"

#include <errno.h>
#include <time.h>

#include "base/log.h"
#include "base/machine.h"
#include "ledger/busy.h"
#include "ledger/live.h"
#include "ledger/state.h"

static bool has_pool(void)
{
    return core.options->allocator == ALLOCATOR_POOL;
}

/* As much of a budget as makes a few hundred chunks, and no more of the host's, which keeps room for two. */
static uint64_t large_chunk(uint64_t bytes)
{
    uint64_t host_bytes = core.host_budget.limit_bytes / 64, chunk_bytes = bytes / 256;

    return (chunk_bytes < host_bytes ? chunk_bytes : host_bytes) / GRANULE_BYTES;
}

/* A sixteenth of what blocks may hold, so that the staging reserve stays small, from 2 to 32 MiB; of a large budget more,
 * since calls to the driver cost by the chunk. */
uint32_t limit_chunk_granules(unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    uint64_t bytes = has_pool() && device->pool_bytes < device->configured_bytes ? device->pool_bytes
                                                                                 : device->configured_bytes;
    uint64_t granules, large;

    bytes = bytes < device->total_bytes ? bytes : device->total_bytes;
    large = bytes > LIMIT_LARGE_BYTES ? large_chunk(bytes) : 0;
    granules = bytes / 16 / GRANULE_BYTES;
    if (granules > LIMIT_CHUNK_GRANULES)
        granules = large > LIMIT_CHUNK_GRANULES ? large : LIMIT_CHUNK_GRANULES;
    if (granules > LIMIT_CHUNK_MAX_GRANULES)
        granules = LIMIT_CHUNK_MAX_GRANULES;
    return granules ? (uint32_t)granules : 1;
}

uint64_t limit_beyond_pool(unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    const struct budget *budget = &device->budget;
    uint64_t others = budget->used_bytes - budget->class_bytes[CLASS_BLOCK];

    if (!has_pool() || budget->limit_bytes <= device->pool_bytes ||
        budget->limit_bytes - device->pool_bytes <= others)
        return 0;
    return budget->limit_bytes - device->pool_bytes - others;
}

/* Handles made ahead, of the size that large blocks are made of. */
static void fill_pool(unsigned ordinal, uint64_t bytes)
{
    struct device_state *device = &core.devices[ordinal];
    uint64_t each, filled = 0;

    lock_acquire(&core.lock);
    each = limit_chunk_granules(ordinal) * GRANULE_BYTES;
    lock_release(&core.lock);
    bytes = bytes < device->pool_bytes ? bytes : device->pool_bytes;
    while (bytes - filled >= each && recycler_add(&device->handles, each) == 0)
        filled += each;
    if (bytes - filled >= each)
        log_line(LOG_WARN, "device %u: the pool begins with %llu MiB and not with %llu (EBBTIDE_POOL)",
                 ordinal, (unsigned long long)filled >> 20, (unsigned long long)bytes >> 20);
}

/* Under the lock: how much waits to be used again. A pool keeps all that it ever had; else half of the device waits for
 * what has left it, and the driver has the rest. */
static void limit_idle(struct device_state *device)
{
    uint64_t limit_bytes = device->configured_bytes;

    if (core_places())
        return;
    if (limit_bytes > device->total_bytes)
        limit_bytes = device->total_bytes;
    device->handles.most_bytes = has_pool() ? device->pool_bytes : limit_bytes / 2;
}

void limit_ready(unsigned ordinal)
{
    struct device_state *device = &core.devices[ordinal];
    uint64_t free_bytes = 0, total_bytes = 0, limit, pool;
    bool is_first = false;

    if (device->ready)
        return;
    if (core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        total_bytes = 0;
    limit = size_resolve(&core.options->device_budget.of[ordinal], total_bytes);
    if (has_pool() && limit == SIZE_UNLIMITED)
        limit = total_bytes;
    pool = size_resolve(&core.options->pool.maximum, limit);
    lock_acquire(&core.lock);
    if (!device->ready) {
        device->configured_bytes = limit;
        device->pool_bytes = pool;
        device->total_bytes = total_bytes;
        device->budget.limit_bytes = limit;
        limit_idle(device);
        device->ready = is_first = total_bytes != 0;
    }
    lock_release(&core.lock);
    if (is_first && has_pool())
        fill_pool(ordinal, size_resolve(&core.options->pool.initial, limit));
    if (is_first)
        live_begin();
}

/* Under the lock: the driver has refused once more. */
static void doubt(struct device_state *device, uint64_t now)
{
    bool follows = device->doubt_ns && now <= device->refused_ns + 2 * device->doubt_ns;

    if (!follows)
        device->doubt_ns = LIMIT_DOUBT_LEAST_NS;
    else if (device->doubt_ns < LIMIT_DOUBT_MOST_NS)
        device->doubt_ns *= 2;
    device->refused_ns = now;
}

void limit_full(unsigned ordinal)
{
    struct device_state *device = &core.devices[ordinal];
    uint64_t free_bytes, total_bytes, now = core_now();

    if (core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        free_bytes = 0;
    lock_acquire(&core.lock);
    doubt(device, now);
    device->unusable_bytes = free_bytes;
    if (budget_held(&device->budget) < device->budget.limit_bytes)
        device->budget.limit_bytes = budget_held(&device->budget);
    lock_release(&core.lock);
}

void limit_freed(unsigned ordinal)
{
    atomic_store(&core.devices[ordinal].unusable_bytes, 0);
}

bool limit_refresh(unsigned ordinal)
{
    struct device_state *device = &core.devices[ordinal];
    uint64_t free_bytes, total_bytes, limit, old, now;

    if (!device->ready || device->budget.limit_bytes >= device->configured_bytes ||
        core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        return false;
    now = core_now();
    lock_acquire(&core.lock);
    old = device->budget.limit_bytes;
    if (now >= device->refused_ns + device->doubt_ns)
        device->unusable_bytes = 0;
    free_bytes -= free_bytes < device->unusable_bytes ? free_bytes : device->unusable_bytes;
    limit = budget_held(&device->budget) + free_bytes;
    device->budget.limit_bytes = limit < device->configured_bytes ? limit : device->configured_bytes;
    limit = device->budget.limit_bytes;
    lock_release(&core.lock);
    return limit > old;
}

int limit_set_device(unsigned ordinal, uint64_t bytes)
{
    struct device_state *device = &core.devices[ordinal];

    if (!core_active() || ordinal >= core.device->count)
        return -EINVAL;
    limit_ready(ordinal);
    lock_acquire(&core.lock);
    device->configured_bytes = bytes;
    device->budget.limit_bytes = bytes;
    limit_idle(device);
    lock_release(&core.lock);
    return 0;
}

bool limit_follow_host(uint64_t memory_bytes)
{
    uint64_t old;
    bool rises;

    lock_acquire(&core.lock);
    old = core.host_budget.limit_bytes;
    if (core.host_follows && memory_bytes)
        core.host_budget.limit_bytes = size_resolve(&core.options->host_budget, memory_bytes);
    rises = core.host_budget.limit_bytes > old;
    lock_release(&core.lock);
    return rises;
}

/* The clock of the device, which there need not be. */
static uint64_t now_ns(void)
{
    struct timespec now;

    if (core.device)
        return core_now();
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool limit_refresh_host(void)
{
    uint64_t now, due = atomic_load(&core.host_due_ns);

    if (!core.host_follows)
        return false;
    now = now_ns();
    if (now < due || !atomic_compare_exchange_strong(&core.host_due_ns, &due, now + LIMIT_MACHINE_NS))
        return false;
    return limit_follow_host(machine_memory_bytes(core.machine_root ? core.machine_root : ""));
}

int limit_set_host(uint64_t bytes)
{
    lock_acquire(&core.lock);
    core.host_follows = false;
    core.host_budget.limit_bytes = bytes;
    lock_release(&core.lock);
    return 0;
}
