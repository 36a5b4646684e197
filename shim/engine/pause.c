/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.c - see pause.h.
 *
 * A pause evicts, restores and unmaps, each a batch of steps: plan, copy, remap, commit. Evicting and restoring go on at the
 * same time (swap.h). A step that fails is rolled back and does not count; others of its batch are not affected. For all of
 * them the gate is closed and the devices are drained.
 */
#include "engine/pause.h"

#include <stddef.h>

#include "base/log.h"
#include "engine/allocate.h"
#include "engine/foresight.h"
#include "engine/gate.h"
#include "engine/pick.h"
#include "engine/remap.h"
#include "engine/residency.h"
#include "engine/scan.h"
#include "engine/step.h"
#include "engine/swap.h"
#include "ledger/busy.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"

/* The batches that are at work: what leaves, or is unmapped, and what comes back. */
static struct step steps[STEPS_MAX];
static struct step coming[STEPS_MAX];

/* The question that a choice of blocks answers. */
struct question {
    const struct pause_plan *plan;
    bool proven; /* a scan has found every pointer */
};

/* Under the lock: is the block one of those that may leave by the plan? */
static bool is_meant(const struct pause_plan *plan, uint32_t first)
{
    if (plan->only && *plan->only != first)
        return false;
    return !plan->only_registered || core.blocks.block[first].flags & BLOCK_REGISTERED;
}

/* ---- device to host, mapped or not, or dropped where an equal copy is on disk --------------------------------- */

static uint64_t resident_bytes(uint32_t first, void *arg)
{
    const struct question *question = arg;

    if (core.blocks.block[first].ordinal != question->plan->ordinal || !is_meant(question->plan, first) ||
        !movable_may_evict(first, question->proven))
        return 0;
    return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT));
}

static uint32_t chunks_of(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return (block->granules + block->chunk_granules - 1) / block->chunk_granules;
}

/* A registered block leaves as a whole, unless it has more chunks than a batch has steps. */
static bool leaves_whole(const struct pause_plan *plan, uint32_t first)
{
    return !plan->in_parts && core.blocks.block[first].flags & BLOCK_REGISTERED &&
           chunks_of(first) <= STEPS_MAX;
}

static bool stays_unmapped(uint32_t first, bool proven)
{
    if (!movable_may_unmap(first, proven))
        return false;
    return !core.mapped || core.blocks.block[first].flags & BLOCK_REGISTERED ||
           core.options->disk == DISK_ALWAYS || proven;
}

struct pause_estimate pause_evictable(const struct pause_plan *plan)
{
    struct question question = {plan, true};
    struct pause_estimate estimate = {0};
    const uint32_t *list;
    uint32_t blocks;

    lock_acquire(&core.lock);
    blocks = pick_blocks(plan->evict_bytes, plan->newest, resident_bytes, &question, &list);
    for (uint32_t i = 0; i < blocks && estimate.bytes < plan->evict_bytes; i++) {
        uint64_t all = resident_bytes(list[i], &question), left = plan->evict_bytes - estimate.bytes;

        all = leaves_whole(plan, list[i]) || all < left ? all : left;
        estimate.bytes += all;
        if (!block_reloadable(&core.blocks, list[i]))
            estimate.save_bytes += all;
    }
    lock_release(&core.lock);
    return estimate;
}

static void less(uint64_t *bytes, uint64_t by)
{
    *bytes -= by < *bytes ? by : *bytes;
}

/* By whole chunks, so much of the block that `want_bytes` have left. */
static uint64_t leaving_bytes(const struct pause_plan *plan, uint32_t first, uint64_t all,
                              uint64_t want_bytes)
{
    uint64_t chunk = core.blocks.block[first].chunk_granules * GRANULE_BYTES;
    uint64_t bytes = (want_bytes + chunk - 1) / chunk * chunk;

    return bytes > all || (want_bytes && leaves_whole(plan, first)) ? all : bytes;
}

size_t pause_leaving(const struct pause_plan *plan, uint64_t more_bytes, struct plan_block *out, size_t most)
{
    struct question question = {plan, true};
    uint64_t skip = plan->evict_bytes;
    const uint32_t *list;
    uint32_t blocks = pick_blocks(skip + more_bytes, plan->newest, resident_bytes, &question, &list);
    size_t count = 0;

    for (uint32_t i = 0; i < blocks && count < most && more_bytes; i++) {
        uint64_t all = resident_bytes(list[i], &question), left = leaving_bytes(plan, list[i], all, skip);

        less(&skip, left);
        if (all == left)
            continue;
        all = all - left < more_bytes ? all : left + more_bytes;
        more_bytes -= all - left;
        out[count] = (struct plan_block){.index = list[i],
                                         .granules = (uint32_t)((all - left) / GRANULE_BYTES),
                                         .chunk = core.blocks.block[list[i]].chunk_granules};
        foresight_tell(list[i], &out[count++]);
    }
    return count;
}

/* Bytes of the chunk that are on disk or in host memory, too. */
static bool has_copy(const struct step *step, uint64_t epoch, bool proven)
{
    const struct chunk *chunk = step_chunk(step);

    if (step_registered(step)) /* the program's word counts, and nothing else */
        return chunk->copied || (step->reloadable && !core_places());
    return chunk->slot != SLOT_NONE && chunk->slot_epoch == epoch && movable_may_unmap(step->first, proven);
}

/* Under the lock: how chunks of one block leave, the first of a list, and whether any of them is saved. How many it has
 * there. */
static uint32_t describe(struct step *list, uint32_t count, const struct question *question)
{
    uint64_t epoch = gate_writes();
    uint32_t mine = 0;
    bool saves = false;

    for (; mine < count && list[mine].first == list[0].first; mine++) {
        list[mine].unmap = stays_unmapped(list[0].first, question->proven);
        list[mine].clean = has_copy(&list[mine], epoch, question->proven);
        list[mine].whole = leaves_whole(question->plan, list[0].first);
        saves = saves || !list[mine].clean;
    }
    for (uint32_t i = 0; i < mine; i++)
        list[i].saves = saves;
    return mine;
}

/* Chunks that leave: each is shown to `visit`, as many as there may be. */
struct departure {
    struct question question;
    uint32_t most, count;
    void (*visit)(uint32_t first, uint32_t granule, struct departure *departure);
    uint32_t *sizes; /* of count_saved */
};

/* Under the lock. */
static void depart(struct departure *departure)
{
    const struct pause_plan *plan = departure->question.plan;
    const uint32_t *list;
    uint32_t blocks =
        pick_blocks(plan->evict_bytes, plan->newest, resident_bytes, &departure->question, &list);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < blocks && bytes < plan->evict_bytes; i++) {
        bool whole = leaves_whole(plan, list[i]);

        if (whole && chunks_of(list[i]) > departure->most - departure->count)
            break;
        chunks_each(g, &core.blocks, list[i]) {
            const struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_RESIDENT || (bytes >= plan->evict_bytes && !whole) ||
                departure->count == departure->most)
                continue;
            bytes += chunk_bytes(chunk);
            departure->count++;
            departure->visit(list[i], g, departure);
        }
    }
}

static void begin_leaving(uint32_t first, uint32_t granule, struct departure *departure)
{
    steps[departure->count - 1] = step_begin(first, granule, CHUNK_LEAVING);
}

/* The chunks that leave, marked LEAVING. */
static uint32_t plan_evict(const struct pause_plan *plan, bool proven)
{
    struct departure departure = {.question = {plan, proven}, .most = STEPS_MAX, .visit = begin_leaving};

    lock_acquire(&core.lock);
    depart(&departure);
    for (uint32_t i = 0; i < departure.count;)
        i += describe(&steps[i], departure.count - i, &departure.question);
    lock_release(&core.lock);
    return departure.count;
}

static void count_size(uint32_t first, uint32_t granule, struct departure *departure)
{
    const struct chunk *chunk = &core.blocks.chunk[granule];

    departure->sizes[chunk->granules] += !block_reloadable(&core.blocks, first) && !chunk->copied;
}

/* Chunks by their size in granules that would leave and be saved, by the plan. */
static void count_saved(const struct pause_plan *plan, uint32_t *sizes)
{
    struct departure departure = {
        .question = {plan, pause_would_scan()}, .most = UINT32_MAX, .visit = count_size, .sizes = sizes};

    lock_acquire(&core.lock);
    depart(&departure);
    lock_release(&core.lock);
}

/* Host memory for what will leave, made while the program runs: to pin it takes longer than to fill it. It is no harm if
 * it cannot be had, or if others leave in the end. */
static void make_slabs(const struct pause_plan *plan)
{
    uint32_t counts[RECYCLER_CLASSES + 1] = {0};

    if (!plan->evict_bytes || core_places() || core_capturing())
        return;
    count_saved(plan, counts);
    for (unsigned class = RECYCLER_CLASSES; class; class --)
        recycler_fill(&core.slabs, class * GRANULE_BYTES, counts[class]);
}

/* ---- mapped host to device, in the plan's order, as far as there is room -------------------------------------- */

/* Under the lock: the chunks of a list of blocks that come back, behind `count` of others. How many there are then. */
static uint32_t begin_coming(const struct pause_plan *plan, const uint32_t *firsts, uint32_t blocks,
                             uint32_t count)
{
    uint32_t most = plan->restore_one ? 1 : STEPS_MAX;

    for (uint32_t i = 0; i < blocks; i++) {
        const struct block *block = &core.blocks.block[firsts[i]];

        if (!block_alive(block) || block->ordinal != plan->ordinal)
            continue;
        chunks_each(g, &core.blocks, firsts[i])
            if (count < most && chunk_in(&core.blocks.chunk[g], CHUNKS_MAPPED(CHUNK_HOST)))
                coming[count++] = step_begin(firsts[i], g, CHUNK_RETURNING);
    }
    return count;
}

/* The chunks that come back, marked RETURNING: a free waits for them. */
static uint32_t plan_restore(const struct pause_plan *plan)
{
    uint32_t count;

    lock_acquire(&core.lock);
    count = begin_coming(plan, plan->restore, plan->restore_count, 0);
    count = begin_coming(plan, plan->early, plan->early_count, count);
    lock_release(&core.lock);
    return count;
}

static struct swapped exchange(const struct pause_plan *plan, bool proven)
{
    uint32_t leaving = plan->evict_bytes ? plan_evict(plan, proven) : 0;
    uint32_t returning = plan->restore_count ? plan_restore(plan) : 0;

    return swap_run(steps, leaving, coming, returning);
}

/* ---- mapped host to unmapped host ------------------------------------------------------------------------------ */

static uint64_t mapped_bytes(uint32_t first, void *arg)
{
    const struct question *question = arg;
    const struct block *block = &core.blocks.block[first];

    if (!block_alive(block) || !is_meant(question->plan, first) || block_in_launch(first) ||
        block_pinned(block) || !movable_may_unmap(first, question->proven))
        return 0;
    return chunks_bytes(&core.blocks, first, CHUNKS_MAPPED(CHUNK_HOST));
}

/* The chunks that are unmapped, marked UNMAPPING: a free waits for them. */
static uint32_t plan_unmap(const struct pause_plan *plan, bool proven)
{
    struct question question = {plan, proven};
    uint32_t count = 0, blocks;
    const uint32_t *list;

    lock_acquire(&core.lock);
    blocks = pick_blocks(plan->unmap_bytes, plan->newest, mapped_bytes, &question, &list);
    for (uint32_t i = 0; i < blocks; i++)
        chunks_each(g, &core.blocks, list[i])
            if (count < STEPS_MAX && chunk_in(&core.blocks.chunk[g], CHUNKS_MAPPED(CHUNK_HOST)))
                steps[count++] = step_begin(list[i], g, CHUNK_UNMAPPING);
    lock_release(&core.lock);
    return count;
}

static bool ends_of_unmapping(const struct step *step, struct remap *out)
{
    out->old = step_chunk(step)->slab->memory.handle;
    return true;
}

/* Under the lock: the chunk's new state. */
static bool settle_unmapped(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    chunk_move(chunk, CHUNK_HOST);
    if (step->result)
        return false;
    if (chunk->slot_epoch != gate_writes())
        chunk_drop_slot(chunk);
    chunk->mapped = false;
    step_count_unproven(step, 1);
    block_publish(&core.blocks, step->first);
    return true;
}

/* Returns the bytes unmapped. */
static uint64_t unmap(const struct pause_plan *plan, bool proven)
{
    uint32_t count = plan_unmap(plan, proven);

    steps_remap(steps, count, ends_of_unmapping);
    return steps_commit(steps, count, settle_unmapped);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* Pages that the driver itself sends may be in use on their way. A block that goes must not be, lest it is called back:
 * then it would count where it is not. */
static bool wants_rest(const struct pause_plan *plan)
{
    return !core_places() || plan->evict_bytes;
}

bool pause_could_scan(void)
{
    return options_search(core.options) && !core.roots_unknown && !core_places();
}

bool pause_would_scan(void)
{
    return pause_could_scan() && (!core.mapped || headroom_host_pressed());
}

static bool wants_scan(const struct pause_plan *plan)
{
    return (plan->evict_bytes && pause_would_scan()) || (plan->unmap_bytes && pause_could_scan());
}

/* A search reads the memory of every device, and one may become necessary when mapped host memory is tried. What is
 * unmapped may be of any device. */
static int whose_rest(const struct pause_plan *plan)
{
    bool is_untried = core.mapped && core.device->try_host && !core.devices[plan->ordinal].reaches_host;

    if (!wants_rest(plan))
        return DRAIN_NOBODY;
    if (plan->unmap_bytes || wants_scan(plan) || (is_untried && pause_could_scan()))
        return DRAIN_ALL;
    return (int)plan->ordinal;
}

uint64_t pause_could_give(const struct pause_plan *plan)
{
    return plan->only || plan->only_registered || plan->newest
               ? 0
               : atomic_load(&core.devices[plan->ordinal].ordered_bytes);
}

/* The devices are at rest: what was freed in the order of a stream is worth nothing to anybody, and goes first. */
static uint64_t give(struct pause_plan *left)
{
    uint64_t given_bytes = 0;

    if (left->evict_bytes && pause_could_give(left))
        given_bytes = ordered_give(left->ordinal, left->evict_bytes);
    less(&left->evict_bytes, given_bytes);
    return given_bytes;
}

/* What the moves of a pause took, to tell what else it did: the way that took longer. */
struct watch {
    uint64_t since_ns, ns[2], bytes[2];
};

static struct watch watch_begin(void)
{
    struct watch watch = {.since_ns = core_now()};

    for (int way = MOVE_DEVICE_TO_HOST; way <= MOVE_HOST_TO_DEVICE; way++) {
        watch.ns[way] = counters_read(&core.counters.moves[way].ns);
        watch.bytes[way] = counters_read(&core.counters.moves[way].bytes);
    }
    return watch;
}

static void watch_end(const struct watch *began, uint64_t drain_ns)
{
    const struct watch now = watch_begin();
    int way = now.ns[MOVE_HOST_TO_DEVICE] - began->ns[MOVE_HOST_TO_DEVICE] >
                      now.ns[MOVE_DEVICE_TO_HOST] - began->ns[MOVE_DEVICE_TO_HOST]
                  ? MOVE_HOST_TO_DEVICE
                  : MOVE_DEVICE_TO_HOST;

    counters_add(&core.counters.pauses, 1);
    counters_add(&core.counters.pause_ns, now.since_ns - began->since_ns);
    foresight_paused(drain_ns, now.since_ns - began->since_ns, now.ns[way] - began->ns[way],
                     now.bytes[way] - began->bytes[way]);
}

struct pause_result pause_run(const struct pause_plan *plan)
{
    int whose = whose_rest(plan);
    struct pause_plan left = *plan;
    struct pause_result result = {0};
    bool is_scanned, is_proven;
    struct watch watch;
    uint64_t drain_ns;

    less(&left.evict_bytes, pause_could_give(plan));
    make_slabs(&left);
    left.evict_bytes = plan->evict_bytes;
    drain_ns = core_now();
    result.error = drain_close(whose, plan->waiter);
    drain_ns = core_now() - drain_ns;
    counters_add(&core.counters.drain_ns, drain_ns);
    if (result.error < 0)
        return result;
    result.evicted_bytes = give(&left);
    if (left.evict_bytes && wants_rest(plan))
        residency_prove(plan->ordinal);
    is_scanned = whose == DRAIN_ALL && wants_scan(&left);
    is_proven = is_scanned && scan_run();
    watch = watch_begin();
    for (;;) {
        struct swapped moved = exchange(&left, is_proven);

        result.evicted_bytes += moved.evicted_bytes;
        result.restored_bytes += moved.restored_bytes;
        less(&left.evict_bytes, moved.evicted_bytes);
        /* What has come gives room to those that found none, and who left may be one that was to come. */
        if (!moved.restored_bytes || (!left.evict_bytes && !moved.evicted_bytes))
            break;
    }
    if (plan->unmap_bytes)
        result.unmapped_bytes = unmap(plan, is_proven);
    gate_open();
    watch_end(&watch, drain_ns);
    log_line(LOG_DEBUG, "device %u: %llu KiB evicted, %llu restored, %llu unmapped, %llu wanted to leave%s",
             plan->ordinal, (unsigned long long)result.evicted_bytes >> 10,
             (unsigned long long)result.restored_bytes >> 10, (unsigned long long)result.unmapped_bytes >> 10,
             (unsigned long long)left.evict_bytes >> 10,
             !is_scanned ? ""
             : is_proven ? ", scanned"
                         : ", the scan failed");
    return result;
}
