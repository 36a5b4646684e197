/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - see check.h. */
#include "engine/check.h"

#include <stdarg.h>

#include <utlist.h>

#include "base/log.h"
#include "ledger/busy.h"

#define IN(state) (1u << (state))

/* States of chunks: on the device, with a slab, possibly mapped host memory. */
enum {
    HERE = IN(CHUNK_RESIDENT) | IN(CHUNK_LEAVING),
    SLAB = IN(CHUNK_HOST) | IN(CHUNK_SPILLING) | IN(CHUNK_UNMAPPING) | IN(CHUNK_BROKEN),
    MAPPED = IN(CHUNK_HOST) | IN(CHUNK_RETURNING) | IN(CHUNK_UNMAPPING)
};

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

static void expect_equal(const char *what, unsigned of, uint64_t told, uint64_t found)
{
    expect(told == found, "%s %u: %llu told, %llu found", what, of, (unsigned long long)told,
           (unsigned long long)found);
}

/* Memory in the hands of a step or of a block that is being built is charged, too. */
static void expect_covers(const char *what, unsigned of, uint64_t charged, uint64_t found)
{
    expect(charged >= found, "%s %u: %llu charged, %llu found", what, of, (unsigned long long)charged,
           (unsigned long long)found);
}

static bool is_in(const struct chunk *chunk, uint32_t states)
{
    return states >> chunk->state & 1;
}

/* A chunk has what its state says, and nothing else. */
static void check_chunk(uint32_t first, uint32_t granule)
{
    const struct block *block = &core.blocks.block[first];
    const struct chunk *chunk = &core.blocks.chunk[granule];
    bool has_slot = chunk->slot != SLOT_NONE;

    expect(is_in(chunk, HERE | SLAB | MAPPED | IN(CHUNK_DISK)) ||
               (chunk->state == CHUNK_NONE && block->flags & BLOCK_DEAD),
           "chunk %u is in state %u", granule, chunk->state);
    expect(!chunk->handle == !is_in(chunk, HERE), "chunk %u of state %u: handle", granule, chunk->state);
    expect(chunk->slab || !is_in(chunk, SLAB), "chunk %u of state %u has no slab", granule, chunk->state);
    expect(!chunk->slab || chunk->copied || !is_in(chunk, IN(CHUNK_DISK) | IN(CHUNK_RESIDENT)),
           "chunk %u of state %u has a slab", granule, chunk->state);
    expect(has_slot || chunk->state != CHUNK_DISK || block_reloadable(&core.blocks, first),
           "chunk %u on disk has no slot", granule);
    expect(!chunk->mapped || is_in(chunk, MAPPED), "chunk %u of state %u: mapped", granule, chunk->state);
    expect(!chunk->copied ||
               (is_in(chunk, HERE) && block->flags & BLOCK_REGISTERED && (chunk->slab || has_slot)),
           "chunk %u of state %u: copied", granule, chunk->state);
}

static void add_chunk(const struct block *block, const struct chunk *chunk, struct core_sums *sums)
{
    uint64_t bytes = chunk_bytes(chunk);

    if (chunk->state == CHUNK_NONE)
        return;
    sums->slab_bytes += chunk->slab ? bytes : 0;
    sums->slot_bytes += chunk->slot != SLOT_NONE ? bytes : 0;
    if (is_in(chunk, HERE)) {
        sums->resident_bytes[block->ordinal] += bytes;
        if (block->share != SHARE_OPERATION)
            sums->share_bytes[block->ordinal][block->share] += bytes;
    } else {
        sums->away_bytes[block->ordinal] += bytes;
        sums->unproven += !chunk->mapped && !(block->flags & BLOCK_REGISTERED);
    }
}

/* Is another block of the ring not reachable, so that whoever uses this one has to be told? */
static uint32_t mates_flag(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    bool any = false;

    for (uint32_t at = block->mate; block->range && !core.mapped && at != first;
         at = core.blocks.block[at].mate)
        chunks_each(g, &core.blocks, at)
            any = any || (!is_in(&core.blocks.chunk[g], HERE) && !core.blocks.chunk[g].mapped);
    return any ? OWNER_MATES : 0;
}

/* The owner entries tell the launch path what it has to know. A copy that is void may be told of, too. */
static void check_entries(uint32_t first, uint32_t copies)
{
    const struct block *block = &core.blocks.block[first];
    uint32_t flags = copies && !block->pins[PIN_API] ? OWNER_COPIED : 0;

    chunks_each(g, &core.blocks, first)
        if (!is_in(&core.blocks.chunk[g], HERE))
            flags |= core.blocks.chunk[g].mapped ? OWNER_AWAY : OWNER_AWAY | OWNER_GONE;
    for (uint32_t g = first; g < first + block->granules; g++)
        expect_equal("owner entry", g, owner_at(&core.blocks, g),
                     (first + 1) | flags | mates_flag(first) | (owner_at(&core.blocks, g) & OWNER_COPIED));
}

/* A block counts where it belongs, and is in the queue that goes with it. */
static void check_share(uint32_t first)
{
    static const uint8_t queue_of[SHARE_COUNT] = {
        [SHARE_OPERATION] = QUEUE_OPERATIONS, [SHARE_BUFFER] = QUEUE_BUFFERS};
    const struct block *block = &core.blocks.block[first];
    enum share share = block->pins[PIN_API]              ? SHARE_OPERATION
                       : block_pinned(block)             ? SHARE_FIXED
                       : block->flags & BLOCK_REGISTERED ? SHARE_BUFFER
                                                         : SHARE_LOOSE;

    expect_equal("share of block", first, block->share, share);
    expect_equal("queue of block", first, core.blocks.object[first].entry.queue, queue_of[share]);
}

static void check_block(uint32_t first, struct core_sums *sums)
{
    const struct block *block = &core.blocks.block[first];
    uint32_t copies = 0;

    struct kind_part *kind = &sums->kinds[block->ordinal][kind_of_block(block)];

    sums->alive++;
    sums->granules += block->granules;
    kind->bytes += block->granules * GRANULE_BYTES;
    kind->count += !block_alive(block) ? 0 : block->is_bin ? bin_taken(first) : 1;
    if (block->flags & BLOCK_ORDERED)
        sums->ordered_bytes[block->ordinal] += block->granules * GRANULE_BYTES;
    if (block->share == SHARE_OPERATION)
        sums->share_bytes[block->ordinal][SHARE_OPERATION] += block->granules * GRANULE_BYTES;
    chunks_each(g, &core.blocks, first) {
        check_chunk(first, g);
        add_chunk(block, &core.blocks.chunk[g], sums);
        copies += core.blocks.chunk[g].copied;
    }
    expect_equal("copies of block", first, core.blocks.object[first].copies, copies);
    if (!block_alive(block))
        return;
    expect(!block->is_bin || bin_holds(first), "bin %u: its numbers are not those of its cells", first);
    expect(atomic_load(&core.blocks.stamp[first]), "block %u has no stamp", first);
    check_share(first);
    check_entries(first, copies);
}

static uint64_t idle_items(const struct recycler *recycler)
{
    const struct recycler_idle *idle;
    uint64_t bytes = 0, count;

    for (unsigned class = 1; class <= RECYCLER_CLASSES; class ++) {
        LL_COUNT(recycler->idle[class], idle, count);
        bytes += count * class * GRANULE_BYTES;
    }
    expect_equal("idle items of recycler", recycler->ordinal, recycler->idle_bytes, bytes);
    return bytes;
}

/* What is counted as it happens agrees with what there is. */
static void check_kinds(unsigned ordinal, const struct core_sums *sums)
{
    const struct kinds_tally *tally = &core.devices[ordinal].kinds;

    const struct bins bins = bins_figures(ordinal);
    const uint64_t count[] = {tally->of[KIND_BLOCK].count, bins.tally[0].count, tally->of[KIND_ASYNC].count,
                              bins.tally[1].count, tally->of[KIND_HANDLE].count};

    for (enum kind kind = KIND_BLOCK; kind < KIND_NATIVE; kind++) {
        const struct kind_tally *of = &tally->of[kind];

        expect_equal(kind_key[kind], ordinal, of->bytes, sums->kinds[ordinal][kind].bytes);
        expect_equal(kind_key[kind], ordinal, count[kind], sums->kinds[ordinal][kind].count);
        expect(of->peak_bytes >= of->bytes && of->peak_count >= of->count && of->total >= of->peak_count,
               "device %u: more %s than at the peak", ordinal, kind_key[kind]);
    }
    expect_equal("small allocations of device", ordinal, bins.allocations,
                 bins.tally[0].count + bins.tally[1].count);
}

static void check_device(unsigned ordinal, struct core_sums *sums)
{
    const struct device_state *device = &core.devices[ordinal];

    sums->idle_bytes[ordinal] = idle_items(&device->handles);
    for (unsigned granules = 1; granules <= IDLE_GRANULES_MAX; granules++) {
        const uint32_t *first = device->idle_blocks.first[granules],
                       count = device->idle_blocks.count[granules];

        sums->granules += count * granules;
        sums->idle_bytes[ordinal] += count * granules * GRANULE_BYTES;
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t g = first[i]; g < first[i] + granules; g += core.blocks.chunk[g].granules)
                expect_equal("state of idle chunk", g, core.blocks.chunk[g].state, CHUNK_IDLE);
    }
    expect_covers("device", ordinal, device->budget.class_bytes[CLASS_BLOCK], sums->resident_bytes[ordinal]);
    for (unsigned share = SHARE_FIXED; share < SHARE_COUNT; share++)
        expect_equal("share", share, device->shares.bytes[share], sums->share_bytes[ordinal][share]);
    expect_equal("idle on device", ordinal, device->budget.idle_bytes,
                 sums->idle_bytes[ordinal] + device->handles.leaving_bytes);
    expect(!core_places() || !device->budget.idle_bytes, "device %u: freed memory is kept", ordinal);
    expect_equal("away from device", ordinal, device->away_bytes, sums->away_bytes[ordinal]);
    expect_equal("freed in order on device", ordinal, device->ordered_bytes, sums->ordered_bytes[ordinal]);
    check_kinds(ordinal, sums);
}

const char *core_check_locked(struct core_sums *out)
{
    *out = (struct core_sums){0};
    holds = true;
    if (!core_active())
        return NULL;
    blocks_each(first, &core.blocks)
        check_block(first, out);
    for (unsigned i = 0; i < core.device->count; i++)
        check_device(i, out);
    out->idle_slab_bytes = idle_items(&core.slabs);
    expect_covers("host", 0, core.host_budget.class_bytes[HOST_TIER], out->slab_bytes);
    expect_equal("idle on host", 0, core.host_budget.idle_bytes,
                 out->idle_slab_bytes + core.slabs.leaving_bytes);
    expect_equal("chunks away unproven", 0, core.attention & ATTENTION_UNPROVEN, out->unproven);
    expect_equal("blocks alive", 0, core.blocks.alive, out->alive);
    if (!core_places())
        expect_covers("granules", 0, core.blocks.arena.taken, out->granules);
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
