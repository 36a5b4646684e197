/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.c - see kinds.h. */
#include "ledger/kinds.h"

#include <string.h>

#include "ledger/busy.h"
#include "ledger/managed_range.h"
#include "ledger/state.h"

enum kind kind_of_class(enum device_class class)
{
    static const uint8_t kinds[CLASS_COUNT] = {
        [CLASS_BLOCK] = KIND_BLOCK, [CLASS_NATIVE] = KIND_NATIVE,    [CLASS_MANAGED] = KIND_MANAGED,
        [CLASS_POOL] = KIND_POOL,   [CLASS_ARRAY] = KIND_ARRAY,      [CLASS_VMM] = KIND_VMM,
        [CLASS_GRAPH] = KIND_GRAPH, [CLASS_RESERVED] = KIND_RESERVED};

    return (enum kind)kinds[class];
}

/* ---- counted ----------------------------------------------------------------------------------------------------- */

static struct kind_tally *tally_of(const struct block *block)
{
    return &core.devices[block->ordinal].kinds.of[kind_of_block(block)];
}

static void raise(uint64_t *peak, uint64_t now)
{
    if (*peak < now)
        *peak = now;
}

void kind_block_made(const struct block *block)
{
    struct kind_tally *tally = tally_of(block);

    tally->total++;
    raise(&tally->peak_count, ++tally->count);
    tally->bytes += block->granules * GRANULE_BYTES;
    raise(&tally->peak_bytes, tally->bytes);
}

void kind_block_freed(const struct block *block)
{
    tally_of(block)->count--;
}

void kind_block_gone(const struct block *block)
{
    tally_of(block)->bytes -= block->granules * GRANULE_BYTES;
}

/* What the budget has for a kind that is no block. */
static uint64_t charged_for(const struct budget *budget, enum kind kind)
{
    uint64_t bytes = 0;

    for (enum device_class class = CLASS_NATIVE; class < CLASS_COUNT; class ++)
        bytes += kind_of_class(class) == kind ? budget->class_bytes[class] : 0;
    return bytes;
}

/* Bytes that a kind holds: what was asked for, or what is charged where that is more. */
static uint64_t held(const struct budget *budget, enum kind kind, const struct kind_tally *tally)
{
    uint64_t charged = charged_for(budget, kind);

    return tally->bytes > charged ? tally->bytes : charged;
}

void kind_native(unsigned ordinal, enum kind kind, enum stay why, enum native_event event, uint64_t bytes)
{
    struct device_state *device = &core.devices[ordinal];
    struct kind_tally *tally = &device->kinds.of[kind];
    struct native_tally *native = &device->kinds.native[kind][why];

    if (event == NATIVE_GONE) {
        native->count--;
        tally->count--;
        native->bytes -= bytes;
        tally->bytes -= bytes;
    } else if (event != NATIVE_HELD) {
        native->total += event == NATIVE_MADE;
        tally->total += event == NATIVE_MADE;
        native->count++;
        raise(&tally->peak_count, ++tally->count);
        native->bytes += bytes;
        tally->bytes += bytes;
    }
    raise(&tally->peak_bytes, held(&device->budget, kind, tally));
}

/* ---- told -------------------------------------------------------------------------------------------------------- */

/* Where the bytes of one block are. */
struct places {
    uint64_t here, leaving, host, disk, dropped; /* these are all of it */
    uint64_t host_copies, disk_copies;
    uint64_t unsaved; /* of what is here: there is no copy */
};

static void add_chunk(const struct chunk *chunk, struct places *places)
{
    static const uint32_t on_host =
        CHUNKS(CHUNK_HOST) | CHUNKS(CHUNK_SPILLING) | CHUNKS(CHUNK_UNMAPPING) | CHUNKS(CHUNK_BROKEN);
    uint64_t bytes = chunk_bytes(chunk);
    bool is_host = chunk_in(chunk, on_host) || (chunk->state == CHUNK_RETURNING && chunk->slab);
    bool is_disk = !is_host && chunk_in(chunk, CHUNKS(CHUNK_DISK) | CHUNKS(CHUNK_RETURNING));

    if (chunk->state == CHUNK_NONE)
        return;
    if (chunk->state == CHUNK_RESIDENT)
        places->here += bytes;
    else if (is_host)
        places->host += bytes;
    else if (!is_disk)
        places->leaving += bytes;
    else if (chunk->slot == SLOT_NONE)
        places->dropped += bytes;
    else
        places->disk += bytes;
    if (chunk->state == CHUNK_RESIDENT && !chunk->copied)
        places->unsaved += bytes;
    places->host_copies += chunk->slab && !is_host ? bytes : 0;
    places->disk_copies += chunk->slot != SLOT_NONE && !is_disk ? bytes : 0;
}

/* Is there a place for what leaves? Then that is taken. */
static bool finds_place(uint32_t first, const struct places *places, struct kinds_room *room)
{
    uint64_t bytes = block_reloadable(&core.blocks, first) && !core_places() ? 0 : places->unsaved;

    if (bytes <= room->host_bytes) {
        room->host_bytes -= bytes;
        return true;
    }
    bytes -= room->host_bytes;
    if (!movable_may_unmap(first, movable_may_prove()) || bytes > room->disk_bytes)
        return false;
    room->host_bytes = 0;
    room->disk_bytes -= bytes;
    return true;
}

static struct places places_of(uint32_t first)
{
    struct places places = {0};

    chunks_each(g, &core.blocks, first)
        add_chunk(&core.blocks.chunk[g], &places);
    return places;
}

/* Why what is here cannot leave; with the room that is left by those before. */
static enum stay why_here(uint32_t first, const struct places *places, struct kinds_room *room)
{
    enum stay why = movable_stays(first);

    return why == STAY_NOT && places->here && !finds_place(first, places, room) ? STAY_NOWHERE : why;
}

enum stay kind_stays(uint32_t first, struct kinds_room *room, uint64_t *out_device_bytes)
{
    struct places places = places_of(first);

    *out_device_bytes = places.here + places.leaving;
    return why_here(first, &places, room);
}

static void add_part(struct kind_part *part, uint64_t count, uint64_t bytes)
{
    part->count += count;
    part->bytes += bytes;
}

static void add_block(uint32_t first, struct kinds_room *room, struct kinds *out)
{
    const struct block *block = &core.blocks.block[first];
    struct kind_figures *figures = &out->of[kind_of_block(block)];
    struct places places = places_of(first);
    enum stay why = why_here(first, &places, room);
    uint64_t count = block->is_bin && why != STAY_FREED ? bin_taken(first) : 1;

    figures->device_bytes += places.here + places.leaving;
    figures->host_bytes += places.host;
    figures->disk_bytes += places.disk;
    figures->dropped_bytes += places.dropped;
    figures->host_copy_bytes += places.host_copies;
    figures->disk_copy_bytes += places.disk_copies;
    figures->stays[STAY_MOVING].bytes += places.leaving;
    if (why != STAY_FREED && !places.here && !places.leaving)
        add_part(&figures->away, count, places.host + places.disk + places.dropped);
    else
        add_part(why == STAY_NOT ? &figures->leaves : &figures->stays[why], count, places.here);
}

/* What is charged for blocks beside what is behind their addresses. */
static void add_moving(struct kinds *out)
{
    struct kind_figures *figures = &out->of[KIND_BLOCK];
    uint64_t moving = out->budget.class_bytes[CLASS_BLOCK];

    for (enum kind kind = KIND_BLOCK; kind < KIND_NATIVE; kind++)
        moving = shares_over(moving, out->of[kind].device_bytes);
    figures->device_bytes += moving;
    figures->stays[STAY_MOVING].bytes += moving;
}

/* Why a kind holds more than was asked for. */
static enum stay rest_of(enum kind kind)
{
    switch (kind) {
    case KIND_POOL:
        return STAY_KEPT;
    case KIND_GRAPH:
        return STAY_NODES;
    case KIND_MANAGED:
        return core.device->floating ? STAY_DRIVER : STAY_ROUNDED;
    case KIND_RESERVED:
        return STAY_ANNOUNCED;
    default:
        return STAY_ROUNDED;
    }
}

/* The budget says how much there is; what was asked for, whose it is. */
static void add_native(enum kind kind, const struct kinds_tally *tally, struct kinds *out)
{
    struct kind_figures *figures = &out->of[kind];
    uint64_t charged = charged_for(&out->budget, kind);

    figures->tally.bytes = held(&out->budget, kind, &tally->of[kind]);
    raise(&figures->tally.peak_bytes,
          figures->tally.bytes); /* what is told of managed memory may have grown unseen */
    figures->device_bytes = charged;
    for (unsigned why = 0; why < STAY_COUNT; why++) {
        uint64_t bytes = tally->native[kind][why].bytes;

        bytes = bytes < charged ? bytes : charged;
        add_part(&figures->stays[why], tally->native[kind][why].count, bytes);
        charged -= bytes;
    }
    figures->stays[rest_of(kind)].bytes += charged;
}

/* Managed memory that floats: what of it is on the device can leave it, page by page. */
static void add_floating(unsigned ordinal, struct kind_figures *figures)
{
    struct managed_sum sum;

    managed_range_sum(ordinal, &sum);
    if (!sum.in_count && !sum.out_count)
        return;
    figures->stays[STAY_DRIVER] = (struct kind_part){0};
    figures->leaves = (struct kind_part){sum.in_count, figures->device_bytes};
    figures->away = (struct kind_part){sum.out_count, sum.away_bytes};
    figures->off_bytes = sum.out_bytes;
}

/* What small allocations are is in their bins. */
static void add_small(const struct bin_tally *bins, struct kind_tally *out)
{
    out->count = bins->count;
    out->peak_count = bins->peak_count;
    out->total = bins->total;
}

void kinds_of(unsigned ordinal, const struct kinds_room *room, uint64_t managed_bytes, struct kinds *out)
{
    const struct kinds_tally *tally = &core.devices[ordinal].kinds;
    struct kinds_room left = *room;
    struct bins bins;

    memset(out, 0, sizeof(*out));
    lock_acquire(&core.lock);
    bins = bins_figures(ordinal);
    out->budget = core.devices[ordinal].budget;
    if (managed_bytes)
        budget_force(&out->budget, CLASS_MANAGED, managed_bytes);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        out->of[kind].tally = tally->of[kind];
    add_small(&bins.tally[0], &out->of[KIND_SMALL].tally);
    add_small(&bins.tally[1], &out->of[KIND_ASYNC_SMALL].tally);
    blocks_each(first, &core.blocks)
        if (core.blocks.block[first].ordinal == ordinal)
            add_block(first, &left, out);
    add_moving(out);
    for (enum kind kind = KIND_NATIVE; kind < KIND_COUNT; kind++)
        add_native(kind, tally, out);
    add_floating(ordinal, &out->of[KIND_MANAGED]);
    lock_release(&core.lock);
}
