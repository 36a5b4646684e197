/* SPDX-License-Identifier: Apache-2.0 */
/* drain.c - see drain.h. */
#include "engine/drain.h"

#include <errno.h>
#include <time.h>

#include "base/compiler.h"
#include "engine/gate.h"
#include "ledger/busy.h"
#include "ledger/state.h"

#define MS_NS UINT64_C(1000000)

/* A try with the gate closed takes the first, then at least twice as much each time, up to the last. */
#define FIRST_TRY_NS (10 * MS_NS)
#define LONG_TRY_NS  (1000 * MS_NS)

/* Where devices do not come to rest the timer leaves them alone for a while, twice as long each time. */
#define PAUSE_LEAST_NS (100 * MS_NS)
#define PAUSE_MOST_NS  (4000 * MS_NS)

/* Patience that nobody has begun to use: a call that waits for nothing has no use for the time. */
#define PATIENCE_WHOLE UINT64_MAX

/* On the device's clock, or PATIENCE_WHOLE; 0: none. */
static THREAD_LOCAL uint64_t patience_ns;

/* When the patience of this thread ends, which begins now if it has not yet. */
static uint64_t patience_until(uint64_t now_ns)
{
    if (patience_ns == PATIENCE_WHOLE)
        patience_ns = now_ns + core.options->drain_ms * MS_NS;
    return patience_ns;
}

uint64_t drain_patience_begin(void)
{
    uint64_t outer = patience_ns;

    if (!outer)
        patience_ns = PATIENCE_WHOLE;
    return outer;
}

void drain_patience_end(uint64_t outer)
{
    patience_ns = outer;
}

bool drain_patience_over(void)
{
    uint64_t now_ns = patience_ns ? core_now() : 0;

    return patience_ns && now_ns >= patience_until(now_ns);
}

/* Asked with the gate closed for them, nobody joins them. */
static uint32_t devices_of(int whose)
{
    if (whose == DRAIN_NOBODY)
        return 0;
    return whose == DRAIN_ALL ? (uint32_t)((UINT64_C(1) << core.device->count) - 1)
                              : core.device->users(core.device, (unsigned)whose);
}

/* ---- what was waited for in vain -------------------------------------------------------------------------- */

void drain_look(unsigned ordinal)
{
    if (atomic_load(&core.devices[ordinal].waited_ms) && core.device->rested(core.device, ordinal))
        atomic_store(&core.devices[ordinal].waited_ms, 0);
}

/* True if somebody has waited that long in vain, and what was in the way still is. */
static bool is_vain(uint32_t devices, uint64_t limit_ms)
{
    bool vain = false;

    for (; devices; devices &= devices - 1) {
        unsigned i = (unsigned)__builtin_ctz(devices);
        uint64_t waited_ms;

        drain_look(i);
        waited_ms = atomic_load(&core.devices[i].waited_ms);
        vain = vain || (waited_ms && waited_ms >= limit_ms);
    }
    return vain;
}

static void note_vain(uint32_t devices, uint64_t waited_ms)
{
    for (unsigned i = 0; i < core.device->count; i++)
        if (devices >> i & 1 && atomic_load(&core.devices[i].waited_ms) < waited_ms &&
            !core.device->rested(core.device, i))
            atomic_store(&core.devices[i].waited_ms, waited_ms);
}

static uint64_t deadline_of(uint64_t now_ns, uint64_t limit_ms)
{
    uint64_t deadline_ns = now_ns + limit_ms * MS_NS,
             until_ns = patience_ns ? patience_until(now_ns) : UINT64_MAX;

    return until_ns < deadline_ns ? until_ns : deadline_ns;
}

/* Not longer at a time than a context that goes should have to wait for us. */
static int drain_until(uint32_t devices, uint64_t now_ns, uint64_t deadline_ns)
{
    int error;

    do {
        uint64_t slice_ns = now_ns + LONG_TRY_NS;

        error = core.device->drain(core.device, devices, deadline_ns < slice_ns ? deadline_ns : slice_ns);
    } while (error == -ETIMEDOUT && (now_ns = core_now()) < deadline_ns && !atomic_load(&core.leaving));
    return error;
}

/* ---- what has been at rest and was given nothing since ----------------------------------------------------- */

/* They were found at rest after so many calls. */
static void note_rest(uint32_t devices, uint64_t calls)
{
    for (; devices; devices &= devices - 1)
        atomic_store(&core.devices[__builtin_ctz(devices)].rested_calls, calls + 1);
}

static bool is_at_rest(uint32_t devices, uint64_t calls)
{
    bool rests =
        !atomic_load(&core.account_only) && !atomic_load(&core.leaving); /* else not every call is counted */

    for (; devices; devices &= devices - 1)
        rests = rests && atomic_load(&core.devices[__builtin_ctz(devices)].rested_calls) == calls + 1;
    return rests;
}

int drain_wait(uint32_t devices, uint64_t limit_ms)
{
    uint64_t since_ns, calls;
    bool counts = gate_calls(&calls);
    int error;

    if (atomic_load(&core.captures))
        return -EBUSY;
    if (counts && is_at_rest(devices, calls))
        return 0;
    since_ns = core_now();
    if (is_vain(devices, limit_ms))
        return -ETIMEDOUT;
    error = drain_until(devices, since_ns, deadline_of(since_ns, limit_ms));
    if (error == -ETIMEDOUT)
        note_vain(devices, (core_now() - since_ns) / MS_NS);
    if (!error && counts)
        note_rest(devices, calls);
    return error;
}

/* The timer's tries, for each device. */
static struct
try {
    bool asked;       /* with the gate open, and what was running then is looked at now */
    bool trusted;     /* a try was said to be worth it */
    uint64_t in_vain; /* core.closed_in_vain at that time */
    uint64_t pause_ns, until_ns;
}
tries[DEVICE_MAX];

static void put_off(struct try *try, uint64_t now_ns)
{
    try->pause_ns = try->pause_ns ? 2 * try->pause_ns : PAUSE_LEAST_NS;
    if (try->pause_ns > PAUSE_MOST_NS)
        try->pause_ns = PAUSE_MOST_NS;
    try->until_ns = now_ns + try->pause_ns;
}

static bool all_rested(uint32_t devices)
{
    bool rested = true;

    for (; devices; devices &= devices - 1)
        rested = rested && core.device->rested(core.device, (unsigned)__builtin_ctz(devices));
    return rested;
}

bool drain_expected(unsigned ordinal)
{
    struct try *try = &tries[ordinal];
    uint32_t devices = devices_of((int)ordinal);
    uint64_t now_ns = core_now();

    if (try->trusted && core.closed_in_vain != try->in_vain)
        put_off(try, now_ns);
    else if (try->trusted)
        try->pause_ns = 0;
    try->trusted = false;
    if (now_ns < try->until_ns)
        return false;
    if (try->asked) {
        try->asked = false;
        try->trusted = all_rested(devices);
        if (!try->trusted)
            put_off(try, now_ns);
    } else {
        try->asked = core.device->drain(core.device, devices, now_ns) == -ETIMEDOUT;
        try->trusted = !try->asked;
    }
    try->in_vain = core.closed_in_vain;
    return try->trusted;
}

/* ---- launches --------------------------------------------------------------------------------------------- */

/* How long a launch waits for its blocks to come back, the role's; 0: EBBTIDE_DRAIN_MS. Kernels that wait for the launch
 * itself, as those of a collective do, are there again the next time: what was waited in vain once is not waited again.
 * A queue that is deep each time shows in waits that end. */
static uint64_t launch_ms;

static uint64_t limit_of(enum drain_waiter waiter)
{
    if (waiter == DRAIN_TIMER)
        return DRAIN_MOMENT_MS;
    return waiter == DRAIN_LAUNCH && launch_ms ? launch_ms : core.options->drain_ms;
}

/* A launch has waited that long, and the devices came to rest, or not. */
static void learn_launch(bool rested, uint64_t waited_ms)
{
    if (!rested && waited_ms)
        launch_ms = DRAIN_MOMENT_MS;
    else if (launch_ms && launch_ms < 4 * waited_ms)
        launch_ms = 4 * waited_ms;
    if (launch_ms > core.options->drain_ms)
        launch_ms = 0;
}

/* ---- the gate --------------------------------------------------------------------------------------------- */

/* How long it was tried, the last time, to find no thread in its section; the role's. */
static uint64_t met_ms;

static uint64_t now_of_device(void *device)
{
    return ((struct device *)device)->now_ns(device);
}

/* Whom the gate is closed for: those who may use the memory, or everybody, where it is anybody's. */
static uint32_t stops(int whose)
{
    return whose < 0 ? GATE_ALL : devices_of(whose);
}

/* Who joins them before the gate is closed may be past it by now: then it is closed anew, for that one, too. */
static int close_for(int whose, uint64_t deadline_ns)
{
    for (;;) {
        uint32_t devices = stops(whose);
        int error = gate_close(devices, now_of_device, core.device, deadline_ns);

        if (error < 0 || !(stops(whose) & ~devices))
            return error;
        gate_open();
    }
}

/* One try to come to rest. Gate closed on success. `*out_met`: a thread did not come out of its section in time. */
static int close_once(int whose, uint64_t deadline_ns, bool *out_met)
{
    bool drains = whose != DRAIN_NOBODY;
    int error = close_for(whose, deadline_ns);

    *out_met = error < 0;
    if (error < 0)
        return error;
    if (core_capturing() || atomic_load(&core.leaving))
        error = -EBUSY;
#ifndef EBB_WITHOUT_DRAIN
    else if (drains)
        error = core.device->drain(core.device, devices_of(whose), deadline_ns);
#endif
    if (error < 0)
        gate_open();
    else if (drains)
        counters_add(&core.counters.drains, 1);
    return error;
}

int drain_close(int whose, enum drain_waiter waiter)
{
    bool drains = whose != DRAIN_NOBODY;
    uint64_t limit_ms = limit_of(waiter), since_ns = core_now(),
             deadline_ns = deadline_of(since_ns, limit_ms);
    uint64_t try_ns = FIRST_TRY_NS, pause_ns = MS_NS, waited_ms;
    bool met = false;
    int error = drains && is_vain(devices_of(whose), limit_ms) ? -ETIMEDOUT : 0;

    if (gate_inside() ||
        (drains && atomic_load(&core.account_only))) /* calls that pass us do not stop at the gate */
        return -EBUSY;
    if (met_ms && met_ms >= limit_ms && deadline_ns > since_ns + FIRST_TRY_NS)
        deadline_ns = since_ns + FIRST_TRY_NS; /* it may have come out since: one try tells */
    while (!error) {
        uint64_t now = core_now(), until = now + try_ns < deadline_ns ? now + try_ns : deadline_ns, took_ns;
        struct timespec pause = {.tv_nsec = (long)pause_ns};

        error = close_once(whose, until, &met);
        if (error != -ETIMEDOUT || core_now() >= deadline_ns || atomic_load(&core.leaving))
            break;
        /* The program runs on: a callback may need what a thread at the gate holds. */
        nanosleep(&pause, NULL);
        now = core_now();
        error = drains ? drain_until(devices_of(whose), now, deadline_ns) : 0;
        took_ns = core_now() - now; /* what others have given the devices since may take as long */
        try_ns = 2 * (try_ns > took_ns ? try_ns : took_ns);
        try_ns = try_ns < LONG_TRY_NS ? try_ns : LONG_TRY_NS;
        pause_ns = pause_ns < 64 * MS_NS ? pause_ns * 2 : pause_ns;
    }
    waited_ms = (core_now() - since_ns) / MS_NS;
    if (!met)
        met_ms = 0;
    if (waiter == DRAIN_LAUNCH && (!error || error == -ETIMEDOUT))
        learn_launch(!error, waited_ms);
    if (error != -ETIMEDOUT)
        return error;
    atomic_fetch_add(&core.closed_in_vain, 1);
    if (met && met_ms < limit_ms)
        met_ms = waited_ms;
    if (drains)
        note_vain(devices_of(whose), waited_ms);
    return error;
}
