/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api_random.c - random use of the API against the plainest model: what each object holds, how often it is pinned,
 * and whether it was written since it was last saved.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "api/object.h"
#include "engine/mover.h"
#include "engine/reservation.h"
#include "engine/restore.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(api_random, .timeout = 3600);

enum {
    OBJECTS = 12,
    PINS_MOST = 3
};

struct made {
    struct model block;
    unsigned pins, saves;
    bool written;  /* since it was last saved */
    bool writable; /* pinned to be written, too */
};

static struct world world;
static struct program program; /* for its random numbers */
static struct made object[OBJECTS];
static ebb_reservation reservation;
static uint64_t saved_twice;

static void start(const char *settings, uint64_t seed)
{
    world_start(&world, settings, NULL);
    program_init(&program, &world, PROGRAM_BLOCKS, seed);
    program.may_refuse = true;
}

/* Saves are counted; each must have had a reason. */
static void observe(void)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        struct ebb_block_info info = {.struct_bytes = sizeof(info)};

        if (!object[i].block.address)
            continue;
        cr_assert_eq(object_query(object[i].block.address, &info), 0);
        cr_assert_eq(info.pins, object[i].pins);
        cr_assert_leq(info.saves, object[i].saves + 1);
        if (info.saves > object[i].saves && !object[i].written)
            saved_twice++;
        if (info.saves > object[i].saves)
            object[i].written = false;
        object[i].saves = info.saves;
        if (object[i].pins && !restore_stream_any())
            cr_assert_eq(info.tier, EBB_TIER_DEVICE, "it is pinned");
    }
}

static void step_make(struct made *made)
{
    uint64_t bytes = (1 + program_draw(&program, 3)) * 2 * MIB;

    if (!program_allocate(&program, &made->block, bytes))
        return;
    made->pins = made->saves = 0;
    made->writable = false;
    made->written = true;
    cr_assert_eq(object_register(made->block.address, bytes, 0, NULL), 0);
}

/* Behind a stream the block may still be on its way when the call is made; the stream gets there before the call
 * does. */
static void step_launch(struct made *used, bool write, void *stream)
{
    struct use use;

    write = write && (!used->pins || used->writable); /* who pins to read promises not to write */
    use_init(&use, write);
    use.stream = stream;
    use_word(&use, used->block.address);
    if (use_begin(&use) < 0)
        return;
    if (stream)
        fake_finish_kernels(world.fake);
    cr_assert(model_intact(&used->block));
    if (write) {
        used->block.seed += UINT64_C(1) << 33;
        model_write(&used->block);
        used->written = true;
    }
    use_end(&use);
}

static void step_pin(struct made *used)
{
    bool read_only = program_draw(&program, 2);
    void *stream = program_draw(&program, 2) ? &program : NULL;

    if (used->pins == PINS_MOST || object_pin(used->block.address, read_only ? EBB_RO : EBB_RW, stream) < 0)
        return;
    used->writable = !read_only || (used->pins && used->writable);
    used->pins++;
    if (read_only && !stream) {
        cr_assert(model_intact(&used->block), "it is there, without a launch");
        return;
    }
    step_launch(used, !read_only, stream);
}

static void step_unpin(struct made *used)
{
    bool dirty = program_draw(&program, 3) == 0;

    cr_assert_eq(object_unpin(used->block.address, dirty ? EBB_DIRTY : EBB_CLEAN), used->pins ? 0 : -EINVAL);
    if (!used->pins)
        return;
    used->pins--;
    used->written = used->written || dirty; /* as it says */
}

static void step_reserve(void)
{
    uint64_t over;

    if (!reservation)
        reservation_make(0, (1 + program_draw(&program, 10)) * MIB, 0, 0, &reservation, &over);
    else if (reservation_release(reservation, UINT64_MAX) == 0 || true)
        reservation = 0;
}

static void step(void)
{
    struct made *used = &object[program_draw(&program, OBJECTS)];

    switch (program_draw(&program, 12)) {
    case 0:
        step_reserve();
        return;
    case 1:
        if (used->block.address)
            program_free(&used->block);
        used->block.address = 0;
        return;
    default:
        break;
    }
    if (!used->block.address) {
        step_make(used);
        return;
    }
    switch (program_draw(&program, 9)) {
    case 0:
        step_launch(used, true, program_draw(&program, 2) ? &program : NULL);
        break;
    case 1:
        step_launch(used, false, NULL);
        break;
    case 2:
    case 3:
        step_pin(used);
        break;
    case 4:
    case 5:
        step_unpin(used);
        break;
    case 6:
        cr_assert_eq(object_evict(used->block.address,
                                  program_draw(&program, 16) ? EBB_TIER_HOST : EBB_TIER_DISK) == -EBUSY,
                     used->pins != 0);
        break;
    case 7:
        object_prefetch(used->block.address);
        break;
    default:
        cr_assert_eq(object_touch(used->block.address), 0);
        break;
    }
}

static void run(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        step();
        observe();
        if (i % 16 == 0) {
            mover_take(); /* what is on its way behind a stream comes to rest */
            mover_give();
            world_check(&world);
        }
    }
    if (reservation)
        reservation_release(reservation, UINT64_MAX);
    reservation = 0;
    for (unsigned i = 0; i < OBJECTS; i++)
        if (object[i].block.address)
            program_free(&object[i].block);
    world_finish(&world);
}

static unsigned steps(void)
{
    return getenv("EBBTIDE_TEST_LONG") ? 1000000 : 10000;
}

Test(api_random, none_is_saved_twice_without_a_write_in_between)
{
    start("EBBTIDE_DEVICE_BUDGET=24M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK_BUDGET=400M", 11);
    run(steps());
    cr_expect_eq(saved_twice, 0);
}

Test(api_random, keep_their_bytes_when_host_memory_and_disk_are_short)
{
    start("EBBTIDE_DEVICE_BUDGET=24M EBBTIDE_HOST_BUDGET=14M EBBTIDE_DISK_BUDGET=20M", 12);
    run(steps() / 40);
}
