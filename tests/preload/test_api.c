/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public API through the preloaded library on the simulated driver: the scenarios of the policy design with its
 * numbers, in MiB.
 */
#include "objects.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(api, .timeout = 60);

/* out = in, unpinned afterwards. */
static struct object compute(size_t mib, float value, const struct object *left, const struct object *right)
{
    struct object object;

    pin(left, EBB_RO);
    if (right)
        pin(right, EBB_RO);
    object = output(mib, value);
    unpin(left, EBB_CLEAN);
    if (right)
        unpin(right, EBB_CLEAN);
    unpin(&object, EBB_DIRTY);
    return object;
}

struct script {
    struct object x, mean, centred, deviation, result;
};

static struct script run_script(bool keep_x)
{
    struct script script = {.x = output(60, 1)};

    unpin(&script.x, EBB_DIRTY);
    script.mean = compute(2, 2, &script.x, NULL);
    script.centred = compute(60, 3, &script.x, &script.mean);
    if (!keep_x)
        end(&script.x);
    script.deviation = compute(2, 4, &script.centred, NULL);
    pin(&script.deviation, EBB_RO);
    script.result = compute(60, 5, &script.centred, NULL);
    unpin(&script.deviation, EBB_CLEAN);
    return script;
}

static void end_script(struct script *script)
{
    struct object *all[] = {&script->x, &script->mean, &script->centred, &script->deviation, &script->result};

    for (unsigned i = 0; i < 5; i++)
        if (all[i]->at)
            end(all[i]);
}

Test(api, s1_script_of_systemds_fits_without_a_save)
{
    struct script script;

    begin(100);
    cr_assert_eq(ebb_push_peak(), 0);
    script = run_script(false);
    struct ebb_stats peak = {.struct_bytes = sizeof peak};

    cr_assert_eq(ebb_pop_peak(&peak), 0);
    cr_expect_eq(peak.tier[EBB_TIER_DEVICE].peak_bytes, 124 * MIB);
    cr_expect_eq(peak.saves, 0);
    cr_expect_eq(peak.to_host_bytes, 0);
    end_script(&script);
}

Test(api, s2_cold_buffer_leaves_first_then_the_oldest)
{
    struct script script;
    struct object b;

    begin(400);
    b = make_named(76, 9);
    script = run_script(true);
    cr_expect_eq(stats().evictions, 2);
    cr_expect_eq(ask(&b).tier, EBB_TIER_HOST);
    cr_expect_eq(ask(&script.x).tier, EBB_TIER_HOST);
    cr_expect_eq(stats().to_host_bytes, 136 * MIB);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].peak_bytes, 198 * MIB);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].operations_bytes, 0);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].buffers_bytes, 124 * MIB);
    cr_expect_eq(ask(&b).saves + ask(&script.x).saves, 2);
    pin(&b, EBB_RO);
    cr_expect_eq(stats().to_device_bytes, 76 * MIB);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].used_bytes, 200 * MIB);
    cr_expect_eq(stats().evictions, 2);
    unpin(&b, EBB_CLEAN);
    end(&b);
    end_script(&script);
}

Test(api, s3_clean_copy_saves_the_second_save)
{
    struct object b;

    begin(400);
    b = make_named(60, 1);
    cr_assert_eq(ebb_evict(ptr(&b), 0, EBB_TIER_HOST), 60 * (long)MIB);
    pin(&b, EBB_RO);
    cr_expect_eq(stats().to_device_bytes, 60 * MIB);
    unpin(&b, EBB_CLEAN);
    cr_assert_eq(ebb_evict(ptr(&b), 0, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_eq(ask(&b).saves, 1);
    cr_expect_eq(stats().drops, 1);
    pin(&b, EBB_RW);
    b.value = 2;
    OK(cuMemsetD32(b.at, bits_of(2), b.bytes / 4));
    unpin(&b, EBB_DIRTY);
    cr_assert_eq(ebb_evict(ptr(&b), 0, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_eq(ask(&b).saves, 2);
    end(&b);
}

Test(api, write_without_a_pin_makes_a_block_dirty)
{
    struct object b;

    begin(400);
    b = make_named(8, 1);
    cr_assert_gt(ebb_evict(ptr(&b), 0, EBB_TIER_HOST), 0);
    pin(&b, EBB_RO);
    unpin(&b, EBB_CLEAN);
    cr_expect_eq(ask(&b).dirty, 0);
    cr_expect(all_are(b.at, b.bytes / 4, 1), "reading leaves it clean");
    cr_expect_eq(ask(&b).dirty, 0);
    b.value = 2;
    OK(cuMemsetD32(b.at, bits_of(2), b.bytes / 4));
    cr_expect_eq(ask(&b).dirty, 1);
    cr_assert_gt(ebb_evict(ptr(&b), 0, EBB_TIER_HOST), 0);
    end(&b);
}

Test(api, s4_five_objects_go_down_the_tiers)
{
    struct object b[5];

    begin(100);
    for (unsigned i = 0; i < 5; i++)
        b[i] = make_named(60, (float)i);
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(ask(&b[i]).tier,
                     i < 2   ? EBB_TIER_DISK
                     : i < 3 ? EBB_TIER_HOST
                             : EBB_TIER_DEVICE,
                     "%u", i);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].used_bytes, 120 * MIB);
    cr_expect_eq(stats().tier[EBB_TIER_DISK].used_bytes, 120 * MIB);
    for (unsigned i = 0; i < 5; i++)
        end(&b[i]);
}

Test(api, s6_reservations_push_buffers_out_up_to_their_maximum)
{
    struct object b[8];
    ebb_reservation first, second, third = 7;
    size_t over = 7;

    begin(400);
    for (unsigned i = 0; i < 8; i++)
        b[i] = make_named(20, (float)i);
    cr_expect_eq(stats().evictions, 1);
    first = reserve(100);
    cr_expect_eq(stats().evictions, 3);
    second = reserve(40);
    cr_expect_eq(stats().evictions, 5);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].buffers_bytes, 60 * MIB);
    cr_expect_eq(ebb_reserve(2 * MIB, 0, 0, &third, &over), -ENOSPC);
    cr_expect_eq(third, 7);
    cr_expect_eq(over, 7);
    cr_expect_eq(ebb_reserve(2 * MIB, EBB_OVERBOOK_YES, 0, &third, &over), -ENOSPC);
    cr_expect_eq(ebb_reserve(2 * MIB, EBB_OVERBOOK_ASK, 0, &third, &over), -ENOSPC);
    cr_expect_eq(ebb_reserve_release(first, SIZE_MAX), 0);
    cr_expect_eq(ebb_reserve_release(second, SIZE_MAX), 0);
    for (unsigned i = 0; i < 8; i++)
        end(&b[i]);
}

/* ---- peaks and pressure ------------------------------------------------------------------------------------- */

Test(api, peaks_nest)
{
    struct ebb_stats inner = {.struct_bytes = sizeof inner}, outer = inner;
    struct object block;

    begin(100);
    cr_assert_eq(ebb_push_peak(), 0);
    block = make(40, 1);
    end(&block);
    cr_assert_eq(ebb_push_peak(), 0);
    block = make(20, 1);
    end(&block);
    cr_assert_eq(ebb_pop_peak(&inner), 0);
    cr_assert_eq(ebb_pop_peak(&outer), 0);
    cr_expect_eq(inner.tier[EBB_TIER_DEVICE].peak_bytes, 20 * MIB);
    cr_expect_eq(outer.tier[EBB_TIER_DEVICE].peak_bytes, 40 * MIB);
    cr_expect_eq(ebb_pop_peak(NULL), -EINVAL);
}

static struct object pinned[3];
static int refused[4];

/* Calls that need room are refused here; then one block is given up. */
static int give_one(int tier, int device, size_t bytes, void *arg)
{
    unsigned *asked = arg;
    ebb_reservation reservation = 0;

    cr_expect_eq(tier, EBB_TIER_DEVICE);
    cr_expect_eq(device, 0);
    cr_expect_geq(bytes, 60 * MIB);
    refused[0] = ebb_reserve(2 * MIB, 0, 0, &reservation, NULL);
    refused[1] = ebb_reserve_commit(1, ptr(&pinned[0]));
    refused[2] = ebb_prefetch(ptr(&pinned[0]), EBB_TIER_DEVICE, NULL);
    if (*asked == 2)
        return 0;
    unpin(&pinned[*asked], EBB_DIRTY);
    if (*asked)
        end(&pinned[*asked]);
    ++*asked;
    return 1;
}

Test(api, pressure_callback_may_unpin_and_free)
{
    struct object other[2];
    unsigned asked = 0;

    begin(100);
    for (unsigned i = 0; i < 2; i++) {
        pinned[i] = make_named(60, (float)i);
        pin(&pinned[i], EBB_RO);
    }
    cr_assert_eq(ebb_set_pressure_callback(give_one, &asked), 0);
    other[0] = make(60, 5);
    cr_expect_eq(asked, 0);
    cr_expect_eq(ebb_reserve(60 * MIB, 0, 0, &(ebb_reservation){0}, NULL), 0, "op 180 passes 140: unpin");
    cr_expect_eq(asked, 1);
    cr_expect_eq(refused[0], -EDEADLK);
    cr_expect_eq(refused[1], -EDEADLK);
    cr_expect_eq(refused[2], -EDEADLK);
    cr_assert_eq(ebb_set_pressure_callback(NULL, NULL), 0);
    other[1] = make(60, 6);
    end(&other[0]);
    end(&other[1]);
    end(&pinned[0]);
}

/* ---- misuse ------------------------------------------------------------------------------------------------- */

Test(api, misuse_returns_what_the_header_says_and_changes_nothing)
{
    struct object block, small;
    struct ebb_stats before, after;
    ebb_reservation reservation;
    int local = 0;

    begin(100);
    block = make_named(8, 1);
    OK(cuMemAlloc(&small.at, 1000));
    reservation = reserve(4);
    before = stats();

    cr_expect_eq(ebb_register(NULL, 8, 0, NULL), -EINVAL);
    cr_expect_eq(ebb_register(ptr(&block), 8 * MIB, 0, NULL), -EEXIST);
    cr_expect_eq(ebb_register(ptr(&block), 4 * MIB, 0, NULL), -EINVAL);
    cr_expect_eq(ebb_register((char *)ptr(&block) + MIB, MIB, 0, NULL), -EINVAL);
    cr_expect_eq(ebb_register(ptr(&block), 8 * MIB, 64, NULL), -EINVAL);
    cr_expect_eq(ebb_register(ptr(&small), 1000, 0, NULL), -ENOTSUP);
    cr_expect_eq(ebb_pin(NULL, 0, NULL), -EINVAL);
    cr_expect_eq(ebb_pin(ptr(&block), 64, NULL), -EINVAL);
    cr_expect_eq(ebb_pin(&local, 0, NULL), -ENOENT);
    cr_expect_eq(ebb_unpin(ptr(&block), 0), -EINVAL);
    cr_expect_eq(ebb_unpin(&local, 0), -ENOENT);
    cr_expect_eq(ebb_touch(&local), -ENOENT);
    cr_expect_eq(ebb_touch(NULL), -EINVAL);
    cr_expect_eq(ebb_unregister(&local), -ENOENT);
    cr_expect_eq(ebb_prefetch(ptr(&block), EBB_TIER_HOST, NULL), -EINVAL);
    cr_expect_eq(ebb_evict(ptr(&block), 0, EBB_TIER_DEVICE), -EINVAL);
    cr_expect_eq(ebb_set_budget(EBB_TIER_DISK, 0, 1), -ENOTSUP);
    cr_expect_eq(ebb_set_budget(EBB_TIER_DEVICE, 5, 1), -EINVAL);
    cr_expect_eq(ebb_set_budget(EBB_TIER_DEVICE, 0, 0), -EINVAL);
    cr_expect_eq(ebb_set_stage(ptr(&block), -1), -EINVAL);
    cr_expect_eq(ebb_query(ptr(&block), NULL), -EINVAL);
    cr_expect_eq(ebb_get_stats(NULL), -EINVAL);
    cr_expect_eq(ebb_reserve(0, 0, 0, &reservation, NULL), -EINVAL);
    cr_expect_eq(ebb_reserve(MIB, 0, 0, NULL, NULL), -EINVAL);
    cr_expect_eq(ebb_reserve_release(reservation, 6 * MIB), -EINVAL);
    cr_expect_eq(ebb_reserve_release(reservation + 1, 2 * MIB), -EINVAL);
    cr_expect_eq(ebb_reserve_release(reservation, 0), -EINVAL);
    cr_expect_eq(ebb_reserve_commit(reservation + 1, ptr(&block)), -EINVAL);
    cr_expect_eq(ebb_reserve_commit(reservation, &local), -EXDEV);
    pin(&block, EBB_RO);
    cr_expect_eq(ebb_reserve_commit(reservation, ptr(&block)), -EBUSY);
    cr_expect_eq(ebb_unregister(ptr(&block)), -EBUSY);
    cr_expect_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), -EBUSY);
    unpin(&block, EBB_CLEAN);
    cr_expect_eq(ebb_unpin(ptr(&block), EBB_CLEAN), -EINVAL, "unpinned twice");

    after = stats();
    cr_expect_eq(memcmp(before.tier, after.tier, sizeof before.tier[0]), 0);
    cr_expect_eq(before.evictions, after.evictions);
    cr_expect_eq(ask(&block).pins, 0);
    cr_expect_eq(ebb_reserve_release(reservation, 4 * MIB), 0);
    cr_expect_eq(ebb_reserve_release(reservation, SIZE_MAX), -EINVAL, "it has ended");
    OK(cuMemFree(small.at));
    end(&block);
}

Test(api, interior_pointers_stand_for_their_block)
{
    struct object block;
    char *inside;

    begin(100);
    block = make_named(8, 1);
    inside = (char *)ptr(&block) + 5 * MIB + 3;
    cr_expect_eq(ebb_pin(inside, EBB_RO, NULL), 0);
    cr_expect_eq(ask(&block).pins, 1);
    cr_expect_eq(ebb_unpin(ptr(&block), EBB_CLEAN), 0);
    cr_expect_eq(ebb_touch(inside), 0);
    cr_expect_gt(ebb_evict(inside, 0, EBB_TIER_HOST), 0);
    cr_expect_eq(ebb_pin(ptr(&block), EBB_NOWAIT, NULL), -EAGAIN);
    cr_expect_eq(ebb_prefetch(inside, EBB_TIER_DEVICE, NULL), 0);
    cr_expect_eq(ask(&block).tier, EBB_TIER_DEVICE);
    cr_expect_eq(ebb_unregister(inside), 0);
    cr_expect_eq(ebb_touch(inside), -ENOENT);
    end(&block);
}

Test(api, forked_child_is_told_that_nobody_is_there)
{
    struct object block;
    int status;

    begin(100);
    block = make_named(8, 1);
    pid_t child = fork();

    if (child == 0) {
        ebb_reservation reservation;
        struct ebb_stats figures = {.struct_bytes = sizeof figures};
        bool good = ebb_pin(ptr(&block), 0, NULL) == -ENOSYS && ebb_unpin(ptr(&block), 0) == -ENOSYS &&
                    ebb_register(ptr(&block), MIB, 0, NULL) == -ENOSYS && ebb_touch(ptr(&block)) == -ENOSYS &&
                    ebb_reserve(MIB, 0, 0, &reservation, NULL) == -ENOSYS &&
                    ebb_get_stats(&figures) == -ENOSYS && ebb_push_peak() == -ENOSYS;

        _exit(good ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    pin(&block, EBB_RO);
    unpin(&block, EBB_CLEAN);
    end(&block);
}

Test(api, reset_of_the_device_forgets_its_blocks)
{
    struct object block;
    ebb_reservation reservation;

    begin(100);
    block = make_named(8, 1);
    pin(&block, EBB_RO);
    reservation = reserve(4);
    OK(cuDevicePrimaryCtxReset(world.device));
    cr_expect_eq(ebb_unpin(ptr(&block), 0), -ENOENT);
    cr_expect_eq(ebb_pin(ptr(&block), 0, NULL), -ENOENT);
    cr_expect_eq(ebb_reserve_commit(reservation, ptr(&block)), -ENOENT);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].operations_bytes, 4 * MIB, "the reservation is the process's");
    cr_expect_eq(ebb_reserve_release(reservation, SIZE_MAX), 0);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].used_bytes, 0);
}

Test(api, host_memory_that_is_registered_with_us_and_with_the_driver_is_charged_once)
{
    char *memory = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t before;

    begin(100);
    memset(memory, 1, 8 * MIB);
    cr_assert_eq(ebb_register(memory, 8 * MIB, 0, "host"), 0);
    before = stats().tier[EBB_TIER_HOST].used_bytes;
    OK(cuMemHostRegister(memory + MIB, 4 * MIB, 0));
    cr_expect_lt(stats().tier[EBB_TIER_HOST].used_bytes, before + MIB);
    cr_expect_eq(ebb_unregister(memory), -EBUSY);
    OK(cuMemHostUnregister(memory + MIB));
    cr_expect_lt(stats().tier[EBB_TIER_HOST].used_bytes, before + MIB);
    cr_expect_eq(ebb_unregister(memory), 0);
    munmap(memory, 8 * MIB);
}
