/* SPDX-License-Identifier: Apache-2.0 */
/* test_copies.c - a copy of a block counts until the block may have been written: what is written when, and what must
 * not move or go meanwhile. */
#include <criterion/criterion.h>

#include "engine/mover.h"
#include "moment.h"
#include "scenario.h"

TestSuite(copies, .timeout = 60);

static const char settings[] =
    "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DISK=always EBBTIDE_OPERATIONS=off";

static const struct chunk *chunk_of(const struct model *block)
{
    return &core.blocks.chunk[first_of(block)];
}

/* Is any part of it mapped host memory, with a slot beside it? */
static bool runs_from_host(const struct model *block)
{
    bool found = false;

    chunks_each(g, &core.blocks, first_of(block))
        found = found || (core.blocks.chunk[g].mapped && core.blocks.chunk[g].slot != SLOT_NONE);
    return found;
}

static void send(const struct model *block, bool to_disk)
{
    cr_assert_gt(send_off(block, to_disk), 0);
}

static void launch(const struct model *const *block, unsigned count, bool writes, void *stream)
{
    struct use use;

    use_init(&use, writes);
    use.stream = stream;
    for (unsigned i = 0; i < count; i++)
        use_word(&use, block[i]->address);
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
}

/* Its bytes change, by a kernel that was started already. */
static void write(struct model *block)
{
    block->seed++;
    model_write(block);
}

static struct model a, b;

/* Back from disk, a block keeps its slot where it was only read. */
static void make_clean(void)
{
    send(&a, true);
    cr_assert(intact(&a));
    cr_assert_neq(chunk_of(&a)->slot, SLOT_NONE);
}

static void finish(void)
{
    world.fake->before = NULL;
    program_free(&a);
    program_free(&b);
    world_finish(&world);
}

Test(copies, slot_of_a_mapped_block_that_was_written_is_not_kept_when_it_is_unmapped)
{
    const struct model *both[] = {&b, &a};

    start(settings);
    a = make(4);
    send(&a, true);
    b = make(38);
    launch(both, 2, true, NULL); /* together they do not fit: one of them runs from host memory */
    cr_assert(runs_from_host(&a));
    write(&a);
    send(&a, true);
    cr_expect(intact(&a));
    finish();
}

static void *write_another(void *unused)
{
    launch((const struct model *const[]){&b}, 1, true, NULL);
    return unused;
}

Test(copies, launch_between_the_mapping_of_a_block_and_its_being_known_counts)
{
    start(settings);
    a = make(2);
    b = make(2);
    send(&a, true);
    moment_at(world.fake, FAKE_GRANT, 2, write_another,
              NULL); /* first for the private address that it is copied to */
    cr_assert(intact(&a));
    cr_assert_eq(moment.left, 0);
    write(&a);
    send(&a, true);
    cr_expect(intact(&a));
    finish();
}

static void *unpin_it(void *unused)
{
    unpin(&a, EBB_CLEAN);
    return unused;
}

Test(copies, launch_that_writes_waits_until_copies_are_void_that_come_to_count_meanwhile)
{
    const struct model *both[] = {&a, &b};

    start(settings);
    a = make_named(4);
    b = make(4);
    send(&a, false);
    pin(&a, EBB_RO);
    cr_assert_gt(core.blocks.object[first_of(&a)].copies, 0);
    send(&b, true);
    moment_at(world.fake, FAKE_COPY, 1, unpin_it, NULL);
    launch(both, 2, true, NULL);
    cr_assert_eq(moment.left, 0);
    cr_expect_eq(core.blocks.object[first_of(&a)].copies, 0);
    write(&a);
    send(&a, false);
    cr_expect(intact(&a));
    finish();
}

Test(copies, launch_behind_an_arrival_may_write_what_has_arrived_long_ago)
{
    const struct model *both[] = {&b, &a};
    int stream;

    start(settings);
    a = make(4);
    b = make_named(4);
    send(&b, false);
    make_clean();
    cr_assert_eq(object_pin(b.address, EBB_RO, &stream), 0);
    launch(both, 2, true, &stream);
    write(&a);
    send(&a, true);
    cr_expect(intact(&a));
    unpin(&b, EBB_CLEAN);
    finish();
}

/* ---- when nothing moves ----------------------------------------------------------------------------------- */

static uint64_t relieve(void)
{
    uint64_t moved;

    mover_take();
    moved = mover_evict((struct pause_plan){.evict_bytes = 4 * MIB});
    mover_give();
    return moved;
}

Test(copies, nothing_moves_during_a_capture)
{
    start(settings);
    a = make(4);
    b = make(4);
    core_capture_begin();
    cr_expect_eq(relieve(), 0);
    core_capture_end();
    cr_expect_gt(relieve(), 0);
    finish();
}

Test(copies, nothing_moves_any_more_while_the_process_ends)
{
    start(settings);
    a = make(4);
    b = make(4);
    atomic_store(&core.leaving, true);
    cr_expect_eq(relieve(), 0);
    atomic_store(&core.leaving, false);
    cr_expect_gt(relieve(), 0);
    finish();
}

Test(copies, memory_that_is_freed_during_a_capture_is_there_until_its_end)
{
    struct model freed;
    uint64_t address;

    start(settings);
    a = make(4);
    b = make(4);
    freed = make(16); /* too large to be kept for the next one */
    address = freed.address;
    core_capture_begin();
    program_free(&freed);
    cr_expect_eq(core.deferred, 1);
    cr_expect(fake_reachable(world.fake, 0, address, 16 * MIB), "what was recorded runs on it");
    core_capture_end();
    cr_expect_eq(core.deferred, 0);
    cr_expect_not(fake_reachable(world.fake, 0, address, 16 * MIB));
    finish();
}
