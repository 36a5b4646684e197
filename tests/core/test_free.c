/* SPDX-License-Identifier: Apache-2.0 */
/* test_free.c - frees and unpins, against all who take from the same block meanwhile: what it has is given back
 * once, and what was written stays. */
#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "engine/mover.h"
#include "ledger/headroom.h"
#include "scenario.h"

TestSuite(free, .timeout = 60);

static uint32_t first_of(const struct model *block)
{
    return address_granule(&core.blocks, block->address);
}

static void send(const struct model *block, bool to_disk)
{
    mover_take();
    mover_send(first_of(block), to_disk);
    mover_give();
}

/* What another thread does once the device is asked something for the first time. */
static struct {
    enum fake_call call;
    void *(*act)(void *arg);
    void *arg;
    pthread_t thread;
    bool started;
    _Atomic bool ended;
} other;

static void *other_run(void *unused)
{
    (void)unused;
    other.act(other.arg);
    atomic_store(&other.ended, true);
    return NULL;
}

/* It comes as far as it can: to its end, unless it has to wait for the one who asks. */
static void at_call(struct fake_device *fake, enum fake_call call, void *arg)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    (void)fake, (void)arg;
    if (call != other.call || other.started)
        return;
    other.started = true;
    cr_assert_eq(pthread_create(&other.thread, NULL, other_run, NULL), 0);
    for (unsigned i = 0; i < 100 && !atomic_load(&other.ended); i++)
        nanosleep(&pause, NULL);
}

static void meet_at(enum fake_call call, void *(*act)(void *arg), void *arg)
{
    other.call = call;
    other.act = act;
    other.arg = arg;
    world.fake->before = at_call;
}

static void part(void)
{
    cr_assert(other.started);
    pthread_join(other.thread, NULL);
    world.fake->before = NULL;
}

static void *reclaim(void *arg)
{
    headroom_reclaim_slots();
    return arg;
}

static void *free_it(void *arg)
{
    program_free(arg);
    return NULL;
}

static const char mapped_settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M";
static const char strict_settings[] =
    "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict";

Test(free, copy_of_a_block_is_given_back_once_while_others_want_its_room)
{
    struct model block;

    start(mapped_settings);
    block = make_named(8);
    send(&block, false);
    cr_assert(intact(&block)); /* it was read, so that its slab stays good */
    cr_assert_gt(core.blocks.object[first_of(&block)].copies, 0);
    meet_at(FAKE_UNMAP, reclaim, NULL);
    program_free(&block);
    part();
    world_check(&world);
    world_finish(&world);
}

static void moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

/* Slots cannot be given back for a while: those who have found one stand there together. */
static void *reclaim_together(void *arg)
{
    pthread_t thread;

    lock_acquire(&core.disk.lock);
    atomic_store(&other.ended, true); /* whoever unmaps goes on, and comes to the slot */
    moment();
    cr_assert_eq(pthread_create(&thread, NULL, reclaim, NULL), 0);
    moment();
    lock_release(&core.disk.lock);
    pthread_join(thread, NULL);
    return arg;
}

Test(free, slot_of_a_block_is_given_back_once_while_others_want_its_room)
{
    struct model block;

    start(strict_settings);
    block = make(16); /* too large to be kept for the next one */
    send(&block, true);
    cr_assert(intact(&block));
    cr_assert_neq(core.blocks.chunk[first_of(&block)].slot, SLOT_NONE);
    meet_at(FAKE_UNMAP, reclaim_together, NULL);
    program_free(&block);
    part();
    world_check(&world);
    world_finish(&world);
}

Test(free, block_that_is_freed_while_it_is_unmapped_is_unmapped_once)
{
    struct model block;

    start(mapped_settings);
    block = make(8);
    send(&block, false);
    cr_assert(core.blocks.chunk[first_of(&block)].mapped);
    name(&block);
    meet_at(FAKE_UNMAP, free_it, &block);
    mover_take();
    mover_spill(8 * MIB, UINT64_MAX);
    mover_give();
    part();
    world_check(&world);
    world_finish(&world);
}

Test(free, broken_block_that_is_freed_while_it_is_repaired_is_given_back_once)
{
    struct model block;
    uint32_t first;

    start(mapped_settings);
    block = make(2);
    first = first_of(&block);
    fake_fail(world.fake, FAKE_GRANT, 1, 1, -EIO); /* host memory is mapped in its place, not granted, */
    fake_fail(world.fake, FAKE_UNMAP, 2, 1, -EIO); /* and cannot be unmapped again */
    send(&block, false);
    cr_assert_eq(core.blocks.chunk[first].state, CHUNK_BROKEN);
    mover_take();
    meet_at(FAKE_UNMAP, free_it, &block);
    restore_blocks(&first, 1);
    mover_give();
    part();
    world_check(&world);
    world_finish(&world);
}

static void *send_it(void *arg)
{
    send(arg, false);
    return NULL;
}

Test(free, unpin_of_what_was_written_voids_its_copies_before_it_can_leave)
{
    struct model block;

    start(mapped_settings);
    block = make_named(8);
    send(&block, false);
    pin(&block, EBB_RO);
    cr_assert_gt(core.blocks.object[first_of(&block)].copies, 1);
    block.seed++;
    model_write(&block);
    core.slabs.keeps_none = true; /* a slab that is given back is destroyed, which can be seen */
    meet_at(FAKE_HOST_DESTROY, send_it, &block);
    unpin(&block, EBB_DIRTY);
    part();
    cr_expect(intact(&block));
    program_free(&block);
    world_finish(&world);
}
