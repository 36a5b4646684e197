/* SPDX-License-Identifier: Apache-2.0 */
/* monitor.c - see monitor.h. */
#include "engine/monitor.h"

#include <time.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/thread.h"
#include "engine/allocate.h"
#include "engine/core.h"
#include "engine/drain.h"
#include "engine/foresight.h"
#include "engine/gate.h"
#include "engine/look.h"
#include "engine/mover.h"
#include "engine/recording.h"
#include "engine/restore.h"
#include "engine/spill.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/live.h"
#include "ledger/shrink.h"
#include "ledger/state.h"

/* A move of the timer's is small, so that a launch that needs the role does not wait long. */
#define TICK_BYTES ((uint64_t)64 << 20)

/* Host memory that is made ahead of evictions at most, and how long the timer is at it before it looks at all else. Where
 * there was none it asks again after a while. */
#define AHEAD_BYTES    ((uint64_t)4 << 30)
#define AHEAD_NS       UINT64_C(200000000)
#define AHEAD_RETRY_NS UINT64_C(10000000000)

/* Some task waited for memory in a tenth of the time: then the host tier shrinks, mark or not. */
#define STALLED_PPM 100000

static struct {
    struct lock lock;
    pthread_cond_t changed;
    pthread_t thread;
    _Atomic bool running, parked;
    bool starting, stop, ended, told[DEVICE_MAX];
    uint64_t look_ns;  /* when the machine is asked again; the tick's own, as all below */
    uint64_t ahead_ns; /* when host memory may be made ahead again */
    uint64_t device_excess_bytes[DEVICE_MAX],
        host_excess_bytes;           /* what it said, less what was done about it */
    uint64_t used_bytes[DEVICE_MAX]; /* of each budget when the last tick ended */
    uint64_t grew_bytes[DEVICE_MAX]; /* by so much since the tick before */
} monitor = {.lock = LOCK_INIT(LOCK_MONITOR), .changed = PTHREAD_COND_INITIALIZER};

static uint64_t share(uint64_t limit_bytes, uint32_t ppm)
{
    const struct size_spec spec = {.kind = SIZE_FRACTION, .ppm = ppm};

    return size_resolve(&spec, limit_bytes);
}

/* The newest stamp that counts as cold, 0 where any does. False: none can yet. */
static bool coldest(uint64_t *out_newest)
{
    uint64_t age = core.options->cold_ms * (core.stamp_hz / 1000), now = core_stamp();

    *out_newest = age ? now - age : 0;
    return now > age;
}

/* Bytes over the low mark of a limit, when they are over the high one. */
static uint64_t excess(uint64_t used_bytes, uint64_t limit_bytes)
{
    uint64_t high_bytes = share(limit_bytes, core.options->high_ppm);

    return used_bytes > high_bytes ? used_bytes - share(limit_bytes, core.options->low_ppm) : 0;
}

static uint64_t over(const struct budget *budget)
{
    uint64_t over_bytes = 0;

    lock_acquire(&core.lock);
    if (budget->limit_bytes != BUDGET_NO_LIMIT)
        over_bytes = excess(budget->used_bytes, budget->limit_bytes);
    lock_release(&core.lock);
    return over_bytes;
}

/* Memory in use on a device and not held by us shrinks the shares. */
static void note_others(struct device_state *device, uint64_t bytes)
{
    uint64_t held_bytes;

    lock_acquire(&core.lock);
    held_bytes = budget_held(&device->budget);
    lock_release(&core.lock);
    atomic_store(&device->others_bytes, bytes > held_bytes ? bytes - held_bytes : 0);
}

/* Other processes may bring a device or the machine over a mark that our own budget is far from. */
static void look_at_machine(void)
{
    uint64_t now_ns = core_now();
    struct machine machine;

    if (now_ns < monitor.look_ns)
        return;
    monitor.look_ns = now_ns + LIMIT_MACHINE_NS;
    for (unsigned i = 0; i < core.device->count; i++) {
        uint64_t free_bytes, total_bytes, used_bytes;

        monitor.device_excess_bytes[i] = 0;
        if (!core.devices[i].ready || core.device->memory(core.device, i, &free_bytes, &total_bytes) < 0)
            continue;
        used_bytes =
            shares_over(total_bytes - free_bytes, core_managed_on(i)); /* that makes room by itself */
        monitor.device_excess_bytes[i] = excess(used_bytes, total_bytes);
        note_others(&core.devices[i], used_bytes);
    }
    machine_look(core.machine_root ? core.machine_root : "", &machine);
    limit_follow_host(machine.memory_bytes);
    monitor.host_excess_bytes =
        machine.limit_bytes == UINT64_MAX ? 0 : excess(machine.used_bytes, machine.limit_bytes);
    if (machine.stalled_ppm >= STALLED_PPM && monitor.host_excess_bytes < TICK_BYTES)
        monitor.host_excess_bytes = TICK_BYTES;
}

/* Let `*excess_bytes` be that much less. */
static void lessen(uint64_t *excess_bytes, uint64_t bytes)
{
    *excess_bytes -= bytes < *excess_bytes ? bytes : *excess_bytes;
}

static bool all_pinned(unsigned ordinal)
{
    bool pinned = true;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks)
        if (core.blocks.block[g].ordinal == ordinal)
            pinned = pinned && block_pinned(&core.blocks.block[g]);
    lock_release(&core.lock);
    return pinned;
}

/* Give back to the driver what is free for the program, but not what a pool is meant to keep. */
static void trim_device(unsigned ordinal)
{
    uint64_t *excess_bytes = &monitor.device_excess_bytes[ordinal];

    if (!*excess_bytes || core.options->allocator == ALLOCATOR_POOL)
        return;
    idle_drop(ordinal, *excess_bytes);
    lessen(excess_bytes, recycler_trim(&core.devices[ordinal].handles, *excess_bytes));
}

static void warn_once(unsigned ordinal, uint64_t over_bytes)
{
    if (!over_bytes)
        monitor.told[ordinal] = false;
    if (!over_bytes || monitor.told[ordinal] || !all_pinned(ordinal))
        return;
    monitor.told[ordinal] = true;
    log_line(LOG_WARN, "device %u is over its high mark and everything on it is pinned: nothing is evicted",
             ordinal);
}

static uint64_t used_of(unsigned ordinal)
{
    uint64_t used_bytes;

    lock_acquire(&core.lock);
    used_bytes = core.devices[ordinal].budget.used_bytes;
    lock_release(&core.lock);
    return used_bytes;
}

/* Bytes that allocations lack before the next look, if they go on as in the last two periods: once is no rate yet. */
static uint64_t lacks_soon(unsigned ordinal)
{
    uint64_t used_bytes = used_of(ordinal), last_bytes = monitor.used_bytes[ordinal];
    uint64_t grew_bytes = used_bytes > last_bytes ? used_bytes - last_bytes : 0;
    uint64_t soon_bytes = grew_bytes < monitor.grew_bytes[ordinal] ? grew_bytes : monitor.grew_bytes[ordinal];
    uint64_t room_bytes = headroom_device(ordinal);

    monitor.grew_bytes[ordinal] = grew_bytes;
    return soon_bytes > room_bytes ? soon_bytes - room_bytes : 0;
}

/* Bytes that other processes need, which use more of the device than the budget leaves to them. */
static uint64_t crowded(unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    uint64_t theirs =
        device->total_bytes > device->configured_bytes ? device->total_bytes - device->configured_bytes : 0;

    return atomic_load(&device->others_bytes) > theirs ? monitor.device_excess_bytes[ordinal] : 0;
}

/* Send away what is cold. Returns the bytes that left. */
static uint64_t relieve(unsigned ordinal, uint64_t bytes, uint64_t newest, bool only_registered)
{
    uint64_t moved_bytes;

    mover_take();
    moved_bytes = mover_evict((struct pause_plan){.ordinal = ordinal,
                                                  .evict_bytes = bytes < TICK_BYTES ? bytes : TICK_BYTES,
                                                  .newest = newest,
                                                  .only_registered = only_registered});
    mover_give();
    return moved_bytes;
}

/* Registered blocks keep to the marks. All else leaves for somebody who needs the room: a program that fits is left
 * alone, however long it does not look at what it has. */
static void tick_device(unsigned ordinal, uint64_t newest)
{
    uint64_t marked = over(&core.devices[ordinal].budget), needed = lacks_soon(ordinal);

    warn_once(ordinal, marked);
    trim_device(ordinal);
    if (marked < monitor.device_excess_bytes[ordinal])
        marked = monitor.device_excess_bytes[ordinal];
    if (needed < crowded(ordinal))
        needed = crowded(ordinal);
    if ((marked || needed) && mover_anything_leaves(ordinal, newest, !needed) && drain_expected(ordinal)) {
        for (uint64_t moved = 1; marked && moved; lessen(&marked, moved)) {
            moved = relieve(ordinal, marked, newest, true);
            lessen(&needed, moved);
        }
        for (uint64_t moved = 1; needed && moved; lessen(&needed, moved))
            moved = relieve(ordinal, needed, newest, false);
    }
    trim_device(ordinal);
    monitor.used_bytes[ordinal] = used_of(ordinal);
}

/* ---- host memory ahead ------------------------------------------------------------------------------------ */

/* Bytes that should wait for evictions from a device; 0: that many do, or use does not near the budget yet. */
static uint64_t wanted_ahead(unsigned ordinal)
{
    const struct budget *budget = &core.devices[ordinal].budget;
    uint64_t wanted_bytes = AHEAD_BYTES, used_bytes, limit_bytes, host_bytes, idle_bytes;

    lock_acquire(&core.lock);
    used_bytes = budget->used_bytes;
    limit_bytes = budget->limit_bytes;
    host_bytes = core.host_budget.limit_bytes;
    idle_bytes = core.slabs.idle_bytes;
    lock_release(&core.lock);
    if (limit_bytes == BUDGET_NO_LIMIT || used_bytes <= share(limit_bytes, core.options->low_ppm))
        return 0;
    if (wanted_bytes > limit_bytes / 2)
        wanted_bytes = limit_bytes / 2;
    if (wanted_bytes > host_bytes / 4)
        wanted_bytes = host_bytes / 4;
    return wanted_bytes > idle_bytes ? wanted_bytes : 0;
}

/* What may leave a device, by the size of its chunks in granules. */
static void count_movable(unsigned ordinal, uint32_t *counts)
{
    lock_acquire(&core.lock);
    blocks_each(first, &core.blocks) {
        if (core.blocks.block[first].ordinal != ordinal || !movable_could_evict(first, pause_could_scan()))
            continue;
        chunks_each(g, &core.blocks, first)
            counts[core.blocks.chunk[g].granules] += core.blocks.chunk[g].state == CHUNK_RESIDENT;
    }
    lock_release(&core.lock);
}

/* For room: allocations of the program's. */
static bool anybody_waits(void)
{
    return atomic_load(&core.room_waits_begun) != atomic_load(&core.room_waits_served);
}

static bool may_go_on(uint64_t until_ns)
{
    return core_now() < until_ns && !anybody_waits() && !atomic_load(&core.captures) &&
           !atomic_load(&core.leaving);
}

/* To pin host memory takes longer than to fill it, and whoever evicts would wait for that. */
static void make_ahead(unsigned ordinal)
{
    uint64_t now_ns = core_now(), until_ns = now_ns + AHEAD_NS, left_bytes = wanted_ahead(ordinal);
    uint32_t counts[RECYCLER_CLASSES + 1] = {0};
    int error = 0;

    if (!left_bytes || core_places() || atomic_load(&core.account_only) || now_ns < monitor.ahead_ns)
        return;
    count_movable(ordinal, counts);
    for (unsigned class = RECYCLER_CLASSES; class && !error; class --) {
        uint64_t bytes = class * GRANULE_BYTES, most = left_bytes / bytes;
        uint32_t count = counts[class] < most ? counts[class] : (uint32_t)most;

        left_bytes -= count * bytes;
        for (uint32_t has = recycler_count(&core.slabs, bytes); has < count && !error && may_go_on(until_ns);
             has++)
            error = recycler_add(&core.slabs, bytes);
    }
    if (error < 0)
        monitor.ahead_ns = now_ns + AHEAD_RETRY_NS;
}

static void tick_host(uint64_t newest)
{
    uint64_t left = over(&core.host_budget);

    shrink_keep_little(headroom_host());
    lessen(&monitor.host_excess_bytes, recycler_trim(&core.slabs, monitor.host_excess_bytes));
    if (left < monitor.host_excess_bytes)
        left = monitor.host_excess_bytes;
    while (left && headroom_disk_open()) {
        uint64_t bytes = left < TICK_BYTES ? left : TICK_BYTES;
        int error;

        mover_take();
        error = spill_cold(bytes, newest);
        mover_give();
        if (error < 0)
            break;
        left -= bytes;
    }
    lessen(&monitor.host_excess_bytes, recycler_trim(&core.slabs, monitor.host_excess_bytes));
}

void monitor_tick(void)
{
    uint64_t newest;
    bool any_cold = coldest(&newest);

    counters_add(&core.counters.monitor_ticks, 1);
    if (core.deferred)
        free_deferred(DRAIN_MOMENT_MS);
    look_at_machine();
    foresight_rest(core_now());
    recording_write();
    if (foresight_waits()) {
        mover_take();
        lock_acquire(&core.lock);
        foresight_update();
        lock_release(&core.lock);
        mover_give();
    }
    if (restore_stream_any()) { /* what they came from is given back */
        mover_take();
        mover_give();
    }
    for (unsigned ordinal = 0; ordinal < core.device->count; ordinal++) {
        limit_refresh(ordinal);
        if (!core.devices[ordinal].ready || atomic_load(&core.captures))
            continue;
        if (any_cold)
            tick_device(ordinal, newest);
        make_ahead(ordinal);
    }
    if (any_cold)
        tick_host(newest);
    look_publish(false);
    live_tick();
}

/* ---- allocations that wait -------------------------------------------------------------------------------- */

/* core.lock held. */
static bool is_served(uint64_t ticket)
{
    return core.room_waits_served >= ticket;
}

static bool wait_for(uint64_t bytes, uint64_t wait_ms, uint64_t *wanted_bytes)
{
    struct timespec until = core_until(wait_ms * UINT64_C(1000000));
    uint64_t ticket;
    bool served;

    if (!wait_ms || !monitor_runs())
        return false;
    lock_acquire(&core.lock);
    *wanted_bytes += bytes;
    ticket = atomic_fetch_add(&core.room_waits_begun, 1) + 1;
    lock_release(&core.lock);
    monitor_call();
    lock_acquire(&core.lock);
    while (!is_served(ticket) && core_wait_until(&until) == 0)
        ;
    served = is_served(ticket);
    lock_release(&core.lock);
    return served;
}

bool monitor_wait_room(unsigned ordinal, uint64_t bytes, uint64_t wait_ms)
{
    return wait_for(bytes, wait_ms, &core.devices[ordinal].wanted_bytes);
}

/* The mover waits for threads that use the device, and nobody may wait for the mover in its name. */
bool core_host_wait_room(uint64_t bytes, uint64_t wait_ms)
{
    return core_active() && !mover_mine && !gate_inside() &&
           wait_for(bytes, wait_ms, &core.host_wanted_bytes);
}

/* Idle slabs first, then blocks to disk. */
static void serve_host(uint64_t bytes)
{
    uint64_t made = recycler_trim(&core.slabs, bytes);

    if (made >= bytes)
        return;
    mover_take();
    spill_make_room(bytes - made + headroom_host_staging());
    mover_give();
    recycler_trim(&core.slabs, bytes - made);
}

/* Make room for all who wait, and wake them. */
static void serve_room(void)
{
    uint64_t bytes[DEVICE_MAX], host_bytes, ticket;

    lock_acquire(&core.lock);
    ticket = atomic_load(&core.room_waits_begun);
    host_bytes = core.host_wanted_bytes;
    core.host_wanted_bytes = 0;
    for (unsigned i = 0; i < core.device->count; i++) {
        bytes[i] = core.devices[i].wanted_bytes;
        core.devices[i].wanted_bytes = 0;
    }
    lock_release(&core.lock);
    for (unsigned i = 0; i < core.device->count; i++) {
        if (!bytes[i])
            continue;
        mover_take();
        mover_make_room(i, bytes[i], 0);
        mover_give();
    }
    if (host_bytes)
        serve_host(host_bytes);
    lock_acquire(&core.lock);
    atomic_store(&core.room_waits_served, ticket);
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
}

/* ---- the thread ------------------------------------------------------------------------------------------ */

/* Wait a period, or while there is nothing to look after. False: stop. */
static bool monitor_wait(void)
{
    struct timespec until = core_until(core.options->period_ms * UINT64_C(1000000));
    bool managed = core.blocks.alive != 0, go;

    if (!managed) { /* nobody looks for a while */
        look_publish(true);
        live_tick();
    }
    lock_acquire(&monitor.lock);
    if (!managed)
        monitor.parked = true;
    while (!monitor.stop && monitor.parked && !anybody_waits())
        lock_wait(&monitor.changed, &monitor.lock);
    while (managed && !monitor.stop && !anybody_waits() &&
           lock_wait_until(&monitor.changed, &monitor.lock, &until) == 0)
        ;
    go = !monitor.stop;
    lock_release(&monitor.lock);
    return go;
}

static void *monitor_run(void *arg)
{
    while (monitor_wait())
        if (anybody_waits())
            serve_room();
        else if (core.blocks.alive)
            monitor_tick();
    lock_acquire(&monitor.lock);
    monitor.ended = true;
    pthread_cond_broadcast(&monitor.changed);
    lock_release(&monitor.lock);
    return arg;
}

static void monitor_start(void)
{
    static const struct thread timer = {.name = "ebbtide-timer", .run = monitor_run};
    bool starts;

    lock_acquire(&monitor.lock);
    starts = !monitor.running && !monitor.starting && !atomic_load(&core.leaving);
    if (starts) {
        monitor.starting = true;
        monitor.stop = monitor.ended = false;
    }
    lock_release(&monitor.lock);
    if (starts) { /* without the lock: a new thread allocates, and that may end up here again */
        bool runs = thread_start(&timer, &monitor.thread) == 0;

        lock_acquire(&monitor.lock);
        monitor.running = runs;
        monitor.starting = false;
        pthread_cond_broadcast(&monitor.changed);
        lock_release(&monitor.lock);
    }
}

void monitor_wake(void)
{
    if (!core.options->period_ms)
        return;
    if (!monitor.running)
        monitor_start();
    if (!monitor.parked)
        return;
    lock_acquire(&monitor.lock);
    monitor.parked = false;
    pthread_cond_broadcast(&monitor.changed);
    lock_release(&monitor.lock);
}

bool monitor_runs(void)
{
    return monitor.running;
}

bool monitor_is_parked(void)
{
    return monitor.parked;
}

void monitor_call(void)
{
    lock_acquire(&monitor.lock);
    pthread_cond_broadcast(&monitor.changed);
    lock_release(&monitor.lock);
}

bool monitor_stop(const struct timespec *until)
{
    bool was, ended;

    lock_acquire(&monitor.lock);
    monitor.stop = true;
    pthread_cond_broadcast(&monitor.changed);
    while (monitor.starting && lock_wait_until(&monitor.changed, &monitor.lock, until) == 0)
        ;
    was = monitor.running || monitor.starting;
    while (was && !monitor.ended && !pthread_equal(monitor.thread, pthread_self()) &&
           lock_wait_until(&monitor.changed, &monitor.lock, until) == 0)
        ;
    ended = monitor.ended;
    lock_release(&monitor.lock);
    if (!was || !ended)
        return !was;
    pthread_join(monitor.thread, NULL);
    monitor.running = false; /* not before: whoever starts it again takes `stop` back */
    return true;
}

void monitor_forked(void)
{
    lock_init(&monitor.lock, LOCK_MONITOR);
    pthread_cond_init(&monitor.changed, NULL);
    monitor.running = monitor.starting = false;
    monitor.parked = false;
}
