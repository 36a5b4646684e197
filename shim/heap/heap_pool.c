/* SPDX-License-Identifier: Apache-2.0 */
/* heap_pool.c - see heap_state.h. */
#include "heap/heap_state.h"

#include <stdatomic.h>

#include "engine/core.h"

#define LOT_LEAST_BYTES    ((uint64_t)64 << 10)
#define LOT_MOST_BYTES     ((uint64_t)16 << 20)
#define LOT_SHARE_OF_LIMIT 1024

static struct {
    _Alignas(64) _Atomic int64_t bytes;
    _Atomic int64_t charged;
    _Atomic uint64_t room;
    _Atomic bool open;
    uint64_t lot_bytes;
} pool = {.room = UINT64_MAX, .lot_bytes = LOT_MOST_BYTES};

bool heap_pool_is_open(void)
{
    return atomic_load_explicit(&pool.open, memory_order_acquire);
}

int64_t heap_pool_bytes(void)
{
    return atomic_load_explicit(&pool.bytes, memory_order_relaxed);
}

int64_t heap_pool_charged(void)
{
    return atomic_load_explicit(&pool.charged, memory_order_relaxed);
}

uint64_t heap_pool_room(void)
{
    return atomic_load_explicit(&pool.room, memory_order_relaxed);
}

bool heap_pool_has_ample_room(void)
{
    return heap_pool_room() > 4 * pool.lot_bytes;
}

int64_t heap_pool_take(int64_t least, int64_t most)
{
    int64_t has = heap_pool_bytes(), take;

    do {
        take = has < most ? has : most;
        if (take < least)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&pool.bytes, &has, has - take, memory_order_relaxed,
                                                    memory_order_relaxed));
    return take;
}

void heap_pool_put(int64_t bytes)
{
    atomic_fetch_add_explicit(&pool.bytes, bytes, memory_order_relaxed);
}

void heap_pool_give(int64_t bytes)
{
    int64_t lot = (int64_t)pool.lot_bytes, has;

    has = atomic_fetch_add_explicit(&pool.bytes, bytes, memory_order_relaxed) + bytes;
    if (has > 4 * lot && atomic_load_explicit(&pool.open, memory_order_relaxed))
        heap_pool_shrink(has - 2 * lot);
}

bool heap_pool_grow(uint64_t bytes)
{
    uint64_t room = UINT64_MAX, lot = bytes + pool.lot_bytes;
    int error = core_host_try(HOST_HEAP, lot, &room);

    if (error) {
        lot = bytes;
        error = core_host_try(HOST_HEAP, lot, &room);
    }
    atomic_store_explicit(&pool.room, room, memory_order_relaxed);
    if (error)
        return false;
    heap_pool_charged_add((int64_t)lot);
    heap_pool_put((int64_t)lot);
    return true;
}

bool heap_pool_shrink(int64_t most)
{
    int64_t has = heap_pool_take(1, most);

    if (!has)
        return false;
    heap_pool_charged_add(-has);
    core_host_credit(HOST_HEAP, (uint64_t)has);
    atomic_fetch_add_explicit(&pool.room, (uint64_t)has, memory_order_relaxed);
    return true;
}

void heap_pool_charged_add(int64_t bytes)
{
    atomic_fetch_add_explicit(&pool.charged, bytes, memory_order_relaxed);
}

void heap_pool_open(uint64_t limit_bytes)
{
    int64_t has;

    if (limit_bytes / LOT_SHARE_OF_LIMIT < LOT_MOST_BYTES)
        pool.lot_bytes = limit_bytes / LOT_SHARE_OF_LIMIT;
    if (pool.lot_bytes < LOT_LEAST_BYTES)
        pool.lot_bytes = LOT_LEAST_BYTES;
    atomic_store_explicit(&pool.open, true, memory_order_release);
    /* Credit that was granted before may pass the budget: it stays, and nothing more is admitted until it shrinks. */
    has = heap_pool_bytes();
    if (has < 0)
        heap_pool_grow((uint64_t)-has);
}
