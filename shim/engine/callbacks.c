/* SPDX-License-Identifier: Apache-2.0 */
/* callbacks.c - see callbacks.h. */
#include "engine/callbacks.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/lock.h"
#include "base/log.h"
#include "ledger/state.h"

/* ---- for room ------------------------------------------------------------------------------------------------ */

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

/* ---- for bytes ----------------------------------------------------------------------------------------------- */

static __thread bool running;

bool reload_callback_running(void)
{
    return running;
}

int reload_callback_fill(uint32_t first, uint32_t granule, void *memory)
{
    uint64_t offset = (granule - first) * GRANULE_BYTES, bytes = chunk_bytes(&core.blocks.chunk[granule]),
             all;
    struct object object;
    int error;

    lock_acquire(&core.lock);
    object = core.blocks.object[first];
    all = core.blocks.block[first].bytes;
    lock_release(&core.lock);
    if (bytes > all - offset) { /* the last granule may be larger than what the program asked for */
        memset((char *)memory + (all - offset), 0, bytes - (all - offset));
        bytes = all - offset;
    }
    lock_assert_none();
    running = true;
    error = object.reload((void *)(uintptr_t)granule_address(&core.blocks, first), offset, memory, bytes,
                          object.reload_arg);
    running = false;
    if (!error)
        return 0;
    log_line(LOG_WARN, "the reload callback of %s failed (%d) for %llu bytes at %llu: it stays away",
             object.name, error, (unsigned long long)bytes, (unsigned long long)offset);
    return -EIO;
}
