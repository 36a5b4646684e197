/* SPDX-License-Identifier: Apache-2.0 */
/* test_pressure_callback.c - who is asked before a launch is refused, and what a reservation would overbook. */
#include <criterion/criterion.h>
#include <errno.h>

#include "api/object.h"
#include "engine/callbacks.h"
#include "engine/reservation.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(pressure_callback, .timeout = 60);

static struct world world;

static struct model make(uint64_t mib)
{
    static uint64_t seed;
    struct model block = {.bytes = mib * MIB, .seed = ++seed << 40};

    cr_assert_eq(core_allocate(0, block.bytes, 0, NULL, true, &block.address), 0);
    model_write(&block);
    cr_assert_eq(object_register(block.address, block.bytes, 0, NULL), 0);
    return block;
}

static unsigned asked;
static uint64_t wanted;

static int unpin(int tier, int device, size_t bytes, void *arg)
{
    const struct model *pinned = arg;

    cr_expect_eq(tier, EBB_TIER_DEVICE);
    cr_expect_eq(device, 0);
    wanted = bytes;
    asked++;
    return pinned && object_unpin(pinned->address, EBB_CLEAN) == 0;
}

Test(pressure_callback, launch_asks_the_program_for_room_before_it_is_refused)
{
    struct model away, pinned;

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=68M EBBTIDE_HOST_BUDGET=128M EBBTIDE_RESIDENCY=strict", NULL);
    away = make(40);
    cr_assert_gt(object_evict(away.address, EBB_TIER_HOST), 0);
    pinned = make(40);
    cr_assert_eq(object_pin(pinned.address, EBB_RO, NULL), 0);
    pressure_callback_set(unpin, NULL);
    cr_expect_eq(model_launch(&away), -ENOMEM);
    cr_expect_eq(asked, 1, "who gives nothing is not asked again");
    pressure_callback_set(unpin, &pinned);
    cr_expect_eq(model_launch(&away), 0);
    cr_expect_eq(asked, 2);
    cr_expect_eq(wanted, 40 * MIB);
    pressure_callback_set(NULL, NULL);
    program_free(&away);
    program_free(&pinned);
    world_finish(&world);
}

Test(pressure_callback, overbooking_that_is_asked_for_counts_whole_objects)
{
    struct model block[2];
    ebb_reservation reservation = 0;
    uint64_t over = 1;

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=68M EBBTIDE_HOST_BUDGET=20M EBBTIDE_DISK=off", NULL);
    block[0] = make(36);
    block[1] = make(8);
    cr_expect_eq(reservation_make(0, 20 * MIB, EBB_OVERBOOK_ASK, 0, &reservation, &over), 0);
    cr_expect_eq(over, 0);
    cr_expect_eq(reservation_make(0, 30 * MIB, EBB_OVERBOOK_ASK, 0, &reservation, &over), 0);
    cr_expect_eq(over, 10 * MIB, "the host has 20 for the first to leave, which is one of 36: %llu",
                 (unsigned long long)over);
    program_free(&block[0]);
    cr_expect_eq(reservation_make(0, 44 * MIB, EBB_OVERBOOK_ASK, 0, &reservation, &over), 0);
    cr_expect_eq(over, 0);
    program_free(&block[1]);
    world_finish(&world);
}
