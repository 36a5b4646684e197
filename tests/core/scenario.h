/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.h - objects of the core on a fake device, in MiB, for the scenarios of the policy design.
 *
 * The figures are those of the tiers: a budget is the figure and the staging reserve, which is one chunk (a sixteenth
 * of the budget) and not for policy to fill.
 */
#ifndef EBBTIDE_TESTS_SCENARIO_H
#define EBBTIDE_TESTS_SCENARIO_H

#include <criterion/criterion.h>

#include "api/object.h"
#include "engine/mover.h"
#include "engine/reservation.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

static struct world world;

#define C200    "EBBTIDE_DEVICE_BUDGET=212M"
#define HOST100 "EBBTIDE_HOST_BUDGET=112M"

static inline void start(const char *settings)
{
    world_start(&world, settings, NULL);
}

static inline struct model make(uint64_t mib)
{
    static uint64_t seed;
    struct model block = {.bytes = mib * MIB, .seed = ++seed << 40};
    struct use use;

    cr_assert_eq(core_allocate(0, block.bytes, 0, NULL, true, &block.address), 0);
    use_init(&use, true);
    use_word(&use, block.address);
    cr_assert_eq(use_begin(&use), 0);
    model_write(&block);
    use_end(&use);
    return block;
}

static inline void name(const struct model *block)
{
    cr_assert_eq(object_register(block->address, block->bytes, 0, "block"), 0);
}

static inline struct model make_named(uint64_t mib)
{
    struct model block = make(mib);

    name(&block);
    return block;
}

static inline void pin(const struct model *block, unsigned flags)
{
    cr_assert_eq(object_pin(block->address, flags, NULL), 0);
}

static inline void unpin(const struct model *block, unsigned flags)
{
    cr_assert_eq(object_unpin(block->address, flags), 0);
}

static inline uint32_t first_of(const struct model *block)
{
    return address_granule(&core.blocks, block->address);
}

/* Off the device, as the mover sends it: how many bytes left. */
static inline uint64_t send_off(const struct model *block, bool to_disk)
{
    uint64_t sent;

    mover_take();
    sent = mover_send(first_of(block), to_disk);
    mover_give();
    return sent;
}

static inline ebb_reservation reserve(uint64_t mib)
{
    ebb_reservation reservation;
    uint64_t over = 1;

    cr_assert_eq(reservation_make(0, mib * MIB, 0, 0, &reservation, &over), 0);
    cr_assert_eq(over, 0);
    return reservation;
}

/* What an operation writes: reserved, allocated, committed; pinned until the operation is over. */
static inline struct model output(uint64_t mib)
{
    ebb_reservation reservation = reserve(mib);
    uint64_t used = core.devices[0].budget.used_bytes;
    struct model block = make_named(mib);

    cr_assert_eq(core.devices[0].budget.used_bytes, used, "it was reserved already");
    cr_assert_eq(reservation_commit(reservation, block.address), 0);
    return block;
}

static inline struct ebb_block_info ask(const struct model *block)
{
    struct ebb_block_info info = {.struct_bytes = sizeof(info)};

    cr_assert_eq(object_query(block->address, &info), 0);
    return info;
}

static inline uint64_t moved(enum move_kind move)
{
    return core.counters.moves[move].bytes / MIB;
}

static inline uint64_t operations(void)
{
    struct shares shares = share_state(0);

    return shares.operations_bytes / MIB;
}

static inline uint64_t buffers(void)
{
    return core.devices[0].shares.bytes[SHARE_BUFFER] / MIB;
}

static inline uint64_t used(void)
{
    return core.devices[0].budget.used_bytes / MIB;
}

static inline uint64_t evictions(void)
{
    return core.counters.blocks_evicted;
}

static inline bool intact(const struct model *block)
{
    struct use use;
    bool good;

    use_init(&use, false);
    use_word(&use, block->address);
    cr_assert_eq(use_begin(&use), 0);
    good = model_intact(block);
    use_end(&use);
    return good;
}

#endif
