/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c - see fork.h. */
#include "base/fork.h"

#include <pthread.h>

#include "base/cancel_guard.h"

extern const struct fork_handlers __start_ebb_fork[] __attribute__((visibility("hidden"), weak));
extern const struct fork_handlers __stop_ebb_fork[] __attribute__((visibility("hidden"), weak));

static void prepare(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    for (unsigned turn = 0; turn < FORK_TURNS; turn++)
        for (const struct fork_handlers *row = __start_ebb_fork; row < __stop_ebb_fork; row++)
            if (row->turn == turn && row->prepare)
                row->prepare();
    cancel_guard_leave(&guard);
}

static void parent(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    for (unsigned turn = FORK_TURNS; turn-- > 0;)
        for (const struct fork_handlers *row = __start_ebb_fork; row < __stop_ebb_fork; row++)
            if (row->turn == turn && row->parent)
                row->parent();
    cancel_guard_leave(&guard);
}

static void child(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    for (unsigned turn = FORK_TURNS; turn-- > 0;)
        for (const struct fork_handlers *row = __start_ebb_fork; row < __stop_ebb_fork; row++)
            if (row->turn == turn && row->child)
                row->child();
    cancel_guard_leave(&guard);
}

bool fork_watch(void)
{
    static bool is_done, runs;

    if (!__atomic_exchange_n(&is_done, true, __ATOMIC_RELAXED))
        runs = pthread_atfork(prepare, parent, child) == 0;
    return runs;
}
