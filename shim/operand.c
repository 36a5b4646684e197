/* SPDX-License-Identifier: Apache-2.0 */
/* operand.c - see operand.h. */
#include "operand.h"

#include <stddef.h>
#include <string.h>

#include "copies.h"
#include "limit.h"
#include "log.h"
#include "mover.h"
#include "placement.h"
#include "pressure.h"
#include "state.h"

uint64_t operand_age_ns(uint64_t stamp)
{
    uint64_t now = core_stamp();

    return now > stamp && core.stamp_hz ? (uint64_t)((double)(now - stamp) * 1e9 / (double)core.stamp_hz) : 0;
}

int operand_at(uint64_t address, uint32_t *out_first)
{
    if (!core_owns(address) || !blocks_at(&core.blocks, address_granule(&core.blocks, address), out_first))
        return -ENOENT;
    return 0;
}

unsigned operand_pins(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return block->pins[PIN_API] - (block->flags & BLOCK_DRAWN ? 1u : 0u);
}

static bool is_registered(uint32_t first)
{
    return core.blocks.block[first].flags & BLOCK_REGISTERED;
}

/* Take the lock with the registered block at an address in hand; -ENOENT without it. */
static int lock_registered(uint64_t address, uint32_t *out_first)
{
    int r;

    pthread_mutex_lock(&core.lock);
    r = operand_at(address, out_first);
    if (!r && !is_registered(*out_first))
        r = -ENOENT;
    if (r < 0)
        pthread_mutex_unlock(&core.lock);
    return r;
}

static void touch(uint32_t first)
{
    atomic_store_explicit(&core.blocks.stamp[first], core_stamp(), memory_order_relaxed);
}

/* Every chunk on the device, and none about to leave. */
static bool settled(uint32_t first)
{
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state != CHUNK_RESIDENT)
            return false;
    return true;
}

/* What is being brought back is no victim of that. Role held. */
static void hold(uint32_t first)
{
    atomic_fetch_add(&core.blocks.block[first].launch_pins, 1);
}

static void let_go(uint32_t first)
{
    atomic_fetch_sub(&core.blocks.block[first].launch_pins, 1);
    core_tell_change();
}

/* ---- registering ------------------------------------------------------------------------------------------ */

/* Under the lock and the role. */
static int begin(uint64_t address, uint64_t bytes, uint32_t *out_first)
{
    int r = operand_at(address, out_first);
    const struct block *block = r < 0 ? NULL : &core.blocks.block[*out_first];

    if (r < 0)
        return r;
    if (is_registered(*out_first))
        return granule_address(&core.blocks, *out_first) == address &&
                       core.blocks.operand[*out_first].bytes == bytes
                   ? -EEXIST
                   : -EINVAL;
    if (granule_address(&core.blocks, *out_first) != address || !bytes || bytes > block->bytes)
        return -EINVAL;
    return block->flags & BLOCK_FIXED ? -ENOTSUP : 0;
}

static void describe(struct operand *operand, uint64_t bytes, const char *name)
{
    operand->bytes = bytes;
    operand->flags = 0;
    log_print(operand->name, sizeof(operand->name), "%s", name ? name : "");
}

int operand_register(uint64_t address, uint64_t bytes, unsigned flags, const char *name)
{
    uint32_t first;
    int r;

    mover_take();
    pthread_mutex_lock(&core.lock);
    r = begin(address, bytes, &first);
    if (!r) {
        for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
            if (core.blocks.chunk[g].state != CHUNK_RESIDENT && !core.blocks.chunk[g].mapped)
                atomic_fetch_sub(&core.away_unproven, 1);
        describe(&core.blocks.operand[first], bytes, name);
        core.blocks.block[first].flags |= BLOCK_REGISTERED;
        touch(first);
        area_update(first);
        area_begin();
    }
    pthread_mutex_unlock(&core.lock);
    if (!r)
        area_settle(core.blocks.block[first].ordinal, first);
    if (!r && flags & EBB_CACHEABLE)
        placement_enter(first);
    mover_give();
    return r;
}

int operand_unregister(uint64_t address)
{
    struct block *block;
    uint32_t first;
    int r;

    mover_take();
    r = lock_registered(address, &first);
    if (!r) {
        r = operand_pins(first) ? -EBUSY : 0;
        pthread_mutex_unlock(&core.lock);
    }
    if (!r) {
        hold(first);
        r = mover_reach(&first, 1) < 0 ? -ENOMEM : 0;
        let_go(first);
    }
    if (!r) {
        copies_void(first);
        block = &core.blocks.block[first];
        pthread_mutex_lock(&core.lock);
        block->flags &= (uint8_t)~BLOCK_REGISTERED;
        area_update(first);
        if (!(block->flags & BLOCK_DRAWN))
            core.blocks.operand[first] = (struct operand){0};
        pthread_mutex_unlock(&core.lock);
    }
    mover_give();
    return r;
}

/* ---- pinning ---------------------------------------------------------------------------------------------- */

/* Between none and one; under the lock. */
static void pins_changed(uint32_t first)
{
    area_update(first);
    if (core.blocks.operand[first].copies)
        block_publish(&core.blocks, first);
}

/* One pin more; under the lock. */
static int count_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    int r = 0;

    if (block->pins[PIN_API] == UINT16_MAX)
        return -EOVERFLOW;
    if (!block->pins[PIN_API])
        r = area_admit(block->ordinal, block->granules * GRANULE_BYTES, first);
    if (r < 0)
        return r;
    block->pins[PIN_API]++;
    if (block->pins[PIN_API] == 1)
        pins_changed(first);
    return 0;
}

/* One pin less; under the lock. True when it was the last. */
static bool uncount_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];

    touch(first);
    if (--block->pins[PIN_API])
        return false;
    pins_changed(first);
    return true;
}

/* A block that is away comes back, with what it came from kept as a copy. Role held. */
static int bring(uint32_t first)
{
    struct operand *operand = &core.blocks.operand[first];
    int r;

    hold(first);
    operand->flags |= OPERAND_KEEP;
    r = mover_bring(first);
    operand->flags &= (uint8_t)~OPERAND_KEEP;
    let_go(first);
    return r;
}

/* It is away, or on its way. */
static int pin_away(uint64_t address)
{
    uint32_t first;
    int r;

    mover_take();
    r = lock_registered(address, &first);
    if (!r) {
        r = count_pin(first);
        pthread_mutex_unlock(&core.lock);
        if (!r && (r = bring(first)) < 0) {
            pthread_mutex_lock(&core.lock);
            uncount_pin(first);
            pthread_mutex_unlock(&core.lock);
        }
    }
    mover_give();
    return r;
}

int operand_pin(uint64_t address, unsigned flags)
{
    bool copied = false, again;
    uint64_t bytes;
    uint32_t first;
    unsigned ordinal, tries = 0;
    int r;

    do {
        r = lock_registered(address, &first);
        if (r < 0)
            return r;
        ordinal = core.blocks.block[first].ordinal;
        bytes = core.blocks.block[first].granules * GRANULE_BYTES;
        if (settled(first)) {
            r = count_pin(first);
            copied = core.blocks.operand[first].copies != 0;
            pthread_mutex_unlock(&core.lock);
        } else {
            pthread_mutex_unlock(&core.lock);
            r = flags & EBB_NOWAIT ? -EAGAIN : pressure_asking() ? -EDEADLK : pin_away(address);
            copied = !r;
        }
        again =
            r == -ENOSPC && tries++ < PRESSURE_TRIES && pressure_ask(EBB_TIER_DEVICE, (int)ordinal, bytes);
    } while (again);
    if (!r && copied && !(flags & EBB_RO))
        copies_void(first);
    return r;
}

/* The last pin went, and buffers passed their maximum: this block goes when it can go for nothing, else the oldest. */
static void settle_buffers(uint32_t first)
{
    unsigned ordinal = core.blocks.block[first].ordinal;
    bool copied;

    mover_take();
    pthread_mutex_lock(&core.lock);
    copied = core.blocks.operand[first].copies != 0;
    pthread_mutex_unlock(&core.lock);
    if (copied)
        mover_send(first, false);
    area_settle(ordinal, first);
    mover_give();
}

int operand_unpin(uint64_t address, unsigned flags)
{
    bool last, dirty, over;
    uint32_t first;
    int r = lock_registered(address, &first);

    if (r < 0)
        return r;
    if (!operand_pins(first)) {
        pthread_mutex_unlock(&core.lock);
        return -EINVAL;
    }
    dirty = !(flags & EBB_CLEAN) && core.blocks.operand[first].copies;
    last = uncount_pin(first);
    over = last && area_unsettled(core.blocks.block[first].ordinal);
    pthread_mutex_unlock(&core.lock);
    if (dirty)
        copies_void(first);
    if (last)
        core_tell_change();
    if (over)
        settle_buffers(first);
    return 0;
}

int operand_touch(uint64_t address)
{
    uint32_t first;

    if (operand_at(address, &first) < 0 || !is_registered(first))
        return -ENOENT;
    /* A stamp of 0 says that it is being freed, and stays. */
    if (atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed))
        touch(first);
    return 0;
}

/* ---- moving by hand --------------------------------------------------------------------------------------- */

int operand_prefetch(uint64_t address)
{
    uint32_t first;
    int r;

    if (pressure_asking())
        return -EDEADLK;
    mover_take();
    r = lock_registered(address, &first);
    if (!r) {
        touch(first);
        pthread_mutex_unlock(&core.lock);
        r = bring(first);
        if (!r)
            area_settle(core.blocks.block[first].ordinal, first);
    }
    mover_give();
    return r;
}

long operand_evict(uint64_t address, int tier)
{
    uint32_t first;
    long r;

    mover_take();
    r = lock_registered(address, &first);
    if (!r) {
        r = operand_pins(first) ? -EBUSY : 0;
        pthread_mutex_unlock(&core.lock);
    }
    if (!r)
        r = (long)mover_send(first, tier == EBB_TIER_DISK);
    mover_give();
    return r;
}

long operand_evict_any(unsigned ordinal, uint64_t bytes, int tier)
{
    uint64_t most, moved;

    limit_ready(ordinal);
    mover_take();
    most = tier == EBB_TIER_DISK ? core.host_budget.class_bytes[HOST_TIER] : 0;
    moved = mover_evict(ordinal, bytes < INT64_MAX ? bytes : INT64_MAX, UINT64_MAX, true);
    if (tier == EBB_TIER_DISK) {
        most += moved;
        mover_spill(bytes < most ? bytes : most, UINT64_MAX);
    }
    mover_give();
    return (long)moved;
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

/* Where its chunks are; under the lock. */
static void locate(uint32_t first, struct ebb_block_info *out)
{
    bool copied = true;

    out->tier = EBB_TIER_DEVICE;
    out->resident_bytes = area_resident(first);
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
        const struct chunk *chunk = &core.blocks.chunk[g];
        bool on_disk = chunk->state == CHUNK_DISK || (chunk->state == CHUNK_RETURNING && !chunk->slab);
        bool here = chunk->state == CHUNK_RESIDENT || chunk->state == CHUNK_LEAVING;

        copied = copied && (!here || chunk->copied);
        if (on_disk)
            out->tier = EBB_TIER_DISK;
        else if (!here && out->tier == EBB_TIER_DEVICE)
            out->tier = EBB_TIER_HOST;
    }
    out->dirty = !copied;
}

int operand_query(uint64_t address, struct ebb_block_info *out)
{
    struct ebb_block_info info = {.struct_bytes = out->struct_bytes};
    const struct operand *operand;
    uint64_t stamp;
    uint32_t first;
    int r = lock_registered(address, &first);

    if (r < 0)
        return r;
    operand = &core.blocks.operand[first];
    info.bytes = operand->bytes;
    info.device = core.blocks.block[first].ordinal;
    info.pins = operand_pins(first);
    info.saves = operand->saves;
    info.priority = core.blocks.block[first].priority;
    info.stage = core.blocks.block[first].stage;
    memcpy(info.name, operand->name, sizeof(info.name));
    locate(first, &info);
    stamp = atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed);
    pthread_mutex_unlock(&core.lock);
    info.last_use_ns = operand_age_ns(stamp);
    *out = info;
    return 0;
}
