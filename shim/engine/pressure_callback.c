/* SPDX-License-Identifier: Apache-2.0 */
/* pressure_callback.c - see callbacks.h. */
#include "engine/callbacks.h"

#include <errno.h>
#include <stddef.h>

#include "base/lock.h"

/* How often one request asks before it is refused all the same. */
#define ASKED_MOST 16

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

/* True: it has given something. Always false without a function, and inside of it. */
static bool ask(int tier, int device, uint64_t bytes)
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
    lock_assert_none();
    asking = true;
    given = fn(tier, device, bytes, arg);
    asking = false;
    return given != 0;
}

int room_try_again(int device, uint64_t bytes, int (*attempt)(void *arg), void *arg)
{
    int tier = device < 0 ? EBB_TIER_HOST : EBB_TIER_DEVICE, error = -ENOSPC;

    for (unsigned asked = 0; error == -ENOSPC && asked < ASKED_MOST && ask(tier, device, bytes); asked++)
        error = attempt(arg);
    return error;
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
