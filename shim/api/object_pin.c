/* SPDX-License-Identifier: Apache-2.0 */
/* object_pin.c - pins of the program's own, and touches: what it calls all the time. See object.h. */
#include <stddef.h>

#include "api/object.h"
#include "base/cancel_guard.h"
#include "base/compiler.h"
#include "ebbtide.h"
#include "engine/callbacks.h"
#include "engine/core.h"
#include "engine/mover.h"
#include "engine/object_state.h"
#include "engine/restore.h"
#include "ledger/copies.h"

/* Every chunk on the device, and none about to leave. */
static bool settled(uint32_t first)
{
    chunks_each(g, &core.blocks, first)
        if (core.blocks.chunk[g].state != CHUNK_RESIDENT)
            return false;
    return true;
}

/* Pins went from none to one or back; under the lock. Copies of a pinned block stand in nobody's way. */
static void pins_changed(uint32_t first)
{
    if (core.blocks.object[first].copies)
        block_publish(&core.blocks, first);
}

/* One pin more; under the lock. */
static inline int count_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    int error;

    if (block->pins[PIN_API] == UINT16_MAX)
        return -EOVERFLOW;
    if (block->pins[PIN_API]) {
        block->pins[PIN_API]++;
        return 0;
    }
    error = share_pin(first);
    if (!error)
        pins_changed(first);
    return error;
}

/* Consequences of a pin that goes. */
enum last_pin {
    PIN_NOT_LAST,
    PIN_LAST,
    PIN_LAST_OVER /* buffers have passed their maximum by it */
};

/* One pin less; under the lock. */
static inline enum last_pin uncount_pin(uint32_t first)
{
    bool over;

    object_stamp(first);
    if (core.blocks.block[first].pins[PIN_API] > 1) {
        core.blocks.block[first].pins[PIN_API]--;
        return PIN_NOT_LAST;
    }
    over = share_unpin(first);
    pins_changed(first);
    return over ? PIN_LAST_OVER : PIN_LAST;
}

/* Behind the stream, if that can be. What is written on it has no good copy any more. */
static int restore_behind(uint32_t first, unsigned flags, void *stream)
{
    struct object *object = &core.blocks.object[first];
    int error;

    if (flags & EBB_RO)
        object->flags |= OBJECT_KEEP;
    error = restore_stream_begin(first, stream);
    object->flags &= (uint8_t)~OBJECT_KEEP;
    return error;
}

/* Bytes of it that are not on the device. */
static uint64_t bytes_away(uint32_t first)
{
    uint64_t bytes;

    lock_acquire(&core.lock);
    bytes = chunks_bytes(&core.blocks, first, ~CHUNKS(CHUNK_RESIDENT));
    lock_release(&core.lock);
    return bytes;
}

/* Room that others must leave is waited for here; the copy only if the stream cannot wait for it. */
static int bring_behind(uint32_t first, unsigned flags, void *stream)
{
    unsigned ordinal = core.blocks.block[first].ordinal;
    uint64_t bytes;

    if (!restore_behind(first, flags, stream))
        return 0;
    restore_streams_settle();
    bytes = bytes_away(first);
    if (bytes && !mover_make_room(ordinal, bytes, bytes) && !restore_behind(first, flags, stream))
        return 0;
    return object_bring(first);
}

/* The block is away, or on its way. */
static NO_INLINE int pin_away(uint64_t address, unsigned flags, void *stream)
{
    uint32_t first;
    int error;

    if (stream)
        mover_take_beside();
    else
        mover_take();
    error = object_lock(address, &first);
    if (!error) {
        error = count_pin(first);
        lock_release(&core.lock);
        if (!error && (error = stream ? bring_behind(first, flags, stream) : object_bring(first)) < 0) {
            lock_acquire(&core.lock);
            uncount_pin(first);
            lock_release(&core.lock);
        }
    }
    mover_give();
    if (!error && !(flags & EBB_RO))
        copies_void(first);
    return error;
}

/* 1: it is away, nothing was done. */
static inline int pin_here(uint64_t address, unsigned flags)
{
    uint32_t first, copies;
    int error = object_lock(address, &first);

    if (error < 0)
        return error;
    copies = core.blocks.object[first].copies;
    error = settled(first) ? count_pin(first) : 1;
    lock_release(&core.lock);
    if (UNLIKELY(!error && copies && !(flags & EBB_RO)))
        copies_void(first);
    return error;
}

struct request {
    uint64_t address;
    unsigned flags;
    void *stream;
};

/* pin_here has said `error`, which is not 0. */
static int pin_on(const struct request *request, int error)
{
    if (error != 1)
        return error;
    if (request->flags & EBB_NOWAIT)
        return -EAGAIN;
    return pressure_callback_asking() ? -EDEADLK
                                      : pin_away(request->address, request->flags, request->stream);
}

static int attempt(void *arg)
{
    const struct request *request = arg;

    return pin_on(request, pin_here(request->address, request->flags));
}

/* pin_here has said `error`, which is not 0. */
static NO_INLINE int pin_later(uint64_t address, unsigned flags, void *stream, int error)
{
    struct request request = {address, flags, stream};
    struct block_info info;
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    error = pin_on(&request, error);
    if (error == -ENOSPC && core_find(address, &info) == 0)
        error = room_try_again((int)info.ordinal, (info.bytes + GRANULE_BYTES - 1) & -GRANULE_BYTES, attempt,
                               &request);
    cancel_guard_leave(&guard);
    return error;
}

int object_pin(uint64_t address, unsigned flags, void *stream)
{
    int error = pin_here(address, flags);

    return LIKELY(!error) ? 0 : pin_later(address, flags, stream, error);
}

/* The last pin went, and buffers passed their maximum: this block goes when it can go for nothing, else the oldest. */
static void settle_buffers(uint32_t first)
{
    unsigned ordinal = core.blocks.block[first].ordinal;
    struct cancel_guard guard;
    bool copied;

    cancel_guard_enter(&guard);
    mover_take();
    lock_acquire(&core.lock);
    copied = core.blocks.object[first].copies != 0;
    lock_release(&core.lock);
    if (copied)
        mover_send(first, false);
    share_settle(ordinal, first);
    mover_give();
    cancel_guard_leave(&guard);
}

/* Chunks that are on their way have come after this, or will not. */
static void settle_restore_streams(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    mover_take();
    mover_give();
    cancel_guard_leave(&guard);
}

int object_unpin(uint64_t address, unsigned flags)
{
    enum last_pin last;
    uint32_t first;
    int error = object_lock(address, &first);

    if (!error && UNLIKELY(restore_stream_any() && !settled(first))) {
        lock_release(&core.lock);
        settle_restore_streams();
        error = object_lock(address, &first);
    }
    /* Copies of what was written go before the pin: without it an eviction could take them for good. */
    if (!error && !(flags & EBB_CLEAN) && core.blocks.object[first].copies && object_pins(first)) {
        lock_release(&core.lock);
        copies_void(first);
        error = object_lock(address, &first);
    }
    if (error < 0)
        return error;
    if (!object_pins(first)) {
        lock_release(&core.lock);
        return -EINVAL;
    }
    last = uncount_pin(first);
    lock_release(&core.lock);
    if (last != PIN_NOT_LAST)
        core_tell_change();
    if (last == PIN_LAST_OVER)
        settle_buffers(first);
    return 0;
}

int object_touch(uint64_t address)
{
    uint32_t first;

    if (object_at(address, &first) < 0 || !object_registered(first))
        return -ENOENT;
    object_stamp_alive(first);
    return 0;
}
