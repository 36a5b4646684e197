/* SPDX-License-Identifier: Apache-2.0 */
/*
 * use.c - what a call to the driver does before and after. See core.h.
 *
 * The fast path takes no lock and writes no shared line but a stamp older than STAMP_AGE_US: being inside
 * the user section is the pin. Only a call that finds something away leaves the section, takes launch pins under the
 * mover's role, and enters again; a thread never waits for the role while it holds launch pins, so the holder of the
 * role may wait for pins to be dropped.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cancel_guard.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/pages.h"
#include "engine/callbacks.h"
#include "engine/core.h"
#include "engine/drain.h"
#include "engine/foresight.h"
#include "engine/gate.h"
#include "engine/managed.h"
#include "engine/mover.h"
#include "engine/recording.h"
#include "engine/refusal.h"
#include "engine/restore.h"
#include "engine/scan.h"
#include "host/host_block.h"
#include "ledger/copies.h"
#include "ledger/state.h"

/* ---- the blocks of a use ---------------------------------------------------------------------------------- */

static uint32_t use_total(const struct use *use)
{
    return use->count + use->more_count;
}

static uint32_t use_granule(const struct use *use, uint32_t index)
{
    return index < use->count ? use->granule[index] : use->more[index - use->count];
}

/* The block that entry `index` points into, by its first granule. False: there is none. */
static bool use_block(const struct use *use, uint32_t index, uint32_t *out_first)
{
    return blocks_at(&core.blocks, use_granule(use, index), out_first) != NULL;
}

/* Stamp the blocks at some granules with `now`, where the last stamp is older than `old`; their flags together. */
static inline uint32_t touch(const uint32_t *granule, uint32_t count, uint64_t now, uint64_t old)
{
    const struct blocks blocks = core.blocks; /* the compiler may not keep what an atomic load follows */
    uint32_t flags = 0;

#pragma GCC unroll 8
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = granule[i]; /* for the same reason */
        uint32_t entry = owner_at(&blocks, at);
        _Atomic uint64_t *stamp = owner_stamp(&blocks, entry);

        __builtin_prefetch(&blocks.stamp[at]);
        flags |= entry;
        /* A stamp of 0 says that it is no candidate, and stays. */
        if (UNLIKELY(atomic_load_explicit(stamp, memory_order_relaxed) - 1 < old - 1))
            atomic_store_explicit(stamp, now, memory_order_relaxed);
    }
    return flags & OWNER_FLAGS;
}

static uint32_t all_flags(void)
{
    uint32_t flags = 0;

    granules_each(g, &core.blocks)
        flags |= atomic_load_explicit(&core.blocks.owner[g], memory_order_acquire);
    return flags & OWNER_FLAGS;
}

/* What the call may use is mapped host memory at worst, and to bring all of it back for each such call would be to move
 * everything all the time: then it finds it there, as any pointer does that nobody saw. */
static bool reaches_mapped(const struct use *use)
{
    return use->all == USE_UNSEEN && core.mapped;
}

/* Blocks that only graphs and calls of unknown use have. */
static NO_INLINE uint32_t touch_more(const struct use *use)
{
    uint64_t now = core_stamp();
    uint32_t flags = touch(use->more, use->more_count, now, now - core.stamp_step);

    if (use->all)
        flags |= reaches_mapped(use) ? all_flags() & ~OWNER_AWAY : all_flags();
    return flags;
}

/* Stamp every block; their flags together. */
static inline uint32_t use_touch(const struct use *use)
{
    uint64_t now = core_stamp();
    uint32_t flags = touch(use->granule, use->count, now, now - core.stamp_step);

    if (UNLIKELY(use->more_count | use->all))
        flags |= touch_more(use);
    return flags;
}

/* ---- launch pins of a call that waits for its blocks, noted where they are found if it never returns ------------- */

/* A thread holds those of one use at a time. The note is of its slot of the gate, which keeps the memory for its next
 * owner. */
struct launch_pins {
    uint32_t granule[USE_INLINE];
    const uint32_t *more; /* a graph's */
    uint32_t count, more_count;
    bool all;
    uint32_t *wide; /* a list for use_widen; NULL until one is wanted */
};

/* Memory for the note of this thread, which has a slot. False: there is none. */
static bool launch_pins_ready(void)
{
    struct gate_slot *slot = gate_slot_mine;

    if (!slot->held)
        slot->held = pages_take(sizeof(struct launch_pins));
    return slot->held;
}

static void add(const struct launch_pins *held, uint32_t by)
{
    for (uint32_t i = 0; i < held->count; i++)
        atomic_fetch_add(&core.blocks.block[held->granule[i]].launch_pins, by);
    for (uint32_t i = 0; i < held->more_count; i++)
        atomic_fetch_add(&core.blocks.block[held->more[i]].launch_pins, by);
    if (held->all)
        atomic_fetch_add(&core.pins_all, by);
}

static void drop(struct launch_pins *held)
{
    add(held, UINT32_MAX); /* one less */
    held->count = held->more_count = 0;
    held->all = false;
    core_tell_change();
}

/* Every block stays until the call is in its section, if it needs any that it does not name: else two threads could send
 * away for ever what the other one has brought. */
static bool pins_all(const struct use *use)
{
    return use->all && (!reaches_mapped(use) || all_flags() & ~OWNER_AWAY);
}

/* Pin what the use names: granules, not the blocks there. A block may be freed and another one made under a word that
 * is no pointer, and each pin has to be dropped where it was taken. */
static void launch_pins_take(struct use *use)
{
    struct launch_pins *held = gate_slot_mine->held;

    memcpy(held->granule, use->granule, use->count * sizeof(*use->granule));
    held->count = use->count;
    held->more = use->more;
    held->more_count = use->more_count;
    held->all = pins_all(use);
    add(held, 1);
    use->pinned = true;
}

static void launch_pins_drop(struct use *use)
{
    drop(gate_slot_mine->held);
    use->pinned = false;
}

void use_abandon(struct gate_slot *slot)
{
    struct launch_pins *held = slot->held;

    if (held && (held->count || held->more_count || held->all))
        drop(held);
}

/* ---- the slow path ---------------------------------------------------------------------------------------- */

/* The role's memory for a list of blocks. NULL: there is none. */
static uint32_t *role_list(void)
{
    static uint32_t *list;

    if (!list)
        list = pages_reserve((core.blocks.granules + USE_INLINE) * sizeof(*list));
    return list;
}

/* The role's: blocks of the last list have it as their mark. */
static uint32_t last_mark;

/* May the call go on from a block that it names into others of its ring? */
static inline bool reaches_on(const struct use *use)
{
    return !use->exact || use->more_count || use->all;
}

/* What stands in the way of the use, of the flags of its blocks. */
static inline uint32_t flags_for(const struct use *use, uint32_t flags)
{
    return reaches_on(use) ? flags : flags & ~OWNER_MATES;
}

/* What the use names beside its own list, and with each block those of its ring, each once. core.lock and the role held. */
static uint32_t list_rings(const struct use *use, uint32_t *list)
{
    uint32_t mark = ++last_mark, count = 0, first;

    for (uint32_t i = 0; i < use_total(use); i++) {
        if (!use_block(use, i, &first))
            continue;
        for (uint32_t at = first; core.blocks.block[at].mark != mark;
             at = core.blocks.block[at].range ? core.blocks.block[at].mate : at) {
            core.blocks.block[at].mark = mark;
            list[count++] = at;
        }
    }
    return count;
}

/* Memory for the next list of the slot's; the one before it may be what the use names. NULL: there is none. */
static uint32_t *wide_list(struct launch_pins *held, const uint32_t *before)
{
    uint32_t most = core.blocks.granules;

    if (!held->wide)
        held->wide = pages_reserve(2 * (size_t)most * sizeof(*held->wide));
    return held->wide && before == held->wide ? held->wide + most : held->wide;
}

/* With a block the rest of its ring is used, since a kernel that goes on into one that is not there would fault: they are named,
 * too. The role held. 0 or -ENOSPC. */
static int use_widen(struct use *use)
{
    uint32_t first, *list;
    bool any = false;

    for (uint32_t i = 0; !core.mapped && reaches_on(use) && !any && i < use_total(use); i++)
        any = use_block(use, i, &first) && core.blocks.block[first].range;
    if (!any)
        return 0;
    list = wide_list(gate_slot_mine->held, use->more);
    if (!list)
        return -ENOSPC;
    lock_acquire(&core.lock);
    use->more_count = list_rings(use, list);
    lock_release(&core.lock);
    use->more = list;
    return 0;
}

/* Every block once, however often it is named: it needs its room once. Those named first, then all others that the call
 * needs. */
static uint32_t list_use(const struct use *use, uint32_t *list)
{
    uint32_t needs = reaches_mapped(use) ? OWNER_GONE | OWNER_COPIED : OWNER_FLAGS;
    uint32_t count = 0, mark = ++last_mark;

    for (uint32_t i = 0, first; i < use_total(use); i++) {
        if (!use_block(use, i, &first) || core.blocks.block[first].mark == mark)
            continue;
        core.blocks.block[first].mark = mark;
        list[count++] = first;
    }
    if (!use->all)
        return count;
    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks)
        if (core.blocks.block[g].mark != mark && owner_entry(&core.blocks, g) & needs)
            list[count++] = g;
    lock_release(&core.lock);
    return count;
}

static void keep_copies(const uint32_t *list, uint32_t count, bool keep)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *flags = &core.blocks.object[list[i]].flags;

        if (core.blocks.block[list[i]].flags & BLOCK_REGISTERED)
            *flags = (uint8_t)(keep ? *flags | OBJECT_KEEP : *flags & ~OBJECT_KEEP);
    }
}

static int use_restore(const struct use *use)
{
    uint32_t *list = role_list(), count;
    int error;

    if (!list)
        return -ENOMEM;
    count = list_use(use, list);
    for (uint32_t i = 0; use->writes && i < count; i++)
        if (core.blocks.object[list[i]].copies && !core.blocks.block[list[i]].pins[PIN_API])
            copies_void(list[i]);
    /* Blocks that are only read keep the copies that they come back from. */
    keep_copies(list, use->writes ? 0 : count, true);
    error = restore_blocks(list, count);
    keep_copies(list, use->writes ? 0 : count, false);
    return error;
}

static bool others_hold_pins(const struct use *use)
{
    const struct launch_pins *held = gate_slot_mine->held;

    return core_launch_pins() > use_total(use) || atomic_load(&core.pins_all) > held->all;
}

/* Bytes on the device of which the use names most. */
static uint64_t use_wants(const struct use *use, unsigned *out_ordinal)
{
    uint64_t bytes[DEVICE_MAX] = {0};
    unsigned worst = 0;

    for (uint32_t i = 0, first; i < use_total(use); i++) {
        const struct block *block;

        if (!use_block(use, i, &first))
            continue;
        block = &core.blocks.block[first];
        bytes[block->ordinal] += block->bytes;
        if (bytes[block->ordinal] > bytes[worst])
            worst = block->ordinal;
    }
    *out_ordinal = worst;
    return bytes[worst];
}

/*
 * Pin the blocks and restore them. 0, or a negative errno with nothing pinned: -ENOSPC, or -EDEADLK within a reload
 * callback.
 *
 * Launch pins keep what has come back from leaving again before the call is in its section. They are taken under the
 * role, and a thread that holds some never waits for the role: so while we have it nobody takes any, and those of
 * other threads only become fewer. Where the blocks do not fit and others hold pins, the inner loop waits for one to
 * be dropped and tries again. Where no pin is in the way, a block that is being built or given back may be, and its
 * thread may need the role to finish. So the outer loop gives role and pins back, waits for that, and begins again;
 * it also does when one was finished since it began, which may have taken the room just made. Both loops end with the
 * thread's patience.
 */
static int use_try(void *arg)
{
    struct use *use = arg;
    uint64_t since_ns = core_now();
    uint32_t changes;
    bool again, held;
    int error;

    if (mover_mine) /* a reload callback, in the middle of a move */
        return -EDEADLK;
    if (!launch_pins_ready())
        return -ENOSPC;
    do {
        changes = atomic_load(&core.changes);
        mover_take();
        error = use_widen(use);
        if (error) {
            mover_give();
            return error;
        }
        launch_pins_take(use);
        do {
            held = others_hold_pins(use);
            error = use_restore(use);
            if (error == -ENOSPC && held && others_hold_pins(use))
                core_wait_change();
        } while (error == -ENOSPC && held && !drain_patience_over());
        if (error < 0)
            launch_pins_drop(use);
        mover_give();
        again = error == -ENOSPC && !drain_patience_over() &&
                (atomic_load(&core.changing) || atomic_load(&core.changes) != changes);
        if (again && atomic_load(&core.changing))
            core_wait_change();
    } while (again);
    counters_add(&core.counters.stall_ns, core_now() - since_ns);
    return error;
}

/* Restore the blocks, with the program asked for room before the call is refused. 0, or -ENOMEM with nothing pinned. */
static int use_make_reachable(struct use *use)
{
    unsigned ordinal;
    uint64_t bytes = use_wants(use, &ordinal), outer = drain_patience_begin();
    int error = room_try((int)ordinal, bytes, use_try, use);

    drain_patience_end(outer);
    if (!error)
        return 0;
    refusal_device(ordinal, bytes, "launch");
    return -ENOMEM;
}

/* Copies stand in the way of what may write. */
static uint32_t copied_flag(const struct use *use)
{
    return use->writes ? OWNER_COPIED : 0;
}

/* A call within another one of its thread: nothing can be moved for it, but what is mapped is reached all the same. */
static int use_within(struct use *use, struct gate_slot *slot)
{
    uint32_t first;

    for (uint32_t i = 0; use->writes && i < use_total(use); i++)
        if (use_block(use, i, &first))
            copies_void(first);
    if (flags_for(use, use_touch(use)) & (OWNER_GONE | OWNER_MATES | copied_flag(use))) {
        gate_leave_nested(slot);
        host_hold_drop_all(&use->host);
        return -ENOMEM;
    }
    gate_count(slot, use->writes);
    return 0;
}

/* What the gate may be closed for without stopping the call: where a kernel runs and whose blocks it names is known, and
 * that it reaches no other device's memory than those that let its own in, which a gate that is closed for them is closed
 * for, too. */
static uint32_t use_devices(const void *frame)
{
    const struct use *use = frame;
    unsigned ordinal = DEVICE_MAX;
    uint32_t devices;

    if (use->kernel && !use->all && !use->more_count && core.device->runs_on)
        ordinal = core.device->runs_on(core.device, use->stream);
    if (ordinal >= DEVICE_MAX)
        return GATE_ALL;
    devices = UINT32_C(1) << ordinal;
    for (uint32_t i = 0, first; i < use->count; i++)
        if (use_block(use, i, &first))
            devices |= UINT32_C(1) << core.blocks.block[first].ordinal;
    return devices;
}

/* Leave the section, have what is away restored, and enter again. */
static int use_reenter(struct use *use, struct gate_slot *slot)
{
    uint32_t flags;

    if (restore_stream_serves(use)) {
        gate_count(slot, use->writes);
        return 0;
    }
    if (use->nested)
        return use_within(use, slot);
    do {
        gate_leave(slot);
        if (use->pinned)
            launch_pins_drop(use);
        if (use_make_reachable(use) < 0) {
            host_hold_drop_all(&use->host);
            return -ENOMEM;
        }
        gate_enter(use, use_devices, &use->nested);
        flags = flags_for(use, use_touch(use));
    } while (flags & (OWNER_GONE | OWNER_MATES | copied_flag(use)));
    gate_count(slot, use->writes);
    if (flags & OWNER_AWAY)
        counters_add(&core.counters.zero_copy_launches, 1);
    return 0;
}

/* Some block is away. */
static NO_INLINE int use_wait(struct use *use, struct gate_slot *slot)
{
    struct cancel_guard guard;
    int error;

    cancel_guard_enter(&guard);
    error = use_reenter(use, slot);
    cancel_guard_leave(&guard);
    return error;
}

/* Inside the section: go on, or leave it for what is away. */
static inline int use_go(struct use *use, struct gate_slot *slot)
{
    uint32_t flags = use_touch(use) & OWNER_FLAGS;

    if (UNLIKELY(flags != 0) && (flags_for(use, flags) & ~OWNER_COPIED || flags & copied_flag(use)))
        return use_wait(use, slot);
    gate_count(slot, use->writes);
    return 0;
}

/* The gate is closed, or this is the thread's first call. */
static NO_INLINE int use_begin_slow(struct use *use)
{
    struct gate_slot *slot;
    struct cancel_guard guard;
    int error = -ENOMEM;

    cancel_guard_enter(&guard);
    slot = gate_enter(use, use_devices, &use->nested);
    if (slot)
        error = use_go(use, slot);
    else
        host_hold_drop_all(&use->host);
    cancel_guard_leave(&guard);
    return error;
}

static NO_INLINE int use_begin_attentive(struct use *use)
{
    uint32_t attention = atomic_load_explicit(&core.attention, memory_order_relaxed);
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (attention & ATTENTION_UNPROVEN && use->writes)
        scan_cpu_roots(use);
    if (attention & ATTENTION_NOTE)
        foresight_note(use);
    if (attention & ATTENTION_RECORD)
        recording_note(use);
    if (use->managed_count)
        managed_use(use);
    cancel_guard_leave(&guard);
    return use_begin_slow(use);
}

/* Rare paths are tail calls, so the common path saves no registers. */
int use_begin(struct use *use)
{
    struct gate_slot *slot;

    if (UNLIKELY(atomic_load_explicit(&core.attention, memory_order_relaxed) != 0))
        return use_begin_attentive(use);
    slot = gate_try(use);
    if (UNLIKELY(!slot))
        return use_begin_slow(use);
    return use_go(use, slot);
}

static NO_INLINE void use_end_rare(struct use *use)
{
    if (use->nested)
        gate_leave_nested(gate_slot_mine);
    else
        gate_leave(gate_slot_mine);
    if (use->pinned)
        launch_pins_drop(use);
}

void use_end(struct use *use)
{
    if (UNLIKELY(use->pinned | use->nested))
        use_end_rare(use);
    else
        gate_leave(gate_slot_mine);
    if (UNLIKELY(use->host.count))
        host_hold_drop_all(&use->host);
}
