/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "replay_mover.h"
#include "trace_programs.h"

enum {
    BLOCKS = 5,
    LAUNCHES = 9,
    ROOM = 3
};

static uint64_t state = 88172645463325252;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

/* Blocks of a granule, each launch with one or two of them. */
static void draw_trace(struct trace *trace)
{
    trace_init(trace, "drawn");
    for (uint32_t i = 0; i < BLOCKS; i++)
        trace_make(trace, i, 1);
    for (unsigned i = 0; i < LAUNCHES; i++) {
        trace_launch(trace, 1, 0, 1000);
        trace_use(trace, draw(BLOCKS), true, 1, 1);
        trace_use(trace, draw(BLOCKS), true, 1, 1);
    }
    trace_settle(trace, UINT32_MAX);
}

/* Every order in which anybody could leave is tried, from operation `at` on; `here` has a bit for each block. */
static unsigned fewest(const struct trace *trace, size_t at, unsigned here)
{
    unsigned wanted = 0, best = UINT32_MAX;

    if (at == trace->ops)
        return 0;
    if (trace->op[at].kind == TRACE_MAKE)
        wanted = 1u << trace->op[at].block;
    for (uint32_t k = 0; k < trace->op[at].count; k++)
        wanted |= 1u << trace->use[trace->op[at].use + k].block;
    for (unsigned leave = 0; leave < 1u << BLOCKS; leave++) {
        unsigned left = (here & ~leave) | wanted, moved;

        if (leave & ~here || leave & wanted || (unsigned)__builtin_popcount(left) > ROOM)
            continue;
        moved = (unsigned)__builtin_popcount(leave);
        if (trace->op[at].kind == TRACE_LAUNCH)
            moved += (unsigned)__builtin_popcount(wanted & ~here);
        moved += fewest(trace, at + 1, left);
        best = moved < best ? moved : best;
    }
    return best;
}

Test(replay, no_order_moves_less_than_belady_says)
{
    for (unsigned i = 0; i < 40; i++) {
        struct traffic all, steady;
        struct trace trace;

        draw_trace(&trace);
        belady_run(&trace, ROOM, &all, &steady);
        cr_assert_eq(traffic_sum(&all), fewest(&trace, 0, 0), "trace %u", i);
        trace_finish(&trace);
    }
}

Test(replay, no_policy_moves_less_than_belady_says)
{
    for (unsigned i = 0; i < trace_programs_count; i++) {
        struct traffic bound, all, steady;
        struct trace trace;

        trace_init(&trace, trace_programs[i].name);
        trace_programs[i].make(&trace);
        trace_settle(&trace, 1500);
        for (unsigned percent = 50; percent <= 90; percent += 20) {
            uint64_t room = replay_room(&trace, percent);

            belady_run(&trace, room, &bound, &steady);
            for (int kind = 0; kind < POLICY_COUNT; kind++) {
                replay_run(&trace, room, &policies[kind], &all, &steady, NULL, NULL);
                cr_expect_geq(traffic_sum(&all), traffic_sum(&bound), "%s at %u by policy %d", trace.name,
                              percent, kind);
            }
        }
        trace_finish(&trace);
    }
}

/* Three blocks of three granules in turn, with room for two: each is away when its turn comes. */
Test(replay, lru_moves_every_block_of_a_circle_that_does_not_fit)
{
    struct traffic all, steady;
    struct trace trace;

    trace_init(&trace, "circle");
    for (uint32_t i = 0; i < 3; i++)
        trace_make(&trace, i, 3);
    for (uint32_t i = 0; i < 12; i++) {
        trace_launch(&trace, 1, 0, 1000);
        trace_use(&trace, i % 3, true, 1, 1);
    }
    trace_settle(&trace, UINT32_MAX);
    cr_assert_eq(trace.need, 9);
    replay_run(&trace, 6, &policies[POLICY_LRU], &all, &steady, NULL, NULL);
    cr_expect_eq(all.restored, 12 * 3);
    cr_expect_eq(all.evicted, 3 + 12 * 3);
    cr_expect_eq(all.pauses, 1 + 12);
    cr_expect_eq(traffic_sum(&steady), 6 * 6);
    belady_run(&trace, 6, &all, &steady);
    cr_expect_eq(all.restored, 6 * 3, "%llu", (unsigned long long)all.restored);
    trace_finish(&trace);
}

/* What programs of tests/programs have recorded. A graph's launch is one that names all that any of its kernels does. */
Test(replay, of_recorded_programs_look_ahead_moves_hardly_more_than_lru)
{
    static const char *const names[] = {"hashjoin", "standardize", "training"};

    for (unsigned i = 0; i < 3; i++) {
        struct traffic bound, lru, look, steady;
        struct trace trace;
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", RECORDINGS, names[i]);
        trace_read(&trace, path);
        for (unsigned percent = 50; percent <= 95; percent += 15) {
            uint64_t room = replay_room(&trace, percent);

            belady_run(&trace, room, &bound, &steady);
            replay_run(&trace, room, &policies[POLICY_LRU], &lru, &steady, NULL, NULL);
            replay_run(&trace, room, &policies[POLICY_LOOKAHEAD], &look, &steady, NULL, NULL);
            cr_expect_geq(traffic_sum(&look), traffic_sum(&bound));
            cr_expect_leq(traffic_sum(&look), traffic_sum(&lru) * 105 / 100,
                          "%s at %u: %llu, and %llu by LRU", names[i], percent,
                          (unsigned long long)traffic_sum(&look), (unsigned long long)traffic_sum(&lru));
        }
        trace_finish(&trace);
    }
}

Test(replay, a_trace_that_is_written_and_read_is_the_same)
{
    char path[] = "/tmp/ebbtide-trace-XXXXXX";
    int fd = mkstemp(path);
    struct trace trace, again;

    cr_assert_geq(fd, 0);
    close(fd);
    trace_init(&trace, "queries");
    for (unsigned i = 0; i < trace_programs_count; i++)
        if (!strcmp(trace_programs[i].name, "train-fresh"))
            trace_programs[i].make(&trace);
    trace_settle(&trace, 1000);
    trace_write(&trace, path);
    trace_read(&again, path);
    trace_settle(&again, UINT32_MAX);
    unlink(path);
    cr_assert_eq(again.ops, trace.ops);
    cr_assert_eq(again.uses, trace.uses);
    cr_expect_eq(again.launches, 1000);
    cr_expect_eq(again.need, trace.need);
    for (size_t i = 0; i < trace.uses; i++)
        cr_assert_arr_eq(&again.use[i], &trace.use[i], sizeof(trace.use[i]), "use %zu", i);
    trace_finish(&trace);
    trace_finish(&again);
}
