/* SPDX-License-Identifier: Apache-2.0 */
#include "invariants.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ledger/state.h"

/* What is summed on the way, and the first thing found wrong. */
struct audit {
    struct fake_device *fake;
    char *broken;
    bool holds;
    uint64_t resident_bytes[DEVICE_MAX], idle_bytes[DEVICE_MAX], away_bytes[DEVICE_MAX];
    uint64_t share_bytes[DEVICE_MAX][SHARE_COUNT];
    uint64_t host_buffer_bytes; /* of registered blocks in host memory, and not on their device */
    uint64_t slab_bytes, slot_bytes, unproven, maps;
    uint32_t alive, granules;
    /* every handle, slab and granule of a slot seen so far */
    uint64_t *seen;
    size_t seen_count, seen_room;
};

static void __attribute__((format(printf, 3, 4)))
expect(struct audit *audit, bool condition, const char *format, ...)
{
    va_list args;

    if (condition || !audit->holds)
        return;
    audit->holds = false;
    va_start(args, format);
    vsnprintf(audit->broken, INVARIANT_TEXT_BYTES, format, args);
    va_end(args);
}

static void see(struct audit *audit, uint64_t thing)
{
    if (audit->seen_count == audit->seen_room) {
        audit->seen_room = audit->seen_room ? 2 * audit->seen_room : 1024;
        audit->seen = realloc(audit->seen, audit->seen_room * sizeof(*audit->seen));
        if (!audit->seen)
            abort();
    }
    audit->seen[audit->seen_count++] = thing;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* Handles are small numbers, slabs are pointers, slots get the top bit. */
static void audit_shared(struct audit *audit)
{
    if (audit->seen_count > 1)
        qsort(audit->seen, audit->seen_count, sizeof(*audit->seen), compare);
    for (size_t i = 1; i < audit->seen_count; i++)
        expect(audit, audit->seen[i] != audit->seen[i - 1], "%llx serves twice",
               (unsigned long long)audit->seen[i]);
}

static void audit_slot(struct audit *audit, const struct chunk *chunk)
{
    if (chunk->slot == SLOT_NONE)
        return;
    audit->slot_bytes += chunk_bytes(chunk);
    for (uint32_t i = 0; i < chunk->granules; i++)
        see(audit, (chunk->slot + i * GRANULE_BYTES) | UINT64_C(1) << 63);
}

/* What a chunk has, and nothing else. */
static void audit_chunk(struct audit *audit, uint32_t first, uint32_t granule)
{
    const struct block *block = &core.blocks.block[first];
    const struct chunk *chunk = &core.blocks.chunk[granule];
    uint64_t bytes = chunk_bytes(chunk), address = granule_address(&core.blocks, granule);
    bool resident = chunk->state == CHUNK_RESIDENT, host = chunk->state == CHUNK_HOST;
    bool disk = chunk->state == CHUNK_DISK, reachable = resident || (host && chunk->mapped);

    expect(audit, resident || host || disk, "chunk %u rests in state %u", granule, chunk->state);
    expect(audit, (chunk->handle != 0) == resident, "chunk %u of state %u: handle %llu", granule,
           chunk->state, (unsigned long long)chunk->handle);
    expect(audit, (chunk->slab != NULL) == host || (resident && chunk->copied), "chunk %u of state %u: slab",
           granule, chunk->state);
    expect(audit,
           !chunk->copied ||
               (resident && block->flags & BLOCK_REGISTERED && (chunk->slab || chunk->slot != SLOT_NONE)),
           "chunk %u of state %u: copied", granule, chunk->state);
    expect(audit, host || !chunk->mapped, "chunk %u of state %u: mapped", granule, chunk->state);
    expect(audit, !disk || chunk->slot != SLOT_NONE || block_reloadable(&core.blocks, first),
           "chunk %u on disk has no slot", granule);
    expect(audit, fake_reachable(audit->fake, block->ordinal, address, bytes) == reachable,
           "chunk %u of state %u: reachable %d", granule, chunk->state, !reachable);
    expect(audit, !reachable || fake_is_host(audit->fake, address) == host, "chunk %u is in the wrong memory",
           granule);
    audit->maps += reachable;
    if (resident)
        audit->resident_bytes[block->ordinal] += bytes;
    else
        audit->away_bytes[block->ordinal] += bytes;
    if (chunk->slab)
        audit->slab_bytes += bytes;
    if (host && block->flags & BLOCK_REGISTERED)
        audit->host_buffer_bytes += bytes;
    if (!reachable && !(block->flags & BLOCK_REGISTERED))
        audit->unproven++;
    if (chunk->handle)
        see(audit, chunk->handle);
    if (chunk->slab)
        see(audit, (uintptr_t)chunk->slab);
    audit_slot(audit, chunk);
}

static uint32_t flags_of(uint32_t first)
{
    uint32_t flags = 0;
    bool copied = false;

    chunks_each(g, &core.blocks, first) {
        const struct chunk *chunk = &core.blocks.chunk[g];

        if (chunk->state == CHUNK_HOST && chunk->mapped)
            flags |= OWNER_AWAY;
        else if (chunk->state != CHUNK_RESIDENT)
            flags |= OWNER_AWAY | OWNER_GONE;
        copied = copied || chunk->copied;
    }
    return copied && !core.blocks.block[first].pins[PIN_API] ? flags | OWNER_COPIED : flags;
}

/* Each block counts where it belongs, and is in the queue that goes with it. */
static void audit_share(struct audit *audit, uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    bool pinned = block->flags & BLOCK_FIXED, named = block->flags & BLOCK_REGISTERED;
    enum share share;
    uint32_t copies = 0;

    for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
        pinned = pinned || (block->pins[reason] && reason != PIN_REFERENCED);
    share = block->pins[PIN_API] ? SHARE_OPERATION
            : pinned             ? SHARE_FIXED
            : named              ? SHARE_BUFFER
                                 : SHARE_LOOSE;
    expect(audit, block->share == share, "block %u counts as %u, not %u", first, block->share, share);
    expect(audit,
           core.blocks.object[first].entry.queue == (share == SHARE_OPERATION ? QUEUE_OPERATIONS
                                                     : share == SHARE_BUFFER  ? QUEUE_BUFFERS
                                                                              : QUEUE_NONE),
           "block %u is in queue %u", first, core.blocks.object[first].entry.queue);
    if (share == SHARE_OPERATION)
        audit->share_bytes[block->ordinal][share] += block->granules * GRANULE_BYTES;
    chunks_each(g, &core.blocks, first) {
        copies += core.blocks.chunk[g].copied;
        if (share != SHARE_OPERATION && core.blocks.chunk[g].state == CHUNK_RESIDENT)
            audit->share_bytes[block->ordinal][share] += chunk_bytes(&core.blocks.chunk[g]);
    }
    expect(audit, core.blocks.object[first].copies == copies, "block %u: %u copies, %u found", first,
           core.blocks.object[first].copies, copies);
}

static void audit_block(struct audit *audit, uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    audit->alive++;
    audit->granules += block->granules;
    expect(audit, !(block->flags & BLOCK_DEAD), "block %u is dead and not given back", first);
    expect(audit, atomic_load(&block->launch_pins) == 0, "block %u has %u launch pins", first,
           atomic_load(&block->launch_pins));
    expect(audit, atomic_load(&core.blocks.stamp[first]) != 0, "block %u has no stamp", first);
    for (uint32_t i = 0; i < block->granules; i++)
        expect(audit, atomic_load(&core.blocks.owner[first + i]) == ((first + 1) | flags_of(first)),
               "block %u: the owner entry of granule %u does not fit its chunks", first, i);
    chunks_each(g, &core.blocks, first)
        audit_chunk(audit, first, g);
    audit_share(audit, first);
}

/* Freed blocks that are still mapped, and idle handles. */
static void audit_idle(struct audit *audit, unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];

    for (unsigned granules = 1; granules <= RECYCLER_CLASSES; granules++)
        for (unsigned i = 0; i < device->idle_blocks.count[granules]; i++) {
            uint32_t first = device->idle_blocks.first[granules][i];

            audit->granules += granules;
            for (uint32_t g = first; g < first + granules; g += core.blocks.chunk[g].granules) {
                expect(audit, core.blocks.chunk[g].state == CHUNK_IDLE, "idle chunk %u is in state %u", g,
                       core.blocks.chunk[g].state);
                see(audit, core.blocks.chunk[g].handle);
                audit->idle_bytes[ordinal] += chunk_bytes(&core.blocks.chunk[g]);
                audit->maps++;
            }
        }
    for (unsigned class = 1; class <= RECYCLER_CLASSES; class ++)
        for (unsigned i = 0; i < device->handles.idle_count[class]; i++) {
            see(audit, device->handles.idle[class][i]);
            audit->idle_bytes[ordinal] += class * GRANULE_BYTES;
        }
}

static void audit_device(struct audit *audit, unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    const struct budget *budget = &device->budget;

    audit_idle(audit, ordinal);
    expect(audit, budget->class_bytes[CLASS_BLOCK] == audit->resident_bytes[ordinal],
           "device %u: %llu bytes charged, %llu resident", ordinal,
           (unsigned long long)budget->class_bytes[CLASS_BLOCK],
           (unsigned long long)audit->resident_bytes[ordinal]);
    for (unsigned share = SHARE_FIXED; share < SHARE_COUNT; share++)
        expect(audit, device->shares.bytes[share] == audit->share_bytes[ordinal][share],
               "device %u: %llu bytes in area %u, %llu found", ordinal,
               (unsigned long long)device->shares.bytes[share], share,
               (unsigned long long)audit->share_bytes[ordinal][share]);
    expect(audit, budget->idle_bytes == audit->idle_bytes[ordinal], "device %u: %llu bytes idle, %llu found",
           ordinal, (unsigned long long)budget->idle_bytes, (unsigned long long)audit->idle_bytes[ordinal]);
    expect(audit, !core_places() || !budget->idle_bytes, "device %u: freed memory is kept", ordinal);
    expect(audit, device->away_bytes == audit->away_bytes[ordinal], "device %u: %llu bytes away, %llu found",
           ordinal, (unsigned long long)device->away_bytes, (unsigned long long)audit->away_bytes[ordinal]);
    expect(audit, !device->ready || budget->peak_bytes <= device->configured_bytes,
           "device %u: the peak of %llu bytes is above the budget", ordinal,
           (unsigned long long)budget->peak_bytes);
    expect(audit,
           audit->fake->used_bytes[ordinal] == budget->class_bytes[CLASS_BLOCK] + audit->idle_bytes[ordinal],
           "device %u: the driver gave %llu bytes", ordinal,
           (unsigned long long)audit->fake->used_bytes[ordinal]);
}

static void audit_host(struct audit *audit)
{
    const struct budget *budget = &core.host_budget;
    uint64_t idle_bytes = 0;

    for (unsigned class = 1; class <= RECYCLER_CLASSES; class ++)
        for (unsigned i = 0; i < core.slabs.idle_count[class]; i++) {
            see(audit, core.slabs.idle[class][i]);
            idle_bytes += class * GRANULE_BYTES;
        }
    expect(audit, budget->class_bytes[HOST_TIER] == audit->slab_bytes,
           "host: %llu bytes charged, %llu in slabs", (unsigned long long)budget->class_bytes[HOST_TIER],
           (unsigned long long)audit->slab_bytes);
    expect(audit, core.host_share.books.bytes[SHARE_BUFFER] == audit->host_buffer_bytes,
           "host: %llu bytes of buffers, %llu found",
           (unsigned long long)core.host_share.books.bytes[SHARE_BUFFER],
           (unsigned long long)audit->host_buffer_bytes);
    expect(audit, !host_share_over(0) || core.host_share.stuck_bytes, "host: buffers are over their maximum");
    expect(audit, budget->idle_bytes == idle_bytes, "host: %llu bytes idle, %llu found",
           (unsigned long long)budget->idle_bytes, (unsigned long long)idle_bytes);
    expect(audit, budget->peak_bytes <= budget->limit_bytes, "host: the peak is above the budget");
    expect(audit, audit->fake->host_used_bytes == audit->slab_bytes + idle_bytes,
           "host: the driver gave %llu bytes", (unsigned long long)audit->fake->host_used_bytes);
}

bool invariants_hold(struct fake_device *fake, char broken[INVARIANT_TEXT_BYTES])
{
    struct audit audit = {.fake = fake, .broken = broken, .holds = true};

    blocks_each(g, &core.blocks)
        audit_block(&audit, g);
    for (unsigned i = 0; i < fake->device.count; i++)
        audit_device(&audit, i);
    audit_host(&audit);
    audit_shared(&audit);
    free(audit.seen);
    expect(&audit, core.disk.used_bytes == audit.slot_bytes, "disk: %llu bytes taken, %llu in slots",
           (unsigned long long)core.disk.used_bytes, (unsigned long long)audit.slot_bytes);
    expect(&audit, core.away_unproven == audit.unproven, "away_unproven is %u, found %llu",
           core.away_unproven, (unsigned long long)audit.unproven);
    expect(&audit, core.blocks.alive == audit.alive, "%u blocks alive, %u found", core.blocks.alive,
           audit.alive);
    uint64_t taken = core_places() ? fake->placed_bytes / GRANULE_BYTES : core.blocks.arena.taken;

    expect(&audit, taken == audit.granules, "%llu granules of address taken, %u found",
           (unsigned long long)taken, audit.granules);
    expect(&audit, fake->live_maps == audit.maps, "%llu maps, %llu accounted for",
           (unsigned long long)fake->live_maps, (unsigned long long)audit.maps);
    expect(&audit, core.pins_all == 0 && core.role_next == core.role_now, "someone is inside the core");
    return audit.holds;
}
