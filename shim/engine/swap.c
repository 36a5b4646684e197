/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swap.c - see swap.h.
 *
 * Each way works its list off in parts: while one is remapped the link carries the next. What has left is waited for part
 * by part, since those that come want its memory; what comes is waited for when nothing else goes on. A step that finds no
 * room waits for what is under way the other way, and fails only when nothing is.
 */
#include "engine/swap.h"

#include <errno.h>
#include <stddef.h>

#include "engine/foresight.h"
#include "engine/remap.h"
#include "engine/step.h"
#include "ledger/busy.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"

/* A part: to carry so much takes the link far longer than to begin anew. */
#define PART_BYTES ((uint64_t)64 << 20)

/* A list that is worked off from its front on: what has ended, what is under way, what has not begun. */
struct lane {
    struct step *list;
    uint32_t count, begun, ended;
    uint64_t since_ns; /* something has been under way */
};

struct swap {
    struct lane out, in;
    uint64_t part_bytes; /* that leave at a time while others wait for them */
};

static bool is_under_way(const struct lane *lane)
{
    return lane->begun > lane->ended;
}

static bool has_more(const struct lane *lane)
{
    return lane->begun < lane->count;
}

static void begin(struct lane *lane, uint32_t count)
{
    if (!is_under_way(lane))
        lane->since_ns = core_now();
    lane->begun += count;
}

/* ---- device to host, mapped or not, or dropped where an equal copy is on disk --------------------------------- */

/* How many steps of a list, from its first one on, leave together or not at all. */
static uint32_t group_of(const struct step *list, uint32_t count)
{
    uint32_t group = 1;

    while (group < count && list->whole && list[group].first == list->first)
        group++;
    return group;
}

static uint64_t saved_bytes(const struct step *group, uint32_t count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        bytes += group[i].clean ? 0 : step_bytes(&group[i]);
    return bytes;
}

static void save(struct step *step)
{
    if (step->clean)
        return;
    step->result = recycler_take(&core.slabs, step_bytes(step), 0, &step->slab);
    if (!step->result)
        step_submit(step, TIER_DEVICE, TIER_HOST, step_address(step), SLOT_NONE);
}

/* The next part begins to leave, as far as there is host memory for it. With nothing to wait for each is tried. */
static void begin_leaving(struct swap *swap, bool is_forced)
{
    struct lane *out = &swap->out;
    uint64_t most_bytes = has_more(&swap->in) ? swap->part_bytes : PART_BYTES, bytes = 0;

    while (has_more(out) && bytes < most_bytes) {
        struct step *group = &out->list[out->begun];
        uint32_t count = group_of(group, out->count - out->begun);

        if (!is_forced && headroom_host() < saved_bytes(group, count))
            return;
        begin(out, count);
        for (uint32_t i = 0; i < count; i++) {
            save(&group[i]);
            bytes += group[i].result ? 0 : step_bytes(&group[i]);
        }
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
            chunk_set_slab(chunk, step_slab(&list[i]));
            chunk_remember(chunk);
        }
    }
    steps_remap(list, count, ends_of_leaving);
    for (uint32_t i = 0; i < count; i++)
        if (list[i].result && list[i].result != -EFAULT && !list[i].clean)
            chunk_set_slab(step_chunk(&list[i]), NULL);
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
    foresight_left(step->first);
    counters_add(&core.counters.evictions, 1);
    if (step->clean)
        counters_add(&core.counters.dropped_clean, 1);
    return true;
}

/* What is leaving has left, and the next part is on its way meanwhile. Returns the bytes. */
static uint64_t end_leaving(struct swap *swap)
{
    struct lane *out = &swap->out;
    struct step *part = &out->list[out->ended];
    uint32_t count = out->begun - out->ended;

    steps_wait(part, count);
    steps_count(MOVE_DEVICE_TO_HOST, part, count, out->since_ns);
    out->ended += count;
    begin_leaving(swap, false);
    fail_whole(part, count);
    leave(part, count);
    return steps_commit(part, count, settle_evicted);
}

/* ---- mapped host to device ---------------------------------------------------------------------------------- */

static bool ends_of_returning(const struct step *step, struct remap *out)
{
    out->old = step_slab(step)->memory.handle;
    out->new = step->handle;
    return !step->result;
}

/* Device memory for the chunk. False: it is left for when there is room. */
static bool take(struct step *step, bool is_forced)
{
    int error = -ENOSPC;

    if (is_forced || headroom_device(step_ordinal(step)) >= step_bytes(step))
        error = step_take(step, 0);
    if (error && !is_forced)
        return false;
    step->result = error ? error : chunk_verify(step_chunk(step), step_address(step));
    return true;
}

/* Device memory at the chunks' addresses, being filled. Kernels are stopped: nobody sees it empty. */
static void fill(struct step *list, uint32_t count)
{
    steps_remap(list, count, ends_of_returning);
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].result)
            continue;
        step_submit(&list[i], TIER_HOST, TIER_DEVICE, step_address(&list[i]), SLOT_NONE);
        if (list[i].result)
            list[i].result = -EAGAIN; /* replaced, not copied */
    }
}

/* As many begin to come as there is device memory for; a part is remapped while the one before is on its way. With nothing
 * to wait for each is tried. */
static void begin_returning(struct lane *in, bool is_forced)
{
    bool has_room = true;

    while (has_room && has_more(in)) {
        struct step *part = &in->list[in->begun];
        uint32_t most = in->count - in->begun, count = 0;
        uint64_t bytes = 0;

        while (count < most && bytes < PART_BYTES && (has_room = take(&part[count], is_forced)))
            bytes += step_bytes(&part[count++]);
        if (count)
            fill(part, count);
        begin(in, count);
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

/* What is coming has come. Returns the bytes. */
static uint64_t end_returning(struct lane *in)
{
    struct step *come = &in->list[in->ended];
    uint32_t count = in->begun - in->ended;

    steps_wait(come, count);
    steps_count(MOVE_HOST_TO_DEVICE, come, count, in->since_ns);
    for (uint32_t i = 0; i < count; i++)
        undo_failed(&come[i]);
    in->ended += count;
    return steps_commit(come, count, step_settle_restored);
}

/* ---- both --------------------------------------------------------------------------------------------------- */

/* What there is room for begins. Where host memory lacks, those that come give theirs back before more of them begin: else
 * both ways would take turns. */
static void go_on(struct swap *swap)
{
    struct lane *out = &swap->out, *in = &swap->in;

    if (!is_under_way(out))
        begin_leaving(swap, false);
    if (!is_under_way(out) && has_more(out) && is_under_way(in))
        return;
    begin_returning(in, false);
    if (!is_under_way(out) && !is_under_way(in))
        begin_leaving(swap, true);
    if (!is_under_way(out) && !is_under_way(in))
        begin_returning(in, true);
}

/* As much leaves at a time as can come at a time, so that both ways have always something to carry; and a sixteenth of all
 * at least, so that many small chunks are not waited for one by one. */
static uint64_t part_for(const struct step *returning, uint32_t count)
{
    uint64_t room = headroom_device(step_ordinal(returning)), bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        bytes += step_bytes(&returning[i]);
    bytes = bytes / 16 > room ? bytes / 16 : room;
    bytes = bytes > GRANULE_BYTES ? bytes : GRANULE_BYTES;
    return bytes < PART_BYTES ? bytes : PART_BYTES;
}

struct swapped swap_run(struct step *leaving, uint32_t leaving_count, struct step *returning,
                        uint32_t returning_count)
{
    struct swap swap = {.out = {.list = leaving, .count = leaving_count},
                        .in = {.list = returning, .count = returning_count},
                        .part_bytes = returning_count ? part_for(returning, returning_count) : 0};
    struct swapped swapped = {0};

    for (go_on(&swap); is_under_way(&swap.out) || is_under_way(&swap.in); go_on(&swap)) {
        if (is_under_way(&swap.out))
            swapped.evicted_bytes += end_leaving(&swap);
        else
            swapped.restored_bytes += end_returning(&swap.in);
    }
    return swapped;
}
