/* SPDX-License-Identifier: Apache-2.0 */
/* test_free.c - frees and unpins, against all who take from the same block meanwhile: what it has is given back
 * once, and what was written stays. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/mover.h"
#include "engine/restore.h"
#include "engine/spill.h"
#include "ledger/copies.h"
#include "moment.h"
#include "scenario.h"

TestSuite(free, .timeout = 60);

static void *reclaim(void *arg)
{
    copies_reclaim_slots();
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
    send_off(&block, false);
    cr_assert(intact(&block)); /* it was read, so that its slab stays good */
    cr_assert_gt(core.blocks.object[first_of(&block)].copies, 0);
    moment_meet(world.fake, FAKE_UNMAP, 1, reclaim, NULL);
    program_free(&block);
    moment_part();
    world_check(&world);
    world_finish(&world);
}

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

/* Slots cannot be given back for a while: those who have found one stand there together. */
static void *reclaim_together(void *arg)
{
    pthread_t thread;

    lock_acquire(&core.disk.lock);
    moment_goes_on(); /* whoever unmaps goes on, and comes to the slot */
    wait_a_moment();
    cr_assert_eq(pthread_create(&thread, NULL, reclaim, NULL), 0);
    wait_a_moment();
    lock_release(&core.disk.lock);
    pthread_join(thread, NULL);
    return arg;
}

Test(free, slot_of_a_block_is_given_back_once_while_others_want_its_room)
{
    struct model block;

    start(strict_settings);
    block = make(16); /* too large to be kept for the next one */
    send_off(&block, true);
    cr_assert(intact(&block));
    cr_assert_neq(core.blocks.chunk[first_of(&block)].slot, SLOT_NONE);
    moment_meet(world.fake, FAKE_UNMAP, 1, reclaim_together, NULL);
    program_free(&block);
    moment_part();
    world_check(&world);
    world_finish(&world);
}

Test(free, block_that_is_freed_while_it_is_unmapped_is_unmapped_once)
{
    struct model block;

    start(mapped_settings);
    block = make(8);
    send_off(&block, false);
    cr_assert(core.blocks.chunk[first_of(&block)].mapped);
    name(&block);
    moment_meet(world.fake, FAKE_UNMAP, 1, free_it, &block);
    mover_take();
    spill_make_room(8 * MIB);
    mover_give();
    moment_part();
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
    send_off(&block, false);
    cr_assert_eq(core.blocks.chunk[first].state, CHUNK_BROKEN);
    mover_take();
    moment_meet(world.fake, FAKE_UNMAP, 1, free_it, &block);
    restore_blocks(&first, 1);
    mover_give();
    moment_part();
    world_check(&world);
    world_finish(&world);
}

static void *send_it(void *arg)
{
    send_off(arg, false);
    return NULL;
}

Test(free, unpin_of_what_was_written_voids_its_copies_before_it_can_leave)
{
    struct model block;

    start(mapped_settings);
    block = make_named(8);
    send_off(&block, false);
    pin(&block, EBB_RO);
    cr_assert_gt(core.blocks.object[first_of(&block)].copies, 1);
    block.seed++;
    model_write(&block);
    core.slabs.most_bytes = 0; /* a slab that is given back is destroyed, which can be seen */
    moment_meet(world.fake, FAKE_HOST_DESTROY, 1, send_it, &block);
    unpin(&block, EBB_DIRTY);
    moment_part();
    cr_expect(intact(&block));
    program_free(&block);
    world_finish(&world);
}

/* ---- what ends meanwhile --------------------------------------------------------------------------------------- */

static void *end_reservation(void *arg)
{
    cr_assert_eq(reservation_release(*(ebb_reservation *)arg, UINT64_MAX), 0);
    return NULL;
}

Test(free, reservation_that_ends_while_the_driver_refuses_what_was_drawn_of_it_leaves_nothing_charged)
{
    ebb_reservation reservation;
    struct model block = {.bytes = 8 * MIB};

    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=off");
    reservation = reserve(8);
    moment_at(world.fake, FAKE_CREATE, 1, end_reservation, &reservation);
    fake_fail(world.fake, FAKE_CREATE, 1, UINT64_MAX, -ENOMEM);
    if (core_allocate(0, block.bytes, 0, NULL, true, &block.address) < 0)
        block.address = 0;
    moment_end();
    fake_fail(world.fake, FAKE_CREATE, 1, 0, 0);
    cr_expect_eq(moment.left, 0, "nothing was drawn");
    cr_expect_eq(core.devices[0].budget.class_bytes[CLASS_RESERVED], 0);
    if (block.address)
        program_free(&block);
    world_finish(&world);
}

Test(free, forked_child_has_no_blocks)
{
    struct model block;
    int status;
    pid_t child;

    start(mapped_settings);
    block = make_named(8);
    child = fork();
    if (child == 0) {
        core_forked();
        _exit(blocks_next(&core.blocks, 0) == BLOCK_NONE ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "the child sees blocks of its parent");
    program_free(&block);
    world_finish(&world);
}

/* ---- the wait before --------------------------------------------------------------------------------------- */

static uint64_t freeing_asks(struct model *block)
{
    uint64_t before = world.fake->calls[FAKE_DRAIN];

    program_free(block);
    return world.fake->calls[FAKE_DRAIN] - before;
}

Test(free, device_that_was_given_nothing_since_it_rested_is_not_asked_again)
{
    struct model block[6];
    struct use use;

    start(mapped_settings);
    for (unsigned i = 0; i < 6; i++)
        block[i] = make(2);
    cr_expect_eq(freeing_asks(&block[0]), 1, "it was filled");
    cr_expect_eq(freeing_asks(&block[1]), 0);
    cr_assert(intact(&block[2]));
    cr_expect_eq(freeing_asks(&block[3]), 1, "a call that only reads may go on, too");
    use_init(&use, true);
    cr_assert_eq(use_begin(&use), 0);
    cr_expect_eq(freeing_asks(&block[4]), 1, "a call that names no block");
    use_end(&use);
    cr_expect_eq(freeing_asks(&block[5]), 1, "it was being made when the device came to rest");
    cr_expect_eq(freeing_asks(&block[2]), 0);
    world_finish(&world);
}

Test(free, device_that_did_not_come_to_rest_is_asked_again)
{
    struct model block[2];

    start(mapped_settings);
    for (unsigned i = 0; i < 2; i++)
        block[i] = make(2);
    fake_fail(world.fake, FAKE_DRAIN, 1, 1, -EIO);
    cr_expect_eq(freeing_asks(&block[0]), 1);
    cr_expect_gt(freeing_asks(&block[1]), 0);
    world_finish(&world);
}

Test(free, rest_of_one_device_is_not_that_of_another)
{
    const struct fake_config two = {.count = 2};
    struct model block[2] = {{.bytes = 2 * MIB}, {.bytes = 2 * MIB}};

    world_start(&world, mapped_settings, &two);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(core_allocate(i, block[i].bytes, 0, NULL, true, &block[i].address), 0);
    cr_expect_eq(freeing_asks(&block[0]), 1);
    cr_expect_eq(freeing_asks(&block[1]), 1);
    world_finish(&world);
}
