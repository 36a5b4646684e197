/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.c - see pause.h.
 *
 * A pause does three things, each to a batch of steps: plan, copy, remap, commit. A step that fails is rolled back and
 * does not count; others of its batch are not affected. For all of them the gate is closed and the devices are drained.
 * A batch is copied and remapped part by part, so that the link carries one part while another is remapped.
 */
#include "engine/pause.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "engine/allocate.h"
#include "engine/gate.h"
#include "engine/pick.h"
#include "engine/remap.h"
#include "engine/residency.h"
#include "engine/scan.h"
#include "engine/step.h"
#include "ledger/busy.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"

/* A part of a batch at least: to carry so much takes the link far longer than to begin anew. */
#define PART_BYTES ((uint64_t)64 << 20)

/* The batch that is at work. */
static struct step steps[STEPS_MAX];

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

/* How many steps of a list, from its first one on, are a part. What leaves as a whole or not at all is not parted. */
static uint32_t part_of(const struct step *list, uint32_t count)
{
    uint64_t bytes = 0;
    uint32_t part = 0;

    while (part < count &&
           (bytes < PART_BYTES || (list[part].whole && list[part].first == list[part - 1].first)))
        bytes += step_bytes(&list[part++]);
    return part;
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

static void save(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].clean)
            continue;
        list[i].result = recycler_take(&core.slabs, step_bytes(&list[i]), 0, &list[i].slab);
        if (!list[i].result)
            step_submit(&list[i], TIER_DEVICE, TIER_HOST, step_address(&list[i]), SLOT_NONE);
    }
}

/* If one chunk of a whole block cannot be saved, none of it leaves. */
static void fail_whole(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; list[i].whole && list[i].result && j < count; j++)
            if (list[j].first == list[i].first && !list[j].result)
                list[j].result = list[i].result;
}

static bool ends_of_leaving(const struct step *step, struct remap *out)
{
    if (step->result)
        return false;
    out->old = step_chunk(step)->handle;
    out->new = step->clean || step->unmap ? 0 : step_slab(step)->memory.handle;
    return true;
}

/* The slab has the bytes: it is mapped instead, or nothing is. */
static void leave(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct chunk *chunk = step_chunk(&list[i]);

        if (list[i].result)
            continue;
        if (!list[i].clean || list[i].reloadable) {
            lock_acquire(&core.lock);
            chunk_drop_slot(chunk);
            lock_release(&core.lock);
        }
        if (!list[i].clean) {
            chunk->slab = step_slab(&list[i]);
            chunk_remember(chunk);
        }
    }
    steps_remap(list, count, ends_of_leaving);
    for (uint32_t i = 0; i < count; i++)
        if (list[i].result && list[i].result != -EFAULT && !list[i].clean)
            step_chunk(&list[i])->slab = NULL;
}

/* The block is about to leave; it was whole before. */
static void count_departure(const struct step *step)
{
    counters_add(&core.counters.blocks_evicted, 1);
    if (!step->saves)
        return;
    counters_add(&core.counters.blocks_saved, 1);
    if (step_registered(step))
        core.blocks.object[step->first].saves++;
}

/* Under the lock: the chunk's new state. Its device memory is left over, or the slab that was taken in vain. */
static bool settle_evicted(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    if (step->result && step->result != -EFAULT) {
        chunk_move(chunk, CHUNK_RESIDENT);
        return false;
    }
    step->handle = chunk->handle;
    step->slab = 0;
    chunk->handle = 0;
    chunk->mapped = !step->result && !step->clean && !step->unmap;
    chunk_move(chunk, step->result ? CHUNK_BROKEN : chunk->slab ? CHUNK_HOST : CHUNK_DISK);
    if (chunk->copied) {
        chunk->copied = false;
        core.blocks.object[step->first].copies--;
    }
    if (!(owner_entry(&core.blocks, step->first) & OWNER_AWAY))
        count_departure(step);
    core.devices[step_ordinal(step)].away_bytes += chunk_bytes(chunk);
    if (!chunk->mapped)
        step_count_unproven(step, 1);
    block_publish(&core.blocks, step->first);
    share_moved(step->first, -(int64_t)chunk_bytes(chunk));
    host_share_block(step->first);
    counters_add(&core.counters.evictions, 1);
    if (step->clean)
        counters_add(&core.counters.dropped_clean, 1);
    return true;
}

/* Returns the bytes that left. */
static uint64_t evict(const struct pause_plan *plan, bool proven)
{
    uint32_t count = plan->evict_bytes ? plan_evict(plan, proven) : 0;
    uint32_t left = 0, saved = part_of(steps, count);
    uint64_t since_ns = core_now();

    save(steps, saved);
    for (uint32_t next; left < count; left = saved, saved = next) {
        struct step *part = &steps[left];

        next = saved + part_of(&steps[saved], count - saved);
        steps_wait(part, saved - left);
        steps_count(MOVE_DEVICE_TO_HOST, part, saved - left, since_ns);
        since_ns = core_now();
        save(&steps[saved], next - saved); /* on its way meanwhile */
        fail_whole(part, saved - left);
        leave(part, saved - left);
    }
    return steps_commit(steps, count, settle_evicted);
}

/* ---- mapped host to device, in the plan's order, as far as there is room -------------------------------------- */

/* The chunks that come back, marked RETURNING: a free waits for them. */
static uint32_t plan_restore(const struct pause_plan *plan)
{
    uint32_t most = plan->restore_one ? 1 : STEPS_MAX, count = 0;

    lock_acquire(&core.lock);
    for (uint32_t i = 0; i < plan->restore_count; i++) {
        const struct block *block = &core.blocks.block[plan->restore[i]];

        if (!block_alive(block) || block->ordinal != plan->ordinal)
            continue;
        chunks_each(g, &core.blocks, plan->restore[i])
            if (count < most && chunk_in(&core.blocks.chunk[g], CHUNKS_MAPPED(CHUNK_HOST)))
                steps[count++] = step_begin(plan->restore[i], g, CHUNK_RETURNING);
    }
    lock_release(&core.lock);
    return count;
}

static bool ends_of_returning(const struct step *step, struct remap *out)
{
    out->old = step_slab(step)->memory.handle;
    out->new = step->handle;
    return !step->result;
}

/* Device memory at the chunks' addresses, being filled. Kernels are stopped: nobody sees it empty. */
static void fill(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        list[i].result = step_take(&list[i], 0);
        if (!list[i].result)
            list[i].result = chunk_verify(step_chunk(&list[i]), step_address(&list[i]));
    }
    steps_remap(list, count, ends_of_returning);
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].result)
            continue;
        step_submit(&list[i], TIER_HOST, TIER_DEVICE, step_address(&list[i]), SLOT_NONE);
        if (list[i].result)
            list[i].result = -EAGAIN; /* replaced, not copied */
    }
}

/* The copy failed: the slab, which has the bytes, is mapped again. */
static void undo_failed(struct step *step)
{
    struct remap back = {.address = step_address(step),
                         .bytes = step_bytes(step),
                         .old = step->handle,
                         .new = step_slab(step)->memory.handle};

    if (step->submitted ? !step->result : step->result != -EAGAIN)
        return;
    backing_replace(step_ordinal(step), &back, 1);
    if (back.result)
        step->result = -EFAULT;
}

/* Returns the bytes that came back. */
static uint64_t restore(const struct pause_plan *plan)
{
    uint32_t count = plan->restore_count ? plan_restore(plan) : 0;
    uint64_t since_ns = core_now();

    for (uint32_t i = 0, part; i < count; i += part) {
        part = part_of(&steps[i], count - i);
        fill(&steps[i], part); /* while the part before is on its way */
    }
    steps_wait(steps, count);
    steps_count(MOVE_HOST_TO_DEVICE, steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        undo_failed(&steps[i]);
    return steps_commit(steps, count, step_settle_restored);
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

static void less(uint64_t *bytes, uint64_t by)
{
    *bytes -= by < *bytes ? by : *bytes;
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

struct pause_result pause_run(const struct pause_plan *plan)
{
    int whose = whose_rest(plan);
    struct pause_plan left = *plan;
    struct pause_result result = {0};
    bool is_scanned, is_proven;

    less(&left.evict_bytes, pause_could_give(plan));
    make_slabs(&left);
    left.evict_bytes = plan->evict_bytes;
    result.error = drain_close(whose, plan->waiter);
    if (result.error < 0)
        return result;
    result.evicted_bytes = give(&left);
    if (left.evict_bytes && wants_rest(plan))
        residency_prove(plan->ordinal);
    is_scanned = whose == DRAIN_ALL && wants_scan(&left);
    is_proven = is_scanned && scan_run();

    for (;;) {
        uint64_t evicted_bytes = evict(&left, is_proven), restored_bytes = restore(&left);

        result.evicted_bytes += evicted_bytes;
        result.restored_bytes += restored_bytes;
        less(&left.evict_bytes, evicted_bytes);
        if (!restored_bytes || !left.evict_bytes)
            break;
    }
    if (plan->unmap_bytes)
        result.unmapped_bytes = unmap(plan, is_proven);
    gate_open();
    log_line(LOG_DEBUG, "device %u: %llu KiB evicted, %llu restored, %llu unmapped, %llu wanted to leave%s",
             plan->ordinal, (unsigned long long)result.evicted_bytes >> 10,
             (unsigned long long)result.restored_bytes >> 10, (unsigned long long)result.unmapped_bytes >> 10,
             (unsigned long long)left.evict_bytes >> 10,
             !is_scanned ? ""
             : is_proven ? ", scanned"
                         : ", the scan failed");
    return result;
}
