/* SPDX-License-Identifier: Apache-2.0 */
/* test_scenarios.c - the scenarios of the policy design, with its numbers: objects among three tiers. */
#include <criterion/criterion.h>
#include <errno.h>

#include "scenario.h"

TestSuite(scenarios, .timeout = 60);

/* SystemDS' script: ColMean, X - ColMean, ColSd, X / ColSd. */
struct script {
    struct model x, mean, centred, deviation, result;
};

static struct script run_script(bool keep_x)
{
    struct script script = {.x = output(60)};

    unpin(&script.x, EBB_DIRTY);
    pin(&script.x, EBB_RO);
    script.mean = output(2);
    unpin(&script.mean, EBB_DIRTY);
    unpin(&script.x, EBB_CLEAN);

    pin(&script.x, EBB_RO);
    pin(&script.mean, EBB_RO);
    script.centred = output(60);
    unpin(&script.x, EBB_CLEAN);
    unpin(&script.mean, EBB_CLEAN);
    unpin(&script.centred, EBB_DIRTY);
    if (!keep_x)
        program_free(&script.x);

    pin(&script.centred, EBB_RO);
    script.deviation = output(2);
    unpin(&script.deviation, EBB_DIRTY);

    pin(&script.deviation, EBB_RO);
    script.result = output(60);
    unpin(&script.deviation, EBB_CLEAN);
    unpin(&script.centred, EBB_CLEAN);
    unpin(&script.result, EBB_DIRTY);
    return script;
}

static void end_script(struct script *script)
{
    struct model *all[] = {&script->x, &script->mean, &script->centred, &script->deviation, &script->result};

    for (unsigned i = 0; i < 5; i++)
        if (all[i]->address) {
            cr_expect(intact(all[i]));
            program_free(all[i]);
        }
}

Test(scenarios, s1_script_of_systemds_fits_without_a_save)
{
    struct script script;

    start(C200 " " HOST100);
    script = run_script(false);
    cr_expect_eq(core.devices[0].budget.used_peak_bytes, 124 * MIB);
    cr_expect_eq(core.counters.blocks_saved, 0);
    cr_expect_eq(moved(MOVE_DEVICE_TO_HOST), 0);
    cr_expect_eq(operations(), 0);
    world_check(&world);
    end_script(&script);
    world_finish(&world);
}

Test(scenarios, s2_cold_buffer_leaves_first_then_the_oldest)
{
    struct script script;
    struct model b;

    start(C200 " EBBTIDE_HOST_BUDGET=400M");
    b = make_named(76);
    script = run_script(true);
    cr_expect_eq(evictions(), 2);
    cr_expect_eq(ask(&b).tier, EBB_TIER_HOST);
    cr_expect_eq(ask(&script.x).tier, EBB_TIER_HOST);
    cr_expect_eq(moved(MOVE_DEVICE_TO_HOST), 136);
    cr_expect_eq(core.devices[0].budget.used_peak_bytes, 198 * MIB, "%llu",
                 (unsigned long long)core.devices[0].budget.used_peak_bytes / MIB);
    cr_expect_eq(operations(), 0);
    cr_expect_eq(buffers(), 124);
    cr_expect_eq(ask(&b).saves, 1);
    cr_expect_eq(ask(&script.x).saves, 1);
    world_check(&world);

    pin(&b, EBB_RO);
    cr_expect_eq(moved(MOVE_HOST_TO_DEVICE), 76);
    cr_expect_eq(used(), 200);
    cr_expect_eq(evictions(), 2);
    cr_expect(intact(&b));
    unpin(&b, EBB_CLEAN);
    world_check(&world);
    program_free(&b);
    end_script(&script);
    world_finish(&world);
}

Test(scenarios, s3_clean_copy_saves_the_second_save)
{
    struct model b;

    start(C200 " EBBTIDE_HOST_BUDGET=400M");
    b = make_named(60);
    cr_assert_eq(object_evict(b.address, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_eq(ask(&b).saves, 1);
    pin(&b, EBB_RO);
    cr_expect_eq(moved(MOVE_HOST_TO_DEVICE), 60);
    unpin(&b, EBB_CLEAN);
    cr_expect_eq(ask(&b).dirty, 0);
    cr_expect_eq(core.host_budget.class_bytes[HOST_TIER], 60 * MIB, "the copy is still there");
    world_check(&world);
    cr_assert_eq(object_evict(b.address, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_eq(ask(&b).saves, 1);
    cr_expect_eq(moved(MOVE_DEVICE_TO_HOST), 60);
    pin(&b, EBB_RW);
    model_write(&b);
    unpin(&b, EBB_DIRTY);
    cr_expect_eq(ask(&b).dirty, 1);
    cr_expect_eq(core.host_budget.class_bytes[HOST_TIER], 0, "the copy is released");
    cr_assert_eq(object_evict(b.address, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_eq(ask(&b).saves, 2);
    cr_expect(intact(&b));
    world_check(&world);
    program_free(&b);
    world_finish(&world);
}

static const char s4_settings[] = C200 " " HOST100 " EBBTIDE_DISK_BUDGET=400M";

Test(scenarios, s4_five_objects_go_down_the_tiers)
{
    struct model b[5];

    start(s4_settings);
    for (unsigned i = 0; i < 5; i++)
        b[i] = make_named(60);
    cr_expect_eq(used(), 120);
    cr_expect_eq(core.host_budget.class_bytes[HOST_TIER], 60 * MIB);
    cr_expect_eq(core.disk.used_bytes, 120 * MIB);
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(ask(&b[i]).tier,
                     i < 2   ? EBB_TIER_DISK
                     : i < 3 ? EBB_TIER_HOST
                             : EBB_TIER_DEVICE,
                     "%u", i);
    pin(&b[0], EBB_RO);
    cr_expect(model_intact(&b[0]));
    unpin(&b[0], EBB_CLEAN);
    world_check(&world);
    for (unsigned i = 0; i < 5; i++) {
        cr_expect(intact(&b[i]), "%u", i);
        program_free(&b[i]);
    }
    world_finish(&world);
}

/* C of the host is 100: operations none, buffers at most 70. */
Test(scenarios, host_buffers_keep_to_their_maximum_where_areas_are_in_force)
{
    for (unsigned shares = 0; shares < 2; shares++) {
        struct model b[3], loose;

        start(shares ? s4_settings : C200 " " HOST100 " EBBTIDE_DISK_BUDGET=400M EBBTIDE_BUFFERS=off");
        loose = make(40);
        for (unsigned i = 0; i < 3; i++)
            b[i] = make_named(20);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(object_evict(b[i].address, EBB_TIER_HOST), 20 * (long)MIB);
        cr_expect_eq(core.host_share.books.bytes[SHARE_BUFFER], 60 * MIB);
        cr_expect_eq(core.disk.used_bytes, 0);
        name(&loose);
        cr_assert_eq(object_evict(loose.address, EBB_TIER_HOST), 40 * (long)MIB);
        cr_expect_eq(ask(&b[0]).tier, shares ? EBB_TIER_DISK : EBB_TIER_HOST);
        cr_expect_eq(ask(&b[1]).tier, shares ? EBB_TIER_DISK : EBB_TIER_HOST, "60 of 70 stay");
        cr_expect_eq(ask(&b[2]).tier, EBB_TIER_HOST);
        cr_expect_eq(ask(&loose).tier, EBB_TIER_HOST);
        world_check(&world);
        pin(&b[2], EBB_RO);
        cr_expect_eq(core.host_budget.class_bytes[HOST_TIER], (shares ? 60 : 100) * MIB, "its copy is kept");
        cr_expect_eq(core.host_share.books.bytes[SHARE_BUFFER], (shares ? 40 : 80) * MIB, "and no buffer");
        unpin(&b[2], EBB_CLEAN);
        world_check(&world);
        for (unsigned i = 0; i < 3; i++) {
            cr_expect(intact(&b[i]));
            program_free(&b[i]);
        }
        program_free(&loose);
        cr_expect_eq(core.host_share.books.bytes[SHARE_BUFFER], 0);
        world_finish(&world);
    }
}

Test(scenarios, s4b_object_that_cannot_be_saved_stays_and_the_next_allocation_is_refused)
{
    struct model b[5];
    uint64_t address = 1;
    struct ebb_block_info before[5], after;

    start(C200 " " HOST100 " EBBTIDE_DISK_BUDGET=100M");
    for (unsigned i = 0; i < 5; i++)
        b[i] = make_named(60);
    for (unsigned i = 0; i < 5; i++)
        before[i] = ask(&b[i]);
    cr_expect_eq(before[2].tier, EBB_TIER_DEVICE);
    cr_expect_eq(core.blocks.object[address_granule(&core.blocks, b[2].address)].entry.queue, QUEUE_BUFFERS);
    cr_assert_eq(core_allocate(0, 60 * MIB, 0, NULL, true, &address), -ENOMEM);
    cr_expect_eq(address, 1);
    world_check(&world);
    for (unsigned i = 0; i < 5; i++) {
        after = ask(&b[i]);
        cr_expect_eq(after.tier, before[i].tier, "%u", i);
        cr_expect_eq(after.resident_bytes, before[i].resident_bytes, "%u", i);
    }
    for (unsigned i = 0; i < 5; i++) {
        cr_expect(intact(&b[i]), "%u", i);
        program_free(&b[i]);
    }
    world_finish(&world);
}

Test(scenarios, s5_six_blocks_in_three_tiers_and_a_touch_moves_nothing)
{
    struct model b[6];
    uint64_t bytes;

    start("EBBTIDE_DEVICE_BUDGET=18M EBBTIDE_HOST_BUDGET=18M EBBTIDE_OPERATIONS=off");
    for (unsigned i = 0; i < 6; i++)
        b[i] = make_named(8);
    for (unsigned i = 0; i < 6; i++)
        cr_expect_eq(ask(&b[i]).tier, 2 - (int)i / 2, "%u", i);
    bytes = moved(MOVE_DEVICE_TO_HOST) + moved(MOVE_HOST_TO_DEVICE) + moved(MOVE_HOST_TO_DISK) +
            moved(MOVE_DISK_TO_HOST);
    cr_assert_eq(object_touch(b[2].address), 0);
    cr_expect_eq(moved(MOVE_DEVICE_TO_HOST) + moved(MOVE_HOST_TO_DEVICE) + moved(MOVE_HOST_TO_DISK) +
                     moved(MOVE_DISK_TO_HOST),
                 bytes);
    cr_expect_eq(ask(&b[2]).tier, EBB_TIER_HOST);
    world_check(&world);
    for (unsigned i = 0; i < 6; i++) {
        cr_expect(intact(&b[i]), "%u", i);
        program_free(&b[i]);
    }
    world_finish(&world);
}

Test(scenarios, s6_reservations_push_buffers_out_up_to_their_maximum)
{
    struct model b[8];
    ebb_reservation first, second, third = 7;
    uint64_t over = 7;

    start(C200 " EBBTIDE_HOST_BUDGET=400M");
    for (unsigned i = 0; i < 7; i++)
        b[i] = make_named(20);
    cr_expect_eq(evictions(), 0);
    b[7] = make_named(20);
    cr_expect_eq(evictions(), 1);
    first = reserve(100);
    cr_expect_eq(evictions(), 3);
    cr_expect_eq(buffers(), 100);
    second = reserve(40);
    cr_expect_eq(evictions(), 5);
    cr_expect_eq(buffers(), 60);
    cr_expect_eq(operations(), 140);
    cr_expect_eq(reservation_make(0, 2 * MIB, 0, 0, &third, &over), -ENOSPC);
    cr_expect_eq(third, 7);
    cr_expect_eq(over, 7);
    cr_expect_eq(evictions(), 5);
    cr_expect_eq(operations(), 140);
    world_check(&world);
    cr_expect_eq(reservation_release(first, UINT64_MAX), 0);
    cr_expect_eq(reservation_release(second, UINT64_MAX), 0);
    for (unsigned i = 0; i < 8; i++)
        program_free(&b[i]);
    world_finish(&world);
}
