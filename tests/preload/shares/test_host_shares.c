/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded, without a device: random sequences of calls on registered host memory, held against a model of the two
 * shares after each. SHARES_SEED=N runs the sequence of one seed, EBBTIDE_TEST_LONG=1 a hundred times as many.
 */
#include <criterion/criterion.h>
#include <ebbtide.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host_model.h"

#define PIECE          ((uint64_t)64 << 10)
#define ROOM           ((uint64_t)4 << 20) /* of addresses for each range */
#define STEPS          32
#define SEEDS          300
#define RESERVE_PIECES 8
#define MOST_PIECES    10           /* of a range */
#define C_BYTES        (20 * PIECE) /* a share has 14 pieces at most */

static char *memory;
static struct host_model model;
static uint64_t others_bytes, random_state;
static char done[4096];

static unsigned draw(unsigned below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((random_state >> 33) % below);
}

static void *at(int index)
{
    return memory + (uint64_t)index * ROOM;
}

static struct ebb_tier_stats host_stats(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert_eq(ebb_get_stats(&now), 0);
    return now.tier[EBB_TIER_HOST];
}

static void note(const char *what, int index, uint64_t bytes)
{
    size_t length = strlen(done);

    snprintf(done + length, sizeof done - length, "\n%s %d, %llu pieces", what, index,
             (unsigned long long)(bytes / PIECE));
}

static void same(const char *what, long long got, long long want, uint64_t seed)
{
    if (got != want)
        cr_assert_fail("seed %llu, %s: %lld, the model says %lld%s", (unsigned long long)seed, what, got,
                       want, done);
}

/* A thread keeps a sixteenth of the budget free beside what goes on: what it sends is not for the call to tell of. */
static void nearly(const char *what, long got, long want, uint64_t seed)
{
    long reserve = got < 0 || want < 0 ? 0 : (long)(RESERVE_PIECES * PIECE);

    if (got > want || got < want - reserve)
        same(what, got, want, seed);
}

/* The thread may have sent a part of it just now. */
static void step_pin(int index, unsigned flags, uint64_t seed)
{
    bool is_pinned = model.range[index].pins;
    int got = ebb_pin(at(index), EBB_RW | flags, NULL);

    if (got != -EAGAIN || !flags || is_pinned)
        same("ebb_pin", got, host_pin(&model, index, true), seed);
}

/* Registered where operations leave it a place: what becomes of others is not for the shares to say. */
static void step_register(int index, uint64_t seed)
{
    uint64_t bytes = (1 + draw(MOST_PIECES)) * PIECE;

    if (host_operations(&model) + bytes > C_BYTES)
        return;
    note("register", index, bytes);
    memset(at(index), index + 1, bytes);
    same("ebb_register", ebb_register(at(index), bytes, 0, NULL), host_register(&model, index, bytes), seed);
}

static void step(uint64_t seed)
{
    int index = (int)draw(HOST_RANGES);
    struct host_range *range = &model.range[index];
    unsigned flags = draw(3) ? 0 : EBB_NOWAIT, what = draw(20);

    if (!range->is_registered) {
        step_register(index, seed);
    } else if (what < 6) {
        note(flags ? "pin at once" : "pin", index, range->bytes);
        step_pin(index, flags, seed);
    } else if (what < 12) {
        note("unpin", index, range->bytes);
        same("ebb_unpin", ebb_unpin(at(index), EBB_DIRTY), host_unpin(&model, index), seed);
    } else if (what < 14) {
        note("touch", index, range->bytes);
        same("ebb_touch", ebb_touch(at(index)), host_touch(&model, index), seed);
    } else if (what < 16) {
        note("evict", index, range->bytes);
        nearly("ebb_evict", ebb_evict(at(index), 0, EBB_TIER_DISK), host_evict(&model, index), seed);
    } else if (what < 18) {
        uint64_t bytes = (1 + draw(20)) * PIECE;

        note("evict any", 0, bytes);
        nearly("ebb_evict", ebb_evict(NULL, bytes, EBB_TIER_DISK), host_evict_any(&model, bytes), seed);
    } else if (what == 18 && host_operations(&model) + range->bytes <= C_BYTES) {
        note("prefetch", index, range->bytes);
        same("ebb_prefetch", ebb_prefetch(at(index), EBB_TIER_HOST, NULL), host_prefetch(&model, index),
             seed);
    } else if (range->here_bytes == range->bytes) {
        note("unregister", index, range->bytes);
        same("ebb_unregister", ebb_unregister(at(index)), host_unregister(&model, index), seed);
    }
}

static void note_here(void)
{
    for (int i = 0; i < HOST_RANGES; i++) {
        struct ebb_block_info info = {.struct_bytes = sizeof info};
        size_t length = strlen(done);

        if (model.range[i].is_registered && ebb_query(at(i), &info) == 0)
            snprintf(done + length, sizeof done - length, "\n%d: %zu of %llu, the model says %llu", i,
                     info.resident_bytes / PIECE, (unsigned long long)(model.range[i].bytes / PIECE),
                     (unsigned long long)(model.range[i].here_bytes / PIECE));
    }
}

static void fail(const char *what, uint64_t seed)
{
    note_here();
    cr_assert_fail("seed %llu: %s%s", (unsigned long long)seed, what, done);
}

/* What the thread sent, and when, decides whose turn it was: one may have a little more than the model says, and another
 * less. Goes on from there. */
static void follow(int index, uint64_t here_bytes, uint64_t seed)
{
    struct host_range *range = &model.range[index];

    if (here_bytes > range->here_bytes + RESERVE_PIECES * PIECE)
        fail("others have left in its place", seed);
    if (here_bytes != range->here_bytes && range->pins)
        fail("a pinned range has left", seed);
    range->here_bytes = here_bytes;
}

static void check(uint64_t seed)
{
    uint64_t want_bytes = host_buffers(&model);
    struct ebb_tier_stats now;

    for (int i = 0; i < HOST_RANGES; i++) {
        struct ebb_block_info info = {.struct_bytes = sizeof info};

        if (!model.range[i].is_registered)
            continue;
        cr_assert_eq(ebb_query(at(i), &info), 0);
        follow(i, info.resident_bytes, seed);
        same("pins of a range", info.pins, model.range[i].pins, seed);
    }
    now = host_stats();
    nearly("buffers", (long)host_buffers(&model), (long)want_bytes, seed);
    nearly("buffers as told", (long)now.buffers_bytes, (long)host_buffers(&model), seed);
    same("operations", (long long)now.operations_bytes, (long long)host_operations(&model), seed);
}

static void clear(void)
{
    for (int i = 0; i < HOST_RANGES; i++) {
        if (!model.range[i].is_registered)
            continue;
        for (; model.range[i].pins; model.range[i].pins--)
            cr_assert_eq(ebb_unpin(at(i), EBB_CLEAN), 0);
        cr_assert_eq(ebb_unregister(at(i)), 0);
    }
    madvise(memory, HOST_RANGES * ROOM, MADV_DONTNEED);
}

static void run_seed(uint64_t seed)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    model = (struct host_model){.capacity_bytes = C_BYTES};
    done[0] = '\0';
    others_bytes = host_stats().used_bytes;
    cr_assert_eq(ebb_set_budget(EBB_TIER_HOST, 0, (int64_t)(others_bytes + C_BYTES)), 0);
    for (unsigned i = 0; i < STEPS; i++) {
        step(seed);
        check(seed);
    }
    cr_assert_eq(ebb_set_budget(EBB_TIER_HOST, 0, (int64_t)(others_bytes + HOST_RANGES * ROOM)), 0);
    clear();
}

TestSuite(host_shares, .timeout = 3600);

Test(host_shares, ranges_are_where_the_model_has_them)
{
    const char *only = getenv("SHARES_SEED");
    uint64_t count = getenv("EBBTIDE_TEST_LONG") ? 100 * SEEDS : SEEDS;

    memory = mmap(NULL, (HOST_RANGES + 1) * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    memory +=
        ROOM - (uintptr_t)memory % ROOM; /* what is no whole piece at the ends of a range never leaves */
    cr_assert_eq(ebb_register(memory, PIECE, 0, NULL), 0);
    if (ebb_evict(memory, 0, EBB_TIER_DISK) == -ENOTSUP)
        cr_skip("faults of the kernel are not handed to this user");
    cr_assert_eq(ebb_unregister(memory), 0);
    if (only)
        run_seed(strtoull(only, NULL, 0));
    for (uint64_t seed = 0; !only && seed < count; seed++)
        run_seed(seed);
}
