/* SPDX-License-Identifier: Apache-2.0 */
/* block_pin.c - what is said about a block: find it, pin it, share it, bring it. See core.h, object_state.h. */
#include <errno.h>

#include "base/cancel_guard.h"
#include "engine/core.h"
#include "engine/mover.h"
#include "engine/object_state.h"
#include "engine/refusal.h"
#include "engine/restore.h"
#include "ledger/state.h"

static int find_small(uint64_t address, uint32_t first, struct block_info *out)
{
    const struct block *block = &core.blocks.block[first];
    struct cell cell;
    uint64_t base;

    if (!bin_find(first, address, &base, &cell))
        return -ENOENT;
    *out = (struct block_info){
        .base = base,
        .bytes = cell.bytes,
        .ordinal = block->ordinal,
        .id = cell.id,
        .context = block->context,
        .call_site = cell.call_site,
        .offset = base - granule_address(&core.blocks, first),
        .shared_bytes = block->granules * GRANULE_BYTES,
    };
    return 0;
}

static struct block_info info_of(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return (struct block_info){
        .base = granule_address(&core.blocks, first),
        .bytes = block->bytes,
        .ordinal = block->ordinal,
        .id = block->id,
        .context = block->context,
        .call_site = block->call_site,
        .is_handle = block->is_handle,
        .shared_bytes = block->granules * GRANULE_BYTES,
    };
}

int core_find(uint64_t address, struct block_info *out)
{
    const struct block *block;
    uint32_t first;

    if (object_at(address, &first) < 0)
        return -ENOENT;
    block = &core.blocks.block[first];
    if (block->is_bin)
        return find_small(address, first, out);
    if (address - granule_address(&core.blocks, first) >= block->bytes)
        return -ENOENT;
    *out = info_of(first);
    return 0;
}

int core_find_block(uint64_t address, struct block_info *out)
{
    uint32_t first;

    if (object_at(address, &first) < 0)
        return -ENOENT;
    *out = info_of(first);
    return 0;
}

/* One pin more of what lies at an address: an allocation that shares its block has its own count of them. */
static int pin_count(uint64_t address, uint32_t first, enum pin_reason reason)
{
    struct block *block = &core.blocks.block[first];
    int error = 0;

    lock_acquire(&core.lock);
    if (block->is_bin && !bin_pin(first, address, reason))
        error = -ENOENT;
    if (!error) {
        block->pins[reason] += block->pins[reason] < UINT16_MAX;
        share_update(first);
    }
    lock_release(&core.lock);
    return error;
}

/* Nothing moves any more, and the device reaches the block where it is: there it stays, as a graph wants it to. */
static bool stays_anyway(uint32_t first, enum pin_reason reason)
{
    return reason == PIN_GRAPH && atomic_load(&core.account_only) &&
           !(owner_entry(&core.blocks, first) & OWNER_GONE);
}

static int pin_and_bring(uint64_t address, uint32_t first, enum pin_reason reason)
{
    int error;

    mover_take();
    error = pin_count(address, first, reason);
    if (error) {
        mover_give();
        return error;
    }
    if (reason == PIN_REFERENCED)
        error = owner_entry(&core.blocks, first) & OWNER_GONE ? restore_blocks(&first, 1) : 0;
    else
        error = restore_block(first);
    if (error < 0 && stays_anyway(first, reason))
        error = 0;
    if (error < 0)
        core_unpin(address, reason);
    mover_give();
    return error < 0 ? -ENOMEM : 0;
}

/* The program is told that there is no memory, and gets the line that says why, as for an allocation. Not of a texture, whose block
 * may stay where it is instead. */
static void refused(uint64_t address, enum pin_reason reason)
{
    static const char *const what[PIN_REASON_COUNT] = {[PIN_EXPORTED] = "export",
                                                       [PIN_REGISTERED] = "registration",
                                                       [PIN_GRAPH] = "place in a graph",
                                                       [PIN_REFERENCED] = "texture"};
    struct block_info info;

    if (what[reason] && core_find(address, &info) == 0)
        refusal_device(info.ordinal, info.shared_bytes, what[reason]);
}

int core_pin(uint64_t address, enum pin_reason reason)
{
    struct cancel_guard guard;
    uint32_t first;
    int error = object_at(address, &first);

    if (error < 0)
        return error;
    cancel_guard_enter(&guard);
    error = pin_and_bring(address, first, reason);
    if (error == -ENOMEM)
        refused(address, reason);
    cancel_guard_leave(&guard);
    return error;
}

void core_unpin(uint64_t address, enum pin_reason reason)
{
    uint16_t *pins;
    uint32_t first;

    if (object_at(address, &first) < 0)
        return;
    lock_acquire(&core.lock);
    pins = &core.blocks.block[first].pins[reason];
    if (core.blocks.block[first].is_bin && !bin_unpin(first, address, reason))
        pins = NULL;
    if (pins &&
        *pins < UINT16_MAX) /* a count that is full has lost its number: pinned for good is the safe side */
        *pins -= *pins > 0;
    share_update(first);
    lock_release(&core.lock);
}

int core_share(uint64_t address, unsigned index, uint64_t *out_bytes, int *out_fd)
{
    uint64_t handle = 0, bytes = 0;
    uint32_t first, at = 0;
    int error = object_at(address, &first);

    if (error < 0)
        return error;
    lock_acquire(&core.lock);
    chunks_each(g, &core.blocks, first)
        if (at++ == index && block_alive(&core.blocks.block[first])) {
            handle = core.blocks.chunk[g].handle;
            bytes = chunk_bytes(&core.blocks.chunk[g]);
        }
    lock_release(&core.lock);
    if (!handle)
        return -ENOENT;
    error = core.device->share ? core.device->share(core.device, handle, out_fd) : -ENOTSUP;
    if (!error)
        *out_bytes = bytes;
    return error;
}

void object_hold(uint32_t first)
{
    atomic_fetch_add(&core.blocks.block[first].launch_pins, 1);
}

void object_let_go(uint32_t first)
{
    atomic_fetch_sub(&core.blocks.block[first].launch_pins, 1);
    core_tell_change();
}

int object_bring(uint32_t first)
{
    struct object *object = &core.blocks.object[first];
    int error;

    object_hold(first);
    object->flags |= OBJECT_KEEP;
    error = restore_block(first);
    object->flags &= (uint8_t)~OBJECT_KEEP;
    object_let_go(first);
    return error;
}
