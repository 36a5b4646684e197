/* SPDX-License-Identifier: Apache-2.0 */
/* pressure_callback.c - see callbacks.h. */
#include "engine/callbacks.h"

#include <pthread.h>
#include <stddef.h>

#include "base/lock.h"

static struct {
    struct lock lock; /* of both fields, which belong together */
    ebb_pressure_fn fn;
    void *arg;
} callback = {.lock = LOCK_INIT(LOCK_PRESSURE)};

static __thread bool asking;

void pressure_callback_set(ebb_pressure_fn fn, void *arg)
{
    lock_acquire(&callback.lock);
    callback.fn = fn;
    callback.arg = arg;
    lock_release(&callback.lock);
}

bool pressure_callback_ask(int tier, int device, uint64_t bytes)
{
    ebb_pressure_fn fn;
    void *arg;
    int given;

    if (asking)
        return false;
    lock_acquire(&callback.lock);
    fn = callback.fn;
    arg = callback.arg;
    lock_release(&callback.lock);
    if (!fn)
        return false;
    asking = true;
    given = fn(tier, device, bytes, arg);
    asking = false;
    return given != 0;
}

bool pressure_callback_asking(void)
{
    return asking;
}

void pressure_callback_forked(void)
{
    lock_init(&callback.lock, LOCK_PRESSURE);
    callback.fn = NULL;
}
