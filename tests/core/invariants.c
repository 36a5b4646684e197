/* SPDX-License-Identifier: Apache-2.0 */
#include "invariants.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/core.h"

/* What is summed on the way, and the first thing found wrong. */
struct audit {
    struct fake_device *fake;
    char *broken;
    bool holds;
    struct core_sums sums;
    uint64_t host_buffer_bytes; /* of registered blocks in host memory, and not on their device */
    uint64_t maps;
    uint64_t kinds_host_bytes, kinds_disk_bytes; /* copies included */
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
    for (uint32_t i = 0; i < chunk->granules; i++)
        see(audit, (chunk->slot + i * GRANULE_BYTES) | UINT64_C(1) << 63);
}

/* A chunk rests, and the device has mapped what its state says. */
static void audit_chunk(struct audit *audit, uint32_t first, uint32_t granule)
{
    const struct block *block = &core.blocks.block[first];
    const struct chunk *chunk = &core.blocks.chunk[granule];
    uint64_t bytes = chunk_bytes(chunk), address = granule_address(&core.blocks, granule);
    bool resident = chunk->state == CHUNK_RESIDENT, host = chunk->state == CHUNK_HOST;
    bool reachable = resident || (host && chunk->mapped);

    expect(audit, resident || host || chunk->state == CHUNK_DISK, "chunk %u rests in state %u", granule,
           chunk->state);
    expect(audit, fake_reachable(audit->fake, block->ordinal, address, bytes) == reachable,
           "chunk %u of state %u: reachable %d", granule, chunk->state, !reachable);
    expect(audit, !reachable || fake_is_host(audit->fake, address) == host, "chunk %u is in the wrong memory",
           granule);
    audit->maps += reachable;
    if (host && block->flags & BLOCK_REGISTERED)
        audit->host_buffer_bytes += bytes;
    if (chunk->handle)
        see(audit, chunk->handle);
    if (chunk->slab)
        see(audit, (uintptr_t)chunk->slab);
    audit_slot(audit, chunk);
}

static void audit_block(struct audit *audit, uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    bool copied = core.blocks.object[first].copies && !block->pins[PIN_API];

    expect(audit, !(block->flags & BLOCK_DEAD), "block %u is dead and not given back", first);
    expect(audit, atomic_load(&block->launch_pins) == 0, "block %u has %u launch pins", first,
           atomic_load(&block->launch_pins));
    expect(audit, !(owner_at(&core.blocks, first) & OWNER_COPIED) == !copied,
           "block %u: what launches are told of its copies", first);
    chunks_each(g, &core.blocks, first)
        audit_chunk(audit, first, g);
}

/* Freed blocks that are still mapped, and idle handles. */
static void audit_idle(struct audit *audit, unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];

    for (unsigned granules = 1; granules <= IDLE_GRANULES_MAX; granules++)
        for (unsigned i = 0; i < device->idle_blocks.count[granules]; i++) {
            uint32_t first = device->idle_blocks.first[granules][i];

            for (uint32_t g = first; g < first + granules; g += core.blocks.chunk[g].granules) {
                see(audit, core.blocks.chunk[g].handle);
                audit->maps++;
            }
        }
    for (unsigned class = 1; class <= RECYCLER_CLASSES; class ++)
        for (const struct recycler_idle *idle = device->handles.idle[class]; idle; idle = idle->next)
            see(audit, idle->item);
}

static void audit_device(struct audit *audit, unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    const struct budget *budget = &device->budget;

    audit_idle(audit, ordinal);
    expect(audit, budget->class_bytes[CLASS_BLOCK] == audit->sums.resident_bytes[ordinal],
           "device %u: %llu bytes charged, %llu resident", ordinal,
           (unsigned long long)budget->class_bytes[CLASS_BLOCK],
           (unsigned long long)audit->sums.resident_bytes[ordinal]);
    expect(audit, !device->ready || budget->peak_bytes <= device->configured_bytes,
           "device %u: the peak of %llu bytes is above the budget", ordinal,
           (unsigned long long)budget->peak_bytes);
    expect(audit, audit->fake->used_bytes[ordinal] == budget->class_bytes[CLASS_BLOCK] + budget->idle_bytes,
           "device %u: the driver gave %llu bytes", ordinal,
           (unsigned long long)audit->fake->used_bytes[ordinal]);
}

/* The kinds of a device are all that it holds, and what leaves and stays of each is all of it there. */
static void audit_kinds(struct audit *audit, unsigned ordinal)
{
    struct kinds kinds;
    uint64_t sum = 0;

    core_kinds(ordinal, &kinds);
    for (enum kind kind = KIND_BLOCK; kind < KIND_COUNT; kind++) {
        const struct kind_figures *of = &kinds.of[kind];
        uint64_t here = of->leaves.bytes, places = of->device_bytes + of->host_bytes + of->disk_bytes;

        for (unsigned why = 0; why < STAY_COUNT; why++)
            here += of->stays[why].bytes;
        expect(audit, here == of->device_bytes, "device %u: %llu bytes of %s, %llu with and without a reason",
               ordinal, (unsigned long long)of->device_bytes, kind_key[kind], (unsigned long long)here);
        expect(audit, kind >= KIND_NATIVE || places + of->dropped_bytes == of->tally.bytes,
               "device %u: %llu bytes of %s, %llu found", ordinal, (unsigned long long)of->tally.bytes,
               kind_key[kind], (unsigned long long)(places + of->dropped_bytes));
        audit->kinds_host_bytes += of->host_bytes + of->host_copy_bytes;
        audit->kinds_disk_bytes += of->disk_bytes + of->disk_copy_bytes;
        sum += of->device_bytes;
    }
    expect(audit, sum == kinds.budget.used_bytes, "device %u: %llu bytes used, %llu by kind", ordinal,
           (unsigned long long)kinds.budget.used_bytes, (unsigned long long)sum);
}

static void audit_host(struct audit *audit)
{
    const struct budget *budget = &core.host_budget;

    for (unsigned class = 1; class <= RECYCLER_CLASSES; class ++)
        for (const struct recycler_idle *idle = core.slabs.idle[class]; idle; idle = idle->next)
            see(audit, idle->item);
    expect(audit, budget->class_bytes[HOST_TIER] == audit->sums.slab_bytes,
           "host: %llu bytes charged, %llu in slabs", (unsigned long long)budget->class_bytes[HOST_TIER],
           (unsigned long long)audit->sums.slab_bytes);
    expect(audit, core.host_share.books.bytes[SHARE_BUFFER] == audit->host_buffer_bytes,
           "host: %llu bytes of buffers, %llu found",
           (unsigned long long)core.host_share.books.bytes[SHARE_BUFFER],
           (unsigned long long)audit->host_buffer_bytes);
    expect(audit, !host_share_over(0) || core.host_share.stuck_bytes, "host: buffers are over their maximum");
    expect(audit, budget->peak_bytes <= budget->limit_bytes, "host: the peak is above the budget");
    expect(audit, audit->fake->host_used_bytes == audit->sums.slab_bytes + budget->idle_bytes,
           "host: the driver gave %llu bytes", (unsigned long long)audit->fake->host_used_bytes);
}

bool invariants_hold(struct fake_device *fake, char broken[INVARIANT_TEXT_BYTES])
{
    struct audit audit = {.fake = fake, .broken = broken, .holds = true};
    const char *unsound;

    lock_acquire(&core.lock);
    unsound = core_check_locked(&audit.sums);
    lock_release(&core.lock);
    expect(&audit, !unsound, "%s", unsound ? unsound : "");
    blocks_each(g, &core.blocks)
        audit_block(&audit, g);
    for (unsigned i = 0; i < fake->device.count; i++) {
        audit_device(&audit, i);
        audit_kinds(&audit, i);
    }
    expect(&audit, audit.kinds_host_bytes == audit.sums.slab_bytes, "%llu bytes in slabs, %llu by kind",
           (unsigned long long)audit.sums.slab_bytes, (unsigned long long)audit.kinds_host_bytes);
    expect(&audit, audit.kinds_disk_bytes == audit.sums.slot_bytes, "%llu bytes in slots, %llu by kind",
           (unsigned long long)audit.sums.slot_bytes, (unsigned long long)audit.kinds_disk_bytes);
    audit_host(&audit);
    audit_shared(&audit);
    free(audit.seen);
    expect(&audit, core.disk.used_bytes == audit.sums.slot_bytes, "disk: %llu bytes taken, %llu in slots",
           (unsigned long long)core.disk.used_bytes, (unsigned long long)audit.sums.slot_bytes);
    uint64_t taken = core_places() ? fake->placed_bytes / GRANULE_BYTES : core.blocks.arena.taken;

    expect(&audit, taken == audit.sums.granules + core.blocks.lent,
           "%llu granules of address taken, %u found, %u lent", (unsigned long long)taken,
           audit.sums.granules, core.blocks.lent);
    expect(&audit, fake->live_maps == audit.maps, "%llu maps, %llu accounted for",
           (unsigned long long)fake->live_maps, (unsigned long long)audit.maps);
    expect(&audit, core.pins_all == 0 && core.role_next == core.role_now, "someone is inside the core");
    return audit.holds;
}
