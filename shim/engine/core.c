/* SPDX-License-Identifier: Apache-2.0 */
/* core.c - start, finish and captures. See core.h. */
#include "engine/core.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "base/cancel_guard.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/options.h"
#include "base/pages.h"
#include "engine/allocate.h"
#include "engine/callbacks.h"
#include "engine/drain.h"
#include "engine/foresight.h"
#include "engine/gate.h"
#include "engine/monitor.h"
#include "engine/mover.h"
#include "engine/recording.h"
#include "engine/reservation.h"
#include "engine/residency.h"
#include "engine/restore.h"
#include "host/host_block.h"
#include "ledger/live.h"
#include "ledger/shrink.h"
#include "ledger/state.h"
#include "policy/policies.h"
#include "tier/executor.h"

/* Enough for two million blocks; halved until the driver grants it. */
#define ARENA_BYTES     ((uint64_t)4 << 40)
#define ARENA_MIN_BYTES ((uint64_t)1 << 36)

/* Lower half of the first block's address. A scan takes two neighbouring 32-bit numbers for a pointer when they
 * look like one; counts and indexes are small, and next to a small number this one is rare. */
#define ARENA_LOWER_HALF UINT64_C(0xb5a00000)

/* Where the driver chooses the addresses: all that a process can have. Tables for so many cost nothing but addresses
 * until a block lies there. Below are counts and small numbers, which are no addresses. */
#define SHARED_BASE ((uint64_t)1 << 32)
#define SHARED_END  ((uint64_t)1 << 48)

static struct copy_executor copier;
static struct disk_executor writer;

/* ---- start and finish ------------------------------------------------------------------------------------ */

static int arena_share(void)
{
    int error = blocks_init(&core.blocks, SHARED_BASE, SHARED_END - SHARED_BASE);

    if (error < 0)
        return error;
    core_arena = (struct arena){.base = SHARED_BASE, .bytes = SHARED_END - SHARED_BASE, .is_shared = true};
    extent_init(&core.blocks.arena, NULL, core.blocks.granules);
    return 0;
}

static int arena_reserve(void)
{
    uint64_t bytes = ARENA_BYTES, base = 0;
    size_t records;
    int error;

    while ((error = core.device->reserve(core.device, bytes, &base)) < 0 && bytes > ARENA_MIN_BYTES)
        bytes /= 2;
    if (error < 0)
        return -ENOTSUP;
    core.reserved_base = base;
    core.reserved_bytes = bytes;
    bytes -= (ARENA_LOWER_HALF - base) & UINT32_MAX;
    base += (ARENA_LOWER_HALF - base) & UINT32_MAX;
    records = extent_bytes_needed((uint32_t)(bytes / GRANULE_BYTES));
    core.arena_memory = pages_reserve(records);
    error = core.arena_memory ? blocks_init(&core.blocks, base, bytes) : -ENOMEM;
    if (error < 0) {
        pages_give(core.arena_memory, records);
        core.arena_memory = NULL;
        core.device->unreserve(core.device, core.reserved_base, core.reserved_bytes);
        return error;
    }
    core_arena = (struct arena){.base = base, .bytes = bytes};
    extent_init(&core.blocks.arena, core.arena_memory, (uint32_t)(bytes / GRANULE_BYTES));
    return 0;
}

/* Ticks of the stamp in a second, from two readings a few milliseconds apart. */
static void stamps_measure(void)
{
    uint64_t ticks = core_stamp(), begin_ns = core_clock_ns(), ns;

    do
        ns = core_clock_ns() - begin_ns;
    while (ns < 1000000);
    core.stamp_hz = (uint64_t)((double)(core_stamp() - ticks) * 1e9 / (double)ns);
    core.stamp_step = core.stamp_hz / 1000000 * STAMP_AGE_US;
}

static void writer_start(void)
{
    disk_executor_init(&writer, &core.disk, DISK_THREADS);
    core.executors.row[core.executors.count++] = &writer.row;
}

/* How much the machine has is read from files, which takes longer than all the rest. */
static uint64_t host_limit(const struct size_spec *asked)
{
    uint64_t bytes = asked->kind == SIZE_FRACTION ? machine_memory_bytes("") : 0;

    return size_resolve(asked, bytes ? bytes : machine_most_bytes());
}

void core_host_start(const struct options *options)
{
    if (core_host_active())
        return;
    lock_acquire(&core_starting);
    if (!core_host_active()) {
        if (core.options) /* it was started and finished before; a fresh one is zero, and large */
            core = (struct core){0};
        core.options = options;
        lock_init(&core.lock, LOCK_CORE);
        pthread_cond_init(&core.changed, NULL);
        budget_init(&core.host_budget, host_limit(&options->host_budget));
        core.host_follows = options->host_budget.kind == SIZE_FRACTION;
        share_start();
        core.slabs.lock = &core.lock;
        core.slabs.budget = &core.host_budget;
        core.slabs.class = HOST_TIER;
        disk_init(&core.disk, options);
        writer_start();
        atomic_store(&core.host_active, true);
        if (shrinker)
            shrinker->open(core.host_budget.limit_bytes);
    }
    lock_release(&core_starting);
}

void core_host_begin(void)
{
    const struct options *options = options_of_process();
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (!options->disable)
        core_host_start(options);
    cancel_guard_leave(&guard);
}

int core_start(const struct options *options, struct device *device)
{
    int error = 0;

    core_host_start(options);
    core.device = device;
    if (options_have_blocks(options))
        error = core_places() ? arena_share() : arena_reserve();
    if (error < 0) {
        core.device = NULL;
        return error;
    }
    gate_init();
    gate.abandon = use_abandon;
    stamps_measure();
    core.mapped = residency_mapped();
    core.started_ns = core_now();
    slabs_init();
    bins_init();
    core.drawable = reservation_drawable;
    if (options->policy == POLICY_LOOKAHEAD)
        foresight_start();
    if (options_have_blocks(options))
        recording_start();
    copy_executor_init(&copier, device);
    core.executors.row[core.executors.count++] = &copier.row;
    atomic_store(&core.active, true);
    return 0;
}

bool core_leave(void)
{
    if (!core_active())
        return true;
    struct timespec until = core_until(core.options->drain_ms * UINT64_C(1000000));

    atomic_store(&core.leaving, true);
    if (!monitor_stop(&until) || !mover_settle(&until))
        return false;
    if (restore_stream_any()) {
        mover_take();
        mover_give();
    }
    return true;
}

void core_settle(void)
{
    bool is_settled;

    if (!core_active())
        return;
    is_settled = core_leave();
    recording_finish();
    ordered_defer();
    if (core.deferred && is_settled)
        free_deferred(core.options->drain_ms);
    if (core.deferred)
        free_write_off();
}

static void device_finish(void)
{
    for (unsigned i = 0; i < core.device->count; i++) {
        idle_drop(i, UINT64_MAX);
        recycler_trim(&core.devices[i].handles, UINT64_MAX);
    }
    recycler_trim(&core.slabs, UINT64_MAX);
    copy_executor_finish(&copier);
    if (!core.blocks.alive && core.reserved_bytes)
        core.device->unreserve(core.device, core.reserved_base, core.reserved_bytes);
}

void core_finish(void)
{
    core_settle();
    if (atomic_exchange(&core.active, false))
        device_finish();
    /* The program may go on after us, and what is away is only there. */
    if (host_block_away() || !atomic_exchange(&core.host_active, false))
        return;
    disk_executor_finish(&writer);
    disk_finish(&core.disk);
}

void core_forked(void)
{
    if (!core_host_active())
        return;
    atomic_store(&core.active, false);
    core.forked = true;
    atomic_store(&core.shares_in_force, false);
    core.device = NULL;
    lock_init(&core.lock, LOCK_CORE);
    pthread_cond_init(&core.changed, NULL);
    core.blocks.bytes = 0;
    core.blocks.arena = (struct extents){0};
    core_arena.bytes = 0;
    restore_streams_forked();
    foresight_forked();
    recording_forked();
    budget_credit(&core.host_budget, HOST_TIER, core.host_budget.class_bytes[HOST_TIER]);
    budget_credit(&core.host_budget, HOST_PINNED, core.host_budget.class_bytes[HOST_PINNED]);
    budget_drop_idle(&core.host_budget, core.host_budget.idle_bytes);
    disk_forked(&core.disk);
    disk_init(&core.disk, core.options);
    core.executors.count = 0;
    writer_start();
    monitor_forked();
    live_forked();
    pressure_callback_forked();
    gate_forked();
}

FORK_HANDLERS(.turn = FORK_ENGINE, .child = core_forked);

/* ---- captures -------------------------------------------------------------------------------------------- */

void core_capture_begin(void)
{
    bool nested;
    struct gate_slot *slot = gate_enter(__builtin_frame_address(0), NULL, &nested);

    if (atomic_fetch_add(&core.captures, 1) == 0 && core_active())
        atomic_store(&core.capturing_since_ns, core_now());
    if (slot && nested)
        gate_leave_nested(slot);
    else if (slot)
        gate_leave(slot);
}

void core_capture_end(void)
{
    if (atomic_load(&core.captures))
        atomic_fetch_sub(&core.captures, 1);
    if (!atomic_load(&core.captures) && core_active() && core.deferred)
        free_deferred(DRAIN_MOMENT_MS);
}
