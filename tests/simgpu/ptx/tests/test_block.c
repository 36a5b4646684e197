/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a block that wait for each other, as C that is written like generated code. */
#include "ptx/device/all.h"
#include "ptx/tests/threads.h"

#include <criterion/criterion.h>

enum {
    THREADS = 100 /* three warps, and four lanes */
};

static u32 words[ROOM_THREADS], more[ROOM_THREADS];

static enum block_end run(unsigned threads, thread_body *body)
{
    return threads_run(ROOM_STACK_BYTES, threads, body);
}

static void pass_on(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0], n = t->ntid[0];

    (void)params;
    for (u32 round = 0; round < 50; round++) {
        u32 seen;

        words[i] = round * 1000 + i;
        ptx_bar_sync(t, 0, 0);
        seen = words[(i + 1) % n];
        more[i] += seen != round * 1000 + (i + 1) % n;
        ptx_bar_sync(t, round % 15 + 1, 0);
    }
}

Test(block, what_was_written_before_a_barrier_is_read_after_it)
{
    cr_assert_eq(run(THREADS, pass_on), BLOCK_DONE);
    for (u32 i = 0; i < THREADS; i++)
        cr_assert_eq(more[i], 0);
    cr_assert_eq(run(ROOM_THREADS, pass_on), BLOCK_DONE);
    for (u32 i = 0; i < ROOM_THREADS; i++)
        cr_assert_eq(more[i], 0);
}

static void reduce(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0];

    (void)params;
    words[i] = ptx_bar_red_popc(t, 3, 0, i % 3 == 0) << 2;
    words[i] |= ptx_bar_red_and(t, 3, 0, i != 7) << 1;
    words[i] |= ptx_bar_red_or(t, 3, 0, i == 7);
}

Test(block, a_barrier_counts_predicates)
{
    cr_assert_eq(run(THREADS, reduce), BLOCK_DONE);
    for (u32 i = 0; i < THREADS; i++)
        cr_assert_eq(words[i], 34 << 2 | 1);
}

static void leave_early(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0];

    (void)params;
    if (i % 5 == 0)
        ptx_exit(t);
    if (i % 5 == 1)
        return;
    ptx_bar_sync(t, 0, 0);
    words[i] = ptx_vote_ballot(t, ~(u32)0, true);
    if (i % 5 == 2)
        return;
    ptx_bar_warp(t, ~(u32)0);
    ptx_bar_sync(t, 1, 0);
    more[i] = 1;
}

Test(block, nobody_waits_for_threads_that_have_ended)
{
    cr_assert_eq(run(THREADS, leave_early), BLOCK_DONE);
    for (u32 i = 0; i < THREADS; i++) {
        u32 alive = 0;

        for (u32 lane = 0; lane < 32 && i / 32 * 32 + lane < THREADS; lane++)
            alive |= (u32)((i / 32 * 32 + lane) % 5 > 1) << lane;
        cr_assert_eq(words[i], i % 5 > 1 ? alive : 0, "thread %u: %x", i, words[i]);
        cr_assert_eq(more[i], i % 5 > 2);
    }
}

/* Two warps bring, two take: by a barrier that those who bring do not wait at. */
static void hand_over(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0];

    (void)params;
    if (t->warp < 2) {
        for (u32 round = 0; round < 3; round++) {
            ptx_bar_sync(t, 2, 128);
            words[i] = round + 1;
            ptx_bar_arrive(t, 1, 128);
        }
    } else {
        for (u32 round = 0; round < 3; round++) {
            ptx_bar_arrive(t, 2, 128);
            ptx_bar_sync(t, 1, 128);
            more[i] += words[i - 64] == round + 1;
        }
    }
}

Test(block, a_barrier_of_some_warps_lets_others_arrive_without_waiting)
{
    cr_assert_eq(run(128, hand_over), BLOCK_DONE);
    for (u32 i = 64; i < 128; i++)
        cr_assert_eq(more[i], 3);
}

/* Those who bring end at once. */
static void hand_over_and_end(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0];

    (void)params;
    if (t->warp < 2) {
        words[i] = i + 1;
        ptx_bar_arrive(t, 1, 128);
    } else {
        ptx_bar_sync(t, 1, 128);
        more[i] = words[i - 64] == i - 63;
    }
}

Test(block, a_thread_that_has_arrived_and_ended_is_counted_once)
{
    cr_assert_eq(run(128, hand_over_and_end), BLOCK_DONE);
    for (u32 i = 64; i < 128; i++)
        cr_assert_eq(more[i], 1);
}

static void count_warps(struct ptx_thread *t, const u8 *params)
{
    (void)params;
    if (t->lane == 5)
        return;
    ptx_bar_sync(t, 4, 128);
    words[t->tid[0]] = 1;
}

Test(block, a_count_takes_warps_whole_however_many_of_their_lanes_there_are)
{
    cr_assert_eq(run(THREADS, count_warps), BLOCK_DONE);
    for (u32 i = 0; i < THREADS; i++)
        cr_assert_eq(words[i], i % 32 != 5);
}

static void wait_apart(struct ptx_thread *t, const u8 *params)
{
    (void)params;
    ptx_bar_sync(t, t->tid[0] == 9, 0);
}

static void meet_apart(struct ptx_thread *t, const u8 *params)
{
    (void)params;
    ptx_bar_warp(t, t->lane < 16 ? 0x1ffff : 0xffffffff);
}

Test(block, threads_that_wait_for_each_other_are_found_out)
{
    cr_assert_eq(run(THREADS, wait_apart), BLOCK_STUCK);
    cr_assert_eq(run(THREADS, meet_apart), BLOCK_STUCK);
    cr_assert_eq(run(THREADS, pass_on), BLOCK_DONE, "the stacks serve again");
}

static void break_off(struct ptx_thread *t, const u8 *params)
{
    (void)params;
    ptx_bar_sync(t, 0, 0);
    if (t->tid[0] == 50)
        block_escape();
    words[t->tid[0]] = 1;
    ptx_bar_sync(t, 0, 0);
}

Test(block, one_thread_ends_all)
{
    cr_assert_not(block_escape());
    cr_assert_eq(run(THREADS, break_off), BLOCK_FAILED);
    cr_assert_eq(words[50] + words[51], 0);
    cr_assert_eq(run(THREADS, pass_on), BLOCK_DONE);
}

static void wait_for_the_next(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0];

    (void)params;
    while (i + 1 < t->ntid[0] && !__atomic_load_n(&words[i + 1], __ATOMIC_ACQUIRE))
        ptx_spin(t);
    __atomic_store_n(&words[i], 1, __ATOMIC_RELEASE);
}

Test(block, a_thread_that_polls_lets_the_others_run)
{
    cr_assert_eq(run(THREADS, wait_for_the_next), BLOCK_DONE);
}

static void shuffle(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0], inside;

    (void)params;
    words[i] = ptx_shfl(t, ~(u32)0, PTX_SHFL_DOWN, i * 3, 2, 31, &inside);
    more[i] = inside;
    words[i] = words[i] * 1000 + ptx_shfl(t, ~(u32)0, PTX_SHFL_UP, i, 3, 0, &inside);
    more[i] = more[i] * 2 + inside;
    words[i] += ptx_shfl(t, ~(u32)0, PTX_SHFL_BFLY, i, 1, 31, &inside) * 100000000;
    more[i] = more[i] * 2 + inside;
    words[i] ^= ptx_shfl(t, ~(u32)0, PTX_SHFL_IDX, i, 35, 0x181f, &inside);
    more[i] = more[i] * 2 + inside;
}

Test(block, lanes_hand_each_other_words_and_keep_their_own_where_there_is_none)
{
    cr_assert_eq(run(64, shuffle), BLOCK_DONE);
    for (u32 i = 0; i < 64; i++) {
        u32 lane = i % 32, base = i - lane;
        u32 expected = (lane < 30 ? i + 2 : i) * 3 * 1000 + (lane >= 3 ? i - 3 : i) + (i ^ 1) * 100000000;

        /* Segments of eight: lane 35 is the fourth of one's own. */
        expected ^= base + lane / 8 * 8 + 3;
        cr_assert_eq(words[i], expected, "lane %u: %u, not %u", lane, words[i], expected);
        cr_assert_eq(more[i], (lane < 30) * 8 + (lane >= 3) * 4 + 2 + 1);
    }
}

/* Halves, quarters and pairs meet by turns, and in branches of their own. */
static void divide(struct ptx_thread *t, const u8 *params)
{
    u32 i = t->tid[0], lane = t->lane, half = lane < 16 ? 0xffff : 0xffff0000;

    (void)params;
    for (u32 round = 0; round < 20; round++) {
        u32 pair = (u32)3 << (lane & ~1u), quarter = (u32)0xff << (lane & ~7u);

        words[i] += ptx_redux_add_u32(t, half, lane);
        if (lane % 4 < 2)
            words[i] += ptx_redux_max_u32(t, pair, i) * 10;
        else
            words[i] += ptx_redux_min_u32(t, pair, i) * 10;
        words[i] ^= ptx_match_any32(t, quarter, lane % 3);
        words[i] += ptx_vote_all(t, half, lane < 16) + 2 * ptx_vote_uni(t, quarter, lane < 20);
    }
}

Test(block, any_mixture_of_masks_meets)
{
    cr_assert_eq(run(THREADS & ~31u, divide), BLOCK_DONE);
    for (u32 i = 0; i < (THREADS & ~31u); i++) {
        u32 lane = i % 32, first = lane & ~7u, value = 0;

        for (u32 round = 0; round < 20; round++) {
            u32 same = 0;

            for (u32 other = first; other < first + 8; other++)
                same |= (u32)(other % 3 == lane % 3) << other;
            value += lane < 16 ? 120 : 376;
            value += (lane % 4 < 2 ? i | 1 : i & ~1u) * 10;
            value ^= same;
            value += (lane < 16) + 2 * (first != 16);
        }
        cr_assert_eq(words[i], value, "thread %u: %u, not %u", i, words[i], value);
    }
}

static void outgrow(struct ptx_thread *t, const u8 *params)
{
    volatile u8 large[200 << 10];

    (void)params;
    large[0] = (u8)t->lane;
    large[sizeof large - 1] = 1;
    ptx_bar_sync(t, 0, 0);
    words[t->tid[0]] = large[0] + large[sizeof large - 1];
}

Test(block, stacks_grow_with_what_a_kernel_needs)
{
    cr_assert_eq(run(40, pass_on), BLOCK_DONE);
    cr_assert_eq(threads_run(512 << 10, 40, outgrow), BLOCK_DONE);
    for (u32 i = 0; i < 40; i++)
        cr_assert_eq(words[i], i % 32 + 1);
}

/* Odd lanes are held up among themselves, lane 3 ends, and lane 5 takes another way; then everybody asks twice. */
static void gather(struct ptx_thread *t, const u8 *params)
{
    static const u8 here, there, elsewhere;
    u32 i = t->tid[0];

    (void)params;
    if (t->lane % 2 == 1)
        for (u32 round = 0; round < 3; round++)
            ptx_bar_warp(t, 0xaaaaaaaa);
    if (t->lane == 3)
        ptx_exit(t);
    words[i] = ptx_activemask(t, t->lane == 5 ? &elsewhere : &here);
    ptx_bar_sync(t, 0, 0);
    more[i] = ptx_activemask(t, &there);
}

Test(block, lanes_are_active_together_where_they_come_to_the_same_place)
{
    cr_assert_eq(run(THREADS, gather), BLOCK_DONE);
    for (u32 i = 0; i < THREADS; i++) {
        u32 lanes = i / 32 < THREADS / 32 ? ~(u32)0 : 0xf;

        if (i % 32 == 3)
            continue;
        cr_assert_eq(words[i], i % 32 == 5 ? 1 << 5 : lanes & ~(u32)(1 << 5 | 1 << 3), "%u: %x", i, words[i]);
        cr_assert_eq(more[i], lanes & ~(u32)(1 << 3), "%u: %x", i, more[i]);
    }
}

/* Lane 0 waits for nobody who waits for it: at a barrier, for a meeting, or for a word that it writes. */
static void gather_first(struct ptx_thread *t, const u8 *params)
{
    static const u8 here;
    u32 i = t->tid[0];

    (void)params;
    if (i == 0) {
        words[0] = ptx_activemask(t, &here);
        __atomic_store_n(&words[1], 1, __ATOMIC_RELEASE);
        ptx_bar_warp(t, 0x7);
    } else if (i < 3) {
        ptx_bar_warp(t, 0x7);
    } else if (i < 5) {
        while (!__atomic_load_n(&words[1], __ATOMIC_ACQUIRE))
            ptx_spin(t);
    } else if (i < 7) {
        while (!ptx_vote_any(t, 0x60, __atomic_load_n(&words[1], __ATOMIC_ACQUIRE)))
            continue;
    }
    ptx_bar_sync(t, 0, 0);
}

Test(block, who_asks_for_the_active_lanes_waits_for_none_that_wait_for_it)
{
    words[1] = 0;
    cr_assert_eq(run(32, gather_first), BLOCK_DONE);
    cr_assert_eq(words[0], 1);
}
