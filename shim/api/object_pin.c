/* SPDX-License-Identifier: Apache-2.0 */
/* operand_pin.c - pins of the program's own, and touches: what it calls all the time. See operand.h. */
#include <stddef.h>

#include "base/cancel_guard.h"
#include "ebbtide.h"
#include "engine/copies.h"
#include "engine/mover.h"
#include "engine/object_state.h"
#include "engine/pressure_callback.h"
#include "engine/restore_stream.h"

/* Every chunk on the device, and none about to leave. */
static bool settled(uint32_t first)
{
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state != CHUNK_RESIDENT)
            return false;
    return true;
}

/* Between none and one; under the lock. While it is pinned its copies stand in nobody's way. */
static void pins_changed(uint32_t first)
{
    if (core.blocks.operand[first].copies)
        block_publish(&core.blocks, first);
}

/* One pin more; under the lock. */
static inline int count_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    int r;

    if (block->pins[PIN_API] == UINT16_MAX)
        return -EOVERFLOW;
    if (block->pins[PIN_API]) {
        block->pins[PIN_API]++;
        return 0;
    }
    r = area_pin(first);
    if (!r)
        pins_changed(first);
    return r;
}

/* What the last pin leaves behind when it goes. */
enum last_pin {
    PIN_NOT_LAST,
    PIN_LAST,
    PIN_LAST_OVER /* buffers have passed their maximum by it */
};

/* One pin less; under the lock. */
static inline enum last_pin uncount_pin(uint32_t first)
{
    bool over;

    operand_stamp(first);
    if (core.blocks.block[first].pins[PIN_API] > 1) {
        core.blocks.block[first].pins[PIN_API]--;
        return PIN_NOT_LAST;
    }
    over = area_unpin(first);
    pins_changed(first);
    return over ? PIN_LAST_OVER : PIN_LAST;
}

/* Behind the stream, if that can be. What is written on it has no good copy any more. */
static int arrive(uint32_t first, unsigned flags, void *stream)
{
    struct operand *operand = &core.blocks.operand[first];
    int r;

    if (flags & EBB_RO)
        operand->flags |= OPERAND_KEEP;
    r = arrival_begin(first, stream);
    operand->flags &= (uint8_t)~OPERAND_KEEP;
    return r;
}

/* Bytes of it that are not on the device. */
static uint64_t bytes_away(uint32_t first)
{
    uint64_t bytes = 0;

    pthread_mutex_lock(&core.lock);
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state != CHUNK_RESIDENT)
            bytes += chunk_bytes(&core.blocks.chunk[g]);
    pthread_mutex_unlock(&core.lock);
    return bytes;
}

/* What others must leave for is waited for; the copy only where nobody else can. */
static int bring_behind(uint32_t first, unsigned flags, void *stream)
{
    unsigned ordinal = core.blocks.block[first].ordinal;
    uint64_t bytes;

    if (!arrive(first, flags, stream))
        return 0;
    arrivals_settle();
    bytes = bytes_away(first);
    if (bytes && !mover_make_room(ordinal, bytes, bytes, UINT64_MAX) && !arrive(first, flags, stream))
        return 0;
    return operand_bring(first);
}

/* It is away, or on its way. */
static __attribute__((noinline)) int pin_away(uint64_t address, unsigned flags, void *stream)
{
    uint32_t first;
    int r;

    if (stream)
        mover_take_beside();
    else
        mover_take();
    r = operand_lock(address, &first);
    if (!r) {
        r = count_pin(first);
        pthread_mutex_unlock(&core.lock);
        if (!r && (r = stream ? bring_behind(first, flags, stream) : operand_bring(first)) < 0) {
            pthread_mutex_lock(&core.lock);
            uncount_pin(first);
            pthread_mutex_unlock(&core.lock);
        }
    }
    mover_give();
    if (!r && !(flags & EBB_RO))
        copies_void(first);
    return r;
}

/* 1: it is away, nothing was done. */
static inline int pin_here(uint64_t address, unsigned flags)
{
    uint32_t first, copies;
    int r = operand_lock(address, &first);

    if (r < 0)
        return r;
    copies = core.blocks.operand[first].copies;
    r = settled(first) ? count_pin(first) : 1;
    pthread_mutex_unlock(&core.lock);
    if (__builtin_expect(!r && copies && !(flags & EBB_RO), 0))
        copies_void(first);
    return r;
}

/* What it would need, to be told to who may have some. */
static bool ask_for(uint64_t address)
{
    struct block_info info;

    return core_find(address, &info) == 0 && pressure_ask(EBB_TIER_DEVICE, (int)info.ordinal,
                                                          (info.bytes + GRANULE_BYTES - 1) & -GRANULE_BYTES);
}

/* pin_here has said `r`, which is not 0. */
static __attribute__((noinline)) int pin_later(uint64_t address, unsigned flags, void *stream, int r)
{
    unsigned tries = 0;
    struct door door;

    door_enter(&door);
    for (;;) {
        if (r == 1)
            r = flags & EBB_NOWAIT  ? -EAGAIN
                : pressure_asking() ? -EDEADLK
                                    : pin_away(address, flags, stream);
        if (r != -ENOSPC || tries++ == PRESSURE_TRIES || !ask_for(address))
            break;
        r = pin_here(address, flags);
    }
    door_leave(&door);
    return r;
}

int operand_pin(uint64_t address, unsigned flags, void *stream)
{
    int r = pin_here(address, flags);

    return __builtin_expect(!r, 1) ? 0 : pin_later(address, flags, stream, r);
}

/* The last pin went, and buffers passed their maximum: this block goes when it can go for nothing, else the oldest. */
static void settle_buffers(uint32_t first)
{
    unsigned ordinal = core.blocks.block[first].ordinal;
    struct door door;
    bool copied;

    door_enter(&door);
    mover_take();
    pthread_mutex_lock(&core.lock);
    copied = core.blocks.operand[first].copies != 0;
    pthread_mutex_unlock(&core.lock);
    if (copied)
        mover_send(first, false);
    area_settle(ordinal, first);
    mover_give();
    door_leave(&door);
}

/* What is on its way has come, or will not. */
static void settle_arrivals(void)
{
    struct door door;

    door_enter(&door);
    mover_take();
    mover_give();
    door_leave(&door);
}

int operand_unpin(uint64_t address, unsigned flags)
{
    enum last_pin last;
    uint32_t first;
    int r = operand_lock(address, &first);

    if (!r && __builtin_expect(arrival_any() && !settled(first), 0)) {
        pthread_mutex_unlock(&core.lock);
        settle_arrivals();
        r = operand_lock(address, &first);
    }
    /* Copies of what was written go before the pin: without it an eviction could take them for good. */
    if (!r && !(flags & EBB_CLEAN) && core.blocks.operand[first].copies && operand_pins(first)) {
        pthread_mutex_unlock(&core.lock);
        copies_void(first);
        r = operand_lock(address, &first);
    }
    if (r < 0)
        return r;
    if (!operand_pins(first)) {
        pthread_mutex_unlock(&core.lock);
        return -EINVAL;
    }
    last = uncount_pin(first);
    pthread_mutex_unlock(&core.lock);
    if (last != PIN_NOT_LAST)
        core_tell_change();
    if (last == PIN_LAST_OVER)
        settle_buffers(first);
    return 0;
}

int operand_touch(uint64_t address)
{
    uint32_t first;

    if (operand_at(address, &first) < 0 || !operand_registered(first))
        return -ENOENT;
    /* A stamp of 0 says that it is being freed, and stays. */
    if (atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed))
        operand_stamp(first);
    return 0;
}
