/* SPDX-License-Identifier: Apache-2.0 */
/* busy.c - see busy.h. */
#include "ledger/busy.h"

#include "base/log.h"
#include "ledger/state.h"

#define LONG_CAPTURE_NS (UINT64_C(10) * 1000 * 1000 * 1000)

bool core_host_active(void)
{
    return atomic_load_explicit(&core.host_active, memory_order_acquire);
}

bool core_manages(void)
{
    return core_host_active() && !core.forked;
}

bool core_active(void)
{
    return atomic_load_explicit(&core.active, memory_order_relaxed);
}

bool core_capturing(void)
{
    if (!atomic_load(&core.captures))
        return false;
    if (core_now() - atomic_load(&core.capturing_since_ns) > LONG_CAPTURE_NS &&
        !atomic_exchange(&core.has_told_capture, true))
        log_line(LOG_WARN,
                 "a stream capture has been open for more than 10 s; nothing can be evicted until it ends");
    return true;
}

void core_account_only(const char *why)
{
    const char *none = NULL;

    if (atomic_compare_exchange_strong(&core.account_only, &none, why))
        log_line(LOG_WARN, "memory is accounted and nothing is moved: not all calls come here, %s", why);
}

bool core_is_bypassed(void)
{
    return atomic_load(&core.account_only);
}

bool core_roots_wanted(void)
{
    return !core.options || (options_search(core.options) && !atomic_load(&core.roots_unknown));
}

void core_roots_unknown(const char *why)
{
    const char *none = NULL;

    if (!atomic_compare_exchange_strong(&core.roots_unknown, &none, why) || !core.options ||
        !options_search(core.options))
        return;
    log_line(LOG_WARN, "EBBTIDE_DISK=%s acts as registered: %s",
             core.options->disk == DISK_AUTO ? "auto" : "known", why);
}

bool movable_may_unmap(uint32_t first, bool proven)
{
    const struct block *block = &core.blocks.block[first];

    if (block->pins[PIN_REFERENCED] || core_places())
        return false;
    if (block->flags & BLOCK_REGISTERED)
        return true;
    if (core.options->disk == DISK_ALWAYS)
        return true;
    return proven && !(block->flags & (BLOCK_HOLDER | BLOCK_REFERENCED));
}

bool movable_could_evict(uint32_t first, bool proven)
{
    const struct block *block = &core.blocks.block[first];

    if (!block_alive(block) || block_pinned(block))
        return false;
    if (core.options->cacheable == CACHEABLE_REGISTERED && !(block->flags & BLOCK_REGISTERED))
        return false;
    return core.mapped || movable_may_unmap(first, proven);
}

bool movable_may_evict(uint32_t first, bool proven)
{
    return movable_could_evict(first, proven) && !block_in_launch(first);
}

bool movable_may_prove(void)
{
    return options_search(core.options) && !atomic_load(&core.roots_unknown);
}

/* Why the block is kept for its own sake, be there a search or not. */
static enum stay is_kept(const struct block *block)
{
    _Static_assert((int)STAY_EXPORTED == (int)PIN_EXPORTED && (int)STAY_REFERENCED == (int)PIN_REFERENCED,
                   "the first reasons are the pins");
    for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
        if (block->pins[reason] && (reason != PIN_REFERENCED || !core.mapped))
            return (enum stay)reason;
    if (core.options->cacheable == CACHEABLE_NONE ||
        (core.options->cacheable == CACHEABLE_REGISTERED && !(block->flags & BLOCK_REGISTERED)))
        return STAY_CACHEABLE;
    return block->flags & BLOCK_FIXED ? STAY_LIBRARY : STAY_NOT;
}

enum stay movable_stays(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    enum stay why = is_kept(block);

    if (!block_alive(block))
        return STAY_FREED;
    if (why != STAY_NOT)
        return why;
    if (core_is_bypassed())
        return STAY_BYPASSED;
    if (atomic_load(&core.captures))
        return STAY_CAPTURE;
    if (block_in_launch(first))
        return STAY_LAUNCH;
    if (atomic_load(&core.devices[block->ordinal].waited_ms))
        return STAY_RESTLESS;
    if (core.mapped || movable_may_unmap(first, movable_may_prove()))
        return STAY_NOT;
    return block->flags & BLOCK_HOLDER       ? STAY_HOLDER
           : block->flags & BLOCK_REFERENCED ? STAY_POINTED
                                             : STAY_UNPROVEN;
}

void block_returned(uint32_t first)
{
    uint64_t now = core_stamp();

    core.blocks.block[first].returned = now;
    if (atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed))
        atomic_store_explicit(&core.blocks.stamp[first], now, memory_order_relaxed);
}

bool block_in_launch(uint32_t first)
{
    uint32_t pins = atomic_load(&core.pins_all), end = first + core.blocks.block[first].granules;

    for (uint32_t g = first; g < end && !pins; g++)
        pins = atomic_load(&core.blocks.block[g].launch_pins);
    return pins != 0;
}

uint64_t core_launch_pins(void)
{
    uint64_t pins = 0;

    granules_each(g, &core.blocks)
        pins += atomic_load(&core.blocks.block[g].launch_pins);
    return pins;
}

bool core_in_use(void)
{
    return core_launch_pins() || atomic_load(&core.pins_all) || atomic_load(&core.changing);
}

static void let_go(void *lock)
{
    lock_release(lock);
}

int core_wait_until(const struct timespec *until)
{
    int error;

    pthread_cleanup_push(let_go, &core.lock);
    error = lock_wait_until(&core.changed, &core.lock, until);
    pthread_cleanup_pop(0);
    return error;
}

void core_wait_change(void)
{
    struct timespec until = core_until(10000000);

    atomic_fetch_add(&core.waiting, 1);
    lock_acquire(&core.lock);
    core_wait_until(&until);
    lock_release(&core.lock);
    atomic_fetch_sub(&core.waiting, 1);
}

void core_tell_change(void)
{
    if (!atomic_load(&core.waiting))
        return;
    lock_acquire(&core.lock);
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
}

void core_change_begin(void)
{
    atomic_fetch_add(&core.changing, 1);
}

void core_change_end(void)
{
    atomic_fetch_add(&core.changes, 1);
    atomic_fetch_sub(&core.changing, 1);
    core_tell_change();
}
