/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - see check.h. */
#include "engine/check.h"

#include <stdarg.h>

#include "base/log.h"
#include "ledger/busy.h"

static char sentence[200];
static bool holds;

/* The first thing that does not hold is told. */
static void __attribute__((format(printf, 2, 3))) expect(bool condition, const char *format, ...)
{
    va_list args;

    if (condition || !holds)
        return;
    holds = false;
    va_start(args, format);
    log_format(sentence, sizeof(sentence), format, args);
    va_end(args);
}

static bool is_here(const struct chunk *chunk)
{
    return chunk->state == CHUNK_RESIDENT || chunk->state == CHUNK_LEAVING;
}

/* A chunk has what its state says, and nothing else. */
static void check_chunk(uint32_t first, uint32_t granule)
{
    const struct block *block = &core.blocks.block[first];
    const struct chunk *chunk = &core.blocks.chunk[granule];
    unsigned state = chunk->state;

    expect(state < CHUNK_STATE_COUNT && state != CHUNK_IDLE &&
               (state != CHUNK_NONE || block->flags & BLOCK_DEAD),
           "chunk %u is in state %u", granule, state);
    expect((chunk->handle != 0) == is_here(chunk), "chunk %u of state %u: handle %llu", granule, state,
           (unsigned long long)chunk->handle);
    if (state == CHUNK_HOST || state == CHUNK_SPILLING || state == CHUNK_UNMAPPING || state == CHUNK_BROKEN)
        expect(chunk->slab, "chunk %u of state %u has no slab", granule, state);
    if (state == CHUNK_DISK || (state == CHUNK_RESIDENT && !chunk->copied))
        expect(!chunk->slab, "chunk %u of state %u has a slab", granule, state);
    expect(state != CHUNK_DISK || chunk->slot != SLOT_NONE || block_reloadable(&core.blocks, first),
           "chunk %u on disk has no slot", granule);
    expect(!chunk->mapped || state == CHUNK_HOST || state == CHUNK_RETURNING || state == CHUNK_UNMAPPING,
           "chunk %u of state %u: mapped", granule, state);
    expect(!chunk->copied || (is_here(chunk) && block->flags & BLOCK_REGISTERED &&
                              (chunk->slab || chunk->slot != SLOT_NONE)),
           "chunk %u of state %u: copied", granule, state);
}

static void add_chunk(uint32_t first, const struct chunk *chunk, struct core_sums *sums)
{
    const struct block *block = &core.blocks.block[first];
    uint64_t bytes = chunk_bytes(chunk);

    if (chunk->state == CHUNK_NONE)
        return;
    sums->slab_bytes += chunk->slab ? bytes : 0;
    sums->slot_bytes += chunk->slot != SLOT_NONE ? bytes : 0;
    if (is_here(chunk)) {
        sums->resident_bytes[block->ordinal] += bytes;
        if (block->share != SHARE_OPERATION)
            sums->share_bytes[block->ordinal][block->share] += bytes;
    } else {
        sums->away_bytes[block->ordinal] += bytes;
        sums->unproven += !chunk->mapped && !(block->flags & BLOCK_REGISTERED);
    }
}

/* The owner entries tell the launch path what it has to know. A copy that is void may be told of, too. */
static void check_entries(uint32_t first, uint32_t copies)
{
    const struct block *block = &core.blocks.block[first];
    uint32_t flags = copies && !block->pins[PIN_API] ? OWNER_COPIED : 0;

    chunks_each(g, &core.blocks, first)
        if (!is_here(&core.blocks.chunk[g]))
            flags |= core.blocks.chunk[g].mapped ? OWNER_AWAY : OWNER_AWAY | OWNER_GONE;
    for (uint32_t i = 0; i < block->granules; i++) {
        uint32_t entry = owner_at(&core.blocks, first + i);

        expect(entry == ((first + 1) | flags | (entry & OWNER_COPIED)),
               "block %u: the owner entry of granule %u does not fit its chunks", first, i);
    }
}

/* A block counts where it belongs, and is in the queue that goes with it. */
static void check_share(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    enum share share = block->pins[PIN_API]              ? SHARE_OPERATION
                       : block_pinned(block)             ? SHARE_FIXED
                       : block->flags & BLOCK_REGISTERED ? SHARE_BUFFER
                                                         : SHARE_LOOSE;

    expect(block->share == share, "block %u counts as %u, not %u", first, block->share, share);
    expect(core.blocks.object[first].entry.queue == (share == SHARE_OPERATION ? QUEUE_OPERATIONS
                                                     : share == SHARE_BUFFER  ? QUEUE_BUFFERS
                                                                              : QUEUE_NONE),
           "block %u is in queue %u", first, core.blocks.object[first].entry.queue);
}

static void check_block(uint32_t first, struct core_sums *sums)
{
    const struct block *block = &core.blocks.block[first];
    uint32_t copies = 0;

    sums->alive++;
    sums->granules += block->granules;
    if (block->share == SHARE_OPERATION)
        sums->share_bytes[block->ordinal][SHARE_OPERATION] += block->granules * GRANULE_BYTES;
    chunks_each(g, &core.blocks, first) {
        check_chunk(first, g);
        add_chunk(first, &core.blocks.chunk[g], sums);
        copies += core.blocks.chunk[g].copied;
    }
    expect(core.blocks.object[first].copies == copies, "block %u: %u copies, %u found", first,
           core.blocks.object[first].copies, copies);
    if (!block_alive(block))
        return;
    expect(atomic_load(&core.blocks.stamp[first]) != 0, "block %u has no stamp", first);
    check_share(first);
    check_entries(first, copies);
}

static uint64_t idle_items(const struct recycler *recycler)
{
    uint64_t bytes = 0;

    for (unsigned class = 1; class <= RECYCLER_CLASSES; class ++)
        bytes += recycler->idle_count[class] * class * GRANULE_BYTES;
    return bytes;
}

/* Freed blocks that are still mapped, and idle handles. */
static void check_idle(unsigned ordinal, struct core_sums *sums)
{
    const struct device_state *device = &core.devices[ordinal];

    for (unsigned granules = 1; granules <= RECYCLER_CLASSES; granules++)
        for (unsigned i = 0; i < device->idle_blocks.count[granules]; i++) {
            uint32_t first = device->idle_blocks.first[granules][i];

            sums->granules += granules;
            sums->idle_bytes[ordinal] += granules * GRANULE_BYTES;
            for (uint32_t g = first; g < first + granules; g += core.blocks.chunk[g].granules)
                expect(core.blocks.chunk[g].state == CHUNK_IDLE, "idle chunk %u is in state %u", g,
                       core.blocks.chunk[g].state);
        }
    sums->idle_bytes[ordinal] += idle_items(&device->handles);
}

static void check_device(unsigned ordinal, struct core_sums *sums)
{
    const struct device_state *device = &core.devices[ordinal];
    const struct budget *budget = &device->budget;

    check_idle(ordinal, sums);
    expect(budget->class_bytes[CLASS_BLOCK] >= sums->resident_bytes[ordinal],
           "device %u: %llu bytes charged, %llu resident", ordinal,
           (unsigned long long)budget->class_bytes[CLASS_BLOCK],
           (unsigned long long)sums->resident_bytes[ordinal]);
    for (unsigned share = SHARE_FIXED; share < SHARE_COUNT; share++)
        expect(device->shares.bytes[share] == sums->share_bytes[ordinal][share],
               "device %u: %llu bytes in share %u, %llu found", ordinal,
               (unsigned long long)device->shares.bytes[share], share,
               (unsigned long long)sums->share_bytes[ordinal][share]);
    expect(budget->idle_bytes == sums->idle_bytes[ordinal], "device %u: %llu bytes idle, %llu found", ordinal,
           (unsigned long long)budget->idle_bytes, (unsigned long long)sums->idle_bytes[ordinal]);
    expect(!core_places() || !budget->idle_bytes, "device %u: freed memory is kept", ordinal);
    expect(device->away_bytes == sums->away_bytes[ordinal], "device %u: %llu bytes away, %llu found", ordinal,
           (unsigned long long)device->away_bytes, (unsigned long long)sums->away_bytes[ordinal]);
}

const char *core_check_locked(struct core_sums *out)
{
    const struct budget *budget = &core.host_budget;

    *out = (struct core_sums){0};
    holds = true;
    if (!core_active())
        return NULL;
    blocks_each(first, &core.blocks)
        check_block(first, out);
    for (unsigned i = 0; i < core.device->count; i++)
        check_device(i, out);
    out->idle_slab_bytes = idle_items(&core.slabs);
    expect(budget->class_bytes[HOST_TIER] >= out->slab_bytes, "host: %llu bytes charged, %llu in slabs",
           (unsigned long long)budget->class_bytes[HOST_TIER], (unsigned long long)out->slab_bytes);
    expect(budget->idle_bytes == out->idle_slab_bytes, "host: %llu bytes idle, %llu found",
           (unsigned long long)budget->idle_bytes, (unsigned long long)out->idle_slab_bytes);
    expect(core.away_unproven == out->unproven, "away_unproven is %u, found %u", core.away_unproven,
           out->unproven);
    expect(core.blocks.alive == out->alive, "%u blocks alive, %u found", core.blocks.alive, out->alive);
    expect(core_places() || core.blocks.arena.taken >= out->granules,
           "%u granules of address taken, %u found", core.blocks.arena.taken, out->granules);
    return holds ? NULL : sentence;
}

const char *core_check(void)
{
    struct core_sums sums;
    const char *broken;

    lock_acquire(&core.lock);
    broken = core_check_locked(&sums);
    lock_release(&core.lock);
    return broken;
}

void core_check_move(void)
{
    const char *broken = core.options->check ? core_check() : NULL;

    if (broken)
        log_line(LOG_ERROR, "check: %s", broken);
}
