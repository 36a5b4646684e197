/* SPDX-License-Identifier: Apache-2.0 */
/* monitor.c - see monitor.h. */
#include "monitor.h"

#include <signal.h>
#include <time.h>

#include "allocate.h"
#include "limit.h"
#include "log.h"
#include "mover.h"
#include "state.h"
#include "tier.h"

/* A move of the timer's is small, so that a launch that needs the role does not wait long. */
#define TICK_BYTES ((uint64_t)64 << 20)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    _Atomic bool running, parked;
    bool stop, told[DEVICE_MAX];
} monitor = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static uint64_t share(uint64_t limit_bytes, uint32_t ppm)
{
    return limit_bytes / 1000000 * ppm;
}

/* The newest stamp that counts as cold; 0: none does. */
static uint64_t coldest(void)
{
    uint64_t age = core.options->cold_ms * (core.stamp_hz / 1000), now = core_stamp();

    if (!age)
        return UINT64_MAX;
    return now > age ? now - age : 0;
}

/* Bytes over the low mark, when the budget is over the high one. */
static uint64_t over(const struct budget *budget)
{
    uint64_t over_bytes = 0;

    pthread_mutex_lock(&core.lock);
    if (budget->limit_bytes != BUDGET_NO_LIMIT &&
        budget->used_bytes > share(budget->limit_bytes, core.options->high_ppm))
        over_bytes = budget->used_bytes - share(budget->limit_bytes, core.options->low_ppm);
    pthread_mutex_unlock(&core.lock);
    return over_bytes;
}

static bool all_pinned(unsigned ordinal)
{
    bool pinned = true;

    pthread_mutex_lock(&core.lock);
    for (uint32_t g = 0, high = extent_high(&core.arena); g < high && pinned; g++)
        if (core.blocks.block[g].id && core.blocks.block[g].ordinal == ordinal)
            pinned = block_pinned(&core.blocks.block[g]);
    pthread_mutex_unlock(&core.lock);
    return pinned;
}

static void tick_device(unsigned ordinal, uint64_t newest)
{
    uint64_t left = over(&core.devices[ordinal].budget);

    if (!left)
        monitor.told[ordinal] = false;
    if (left && all_pinned(ordinal) && !monitor.told[ordinal]) {
        monitor.told[ordinal] = true;
        log_line(LOG_WARN,
                 "device %u is over its high mark and everything on it is pinned: nothing is evicted",
                 ordinal);
    }
    while (left) {
        uint64_t bytes = left < TICK_BYTES ? left : TICK_BYTES, moved;

        mover_take();
        moved = mover_relieve(ordinal, bytes, newest);
        mover_give();
        if (!moved)
            return;
        left -= moved < left ? moved : left;
    }
}

static void tick_host(uint64_t newest)
{
    uint64_t left = over(&core.host_budget);

    while (left && tier_disk_open()) {
        uint64_t bytes = left < TICK_BYTES ? left : TICK_BYTES;
        int r;

        mover_take();
        r = mover_spill(bytes, newest);
        mover_give();
        if (r < 0)
            return;
        left -= bytes;
    }
}

void monitor_tick(void)
{
    uint64_t newest = coldest();

    stats_add(&core.counters.monitor_ticks, 1);
    if (core.deferred)
        allocate_run_deferred();
    for (unsigned ordinal = 0; ordinal < core.device->count; ordinal++) {
        limit_refresh(ordinal);
        if (newest && core.devices[ordinal].ready && !atomic_load(&core.captures))
            tick_device(ordinal, newest);
    }
    if (newest)
        tick_host(newest);
}

static bool anything_managed(void)
{
    bool any;

    pthread_mutex_lock(&core.lock);
    any = core.blocks.alive != 0;
    pthread_mutex_unlock(&core.lock);
    return any;
}

/* Wait a period, or while there is nothing to look after. False: stop. */
static bool monitor_wait(void)
{
    struct timespec until;
    uint64_t period_ns = core.options->period_ms * UINT64_C(1000000);
    bool managed = anything_managed(), go;

    clock_gettime(CLOCK_MONOTONIC, &until);
    period_ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(period_ns / 1000000000);
    until.tv_nsec = (long)(period_ns % 1000000000);
    pthread_mutex_lock(&monitor.lock);
    if (!managed)
        monitor.parked = true;
    while (!monitor.stop && monitor.parked)
        pthread_cond_wait(&monitor.changed, &monitor.lock);
    while (managed && !monitor.stop &&
           pthread_cond_clockwait(&monitor.changed, &monitor.lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    go = !monitor.stop;
    pthread_mutex_unlock(&monitor.lock);
    return go;
}

static void *monitor_run(void *arg)
{
    while (monitor_wait())
        if (anything_managed())
            monitor_tick();
    return arg;
}

static void monitor_start(void)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&monitor.lock);
    monitor.stop = false;
    if (!monitor.running)
        monitor.running = pthread_create(&monitor.thread, 0, monitor_run, 0) == 0;
    pthread_mutex_unlock(&monitor.lock);
    pthread_sigmask(SIG_SETMASK, &old, 0);
}

void monitor_wake(void)
{
    if (!core.options->period_ms)
        return;
    if (!monitor.running)
        monitor_start();
    if (!monitor.parked)
        return;
    pthread_mutex_lock(&monitor.lock);
    monitor.parked = false;
    pthread_cond_broadcast(&monitor.changed);
    pthread_mutex_unlock(&monitor.lock);
}

void monitor_stop(void)
{
    bool was;

    pthread_mutex_lock(&monitor.lock);
    was = monitor.running;
    monitor.stop = true;
    pthread_cond_broadcast(&monitor.changed);
    pthread_mutex_unlock(&monitor.lock);
    if (was)
        pthread_join(monitor.thread, 0);
    monitor.running = false;
}

void monitor_forked(void)
{
    pthread_mutex_init(&monitor.lock, 0);
    pthread_cond_init(&monitor.changed, 0);
    monitor.running = false;
    monitor.parked = false;
}
