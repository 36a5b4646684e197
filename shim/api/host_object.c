/* SPDX-License-Identifier: Apache-2.0 */
/* host_object.c - objects in host memory. See object.h. */
#include "api/object.h"

#include <errno.h>

#include "engine/callbacks.h"
#include "engine/mover.h"
#include "host/host_block.h"
#include "ledger/share.h"

/* Buffers have grown. */
static void keep_to_share(void)
{
    if (!host_share_over(0))
        return;
    mover_take();
    mover_give(); /* which settles them */
}

int host_object_register(void *ptr, size_t bytes, const char *name)
{
    int error = host_block_register(ptr, bytes, 0, name);

    if (!error) {
        share_begin();
        keep_to_share();
    }
    return error;
}

/* A part of the block is away. Once its pin counts, the bytes that are too many with it are known. */
static int pin_away(void *ptr)
{
    struct host_block_info info;
    int error;

    if (pressure_callback_asking())
        return -EDEADLK;
    mover_take();
    error = host_block_pin(ptr, HOST_PIN_COUNT);
    if (!error) {
        error = host_block_query(ptr, &info);
        error = error ? error : host_share_make_room(info.away_bytes);
        error = error ? error : host_block_pin(ptr, 0);
        host_block_unpin(ptr);
    }
    mover_give();
    return error;
}

struct request {
    void *ptr;
    unsigned flags;
};

static int attempt(void *arg)
{
    const struct request *request = arg;
    bool waits = !(request->flags & EBB_NOWAIT);
    int error = host_block_pin(request->ptr, waits ? HOST_PIN_COMPLETE : HOST_PIN_NOWAIT);

    return error == -EAGAIN && waits ? pin_away(request->ptr) : error;
}

int host_object_pin(void *ptr, unsigned flags)
{
    struct request request = {ptr, flags};
    struct host_block_info info;
    int error = attempt(&request);

    if (error != -ENOSPC || host_block_query(ptr, &info) < 0)
        return error;
    return room_try_again(-1, info.bytes, attempt, &request);
}

int host_object_unpin(void *ptr)
{
    int error = host_block_unpin(ptr);

    if (!error)
        keep_to_share();
    return error;
}

int host_object_prefetch(void *ptr)
{
    int error;

    if (pressure_callback_asking())
        return -EDEADLK;
    (void)host_block_touch(ptr); /* as on a device: it is about to be used */
    error = host_block_bring(ptr);
    keep_to_share();
    return error;
}
