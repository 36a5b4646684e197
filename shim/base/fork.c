/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c - see fork.h. */
#include "base/fork.h"

#include <pthread.h>

#include "base/cancel_guard.h"

extern const struct fork_handlers __start_ebb_fork[] __attribute__((visibility("hidden"), weak));
extern const struct fork_handlers __stop_ebb_fork[] __attribute__((visibility("hidden"), weak));

static const struct fork_handlers *handlers_of(unsigned turn)
{
    static const struct fork_handlers none;

    for (const struct fork_handlers *row = __start_ebb_fork; row < __stop_ebb_fork; row++)
        if (row->turn == turn)
            return row;
    return &none;
}

static void prepare(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    for (unsigned turn = 0; turn < FORK_TURNS; turn++)
        if (handlers_of(turn)->prepare)
            handlers_of(turn)->prepare();
    cancel_guard_leave(&guard);
}

static void parent(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    for (unsigned turn = FORK_TURNS; turn-- > 0;)
        if (handlers_of(turn)->parent)
            handlers_of(turn)->parent();
    cancel_guard_leave(&guard);
}

static void child(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    for (unsigned turn = FORK_TURNS; turn-- > 0;)
        if (handlers_of(turn)->child)
            handlers_of(turn)->child();
    cancel_guard_leave(&guard);
}

bool fork_watch(void)
{
    static bool is_done, runs;

    if (!__atomic_exchange_n(&is_done, true, __ATOMIC_RELAXED))
        runs = pthread_atfork(prepare, parent, child) == 0;
    return runs;
}
