/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of ebbtide.h with every kind of pointer, in every place where it must not be called: what it returns
 * is what the header says, and what ebb_get_stats and ebb_query tell is the same as before.
 */
#include "api_calls.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(misuse, .timeout = 60);

/* ---- what there is -------------------------------------------------------------------------------------------- */

static void start(void)
{
    begin(100);
    block = make_named(8, 1);
    plain = make(8, 2);
    OK(cuMemAlloc(&small.at, 1000));
    host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(host, MAP_FAILED);
    memset(host, 1, BYTES);
    cr_assert_eq(ebb_register(host, BYTES, 0, "host"), 0);
    reserved = reserve(4);
}

static void finish(void)
{
    cr_expect_eq(ebb_reserve_release(reserved, 4 * MIB), 0);
    cr_expect_eq(ebb_unregister(host), 0);
    cr_expect_eq(munmap(host, BYTES), 0);
    OK(cuMemFree(small.at));
    end(&plain);
    end(&block);
}

static void *pointer_of(enum kind kind, char *local)
{
    switch (kind) {
    case NOTHING:
        return NULL;
    case FOREIGN:
        return local;
    case PLAIN:
        return ptr(&plain);
    case SMALL:
        return ptr(&small);
    case UNPINNED:
    case PINNED:
        return ptr(&block);
    default:
        return host;
    }
}

/* All that is told but times, and what the process itself holds in host memory. */
struct state {
    struct ebb_stats stats;
    struct ebb_block_info info[2];
};

static struct state look(void)
{
    struct state state = {.stats = stats(), .info = {ask(&block)}};

    state.info[1].struct_bytes = sizeof state.info[1];
    cr_assert_eq(ebb_query(host, &state.info[1]), 0);
    state.info[0].last_use_ns = state.info[1].last_use_ns = 0;
    state.stats.tier[EBB_TIER_HOST].used_bytes = state.stats.tier[EBB_TIER_HOST].peak_bytes = 0;
    return state;
}

static void expect_same(const struct state *before, const char *what)
{
    struct state after = look();

    cr_expect_eq(memcmp(&before->stats, &after.stats, sizeof after.stats), 0, "figures after %s", what);
    cr_expect_eq(memcmp(before->info, after.info, sizeof after.info), 0, "blocks after %s", what);
}

/* ---- by pointer ----------------------------------------------------------------------------------------------- */

Test(misuse, every_call_says_of_every_pointer_what_the_header_says)
{
    char local;

    start();
    for (enum kind kind = 0; kind < KINDS; kind++) {
        void *at = pointer_of(kind, &local);
        bool is_pinned = kind == PINNED || kind == HOST_PINNED;

        if (is_pinned)
            cr_assert_eq(ebb_pin(at, EBB_RO, NULL), 0);
        for (unsigned i = 0; i < CALLS; i++) {
            struct state before = look();

            if (calls[i].of[kind] == FINE)
                continue;
            cr_expect_eq(calls[i].make(at), calls[i].of[kind], "%s, pointer %u", calls[i].name, kind);
            expect_same(&before, calls[i].name);
        }
        if (is_pinned)
            cr_assert_eq(ebb_unpin(at, EBB_CLEAN), 0);
    }
    finish();
}

/* One pointer of the device, one of the host: what is no misuse of the first byte is none of another. */
Test(misuse, interior_pointers_are_their_block_to_every_call_but_register)
{
    static const long works[2][POINTER_CALLS] = {
        {-EINVAL, -EINVAL, 0, 0, 0, 0, 0, 0, (long)BYTES, 0, 0, 0},
        {-EINVAL, -EINVAL, 0, 0, 0, 0, -EXDEV, 0, (long)BYTES, -ENOENT, -ENOENT, 0}};

    start();
    for (unsigned on_host = 0; on_host < 2; on_host++) {
        char *at = (on_host ? host : (char *)ptr(&block)) + 3 * MIB + 5;
        unsigned order[] = {0, 1, 3, 4, 5, 6, 7, 9, 10, 11, 8, 2}; /* unregister comes last */

        for (unsigned i = 0; i < POINTER_CALLS; i++) {
            const struct call *call = &calls[order[i]];
            long result = call->make(at);

            if (call->make == call_evict && on_host && result == -ENOTSUP)
                continue; /* faults of the kernel are not handed to this user */
            cr_expect_eq(result, works[on_host][order[i]], "%s: %ld", call->name, result);
            if (call->make == call_commit && !on_host)
                cr_expect_eq(ebb_unpin(at, EBB_CLEAN), 0);
        }
    }
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].operations_bytes, 0, "committed, and unpinned");
    cr_assert_eq(ebb_register(ptr(&block), BYTES, 0, "object"), 0);
    cr_assert_eq(ebb_register(host, BYTES, 0, "host"), 0);
    reserved = reserve(4);
    finish();
}

/* ---- by place ------------------------------------------------------------------------------------------------- */

Test(misuse, every_call_in_a_forked_child_says_that_nobody_is_there)
{
    struct state before;
    int status;

    start();
    before = look();
    pid_t child = fork();

    if (child == 0) {
        for (unsigned i = 0; i < CALLS; i++)
            if (calls[i].make(ptr(&block)) != -ENOSYS || calls[i].make(host) != -ENOSYS)
                _exit((int)i + 1);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "%s", WEXITSTATUS(status) ? calls[WEXITSTATUS(status) - 1].name : "signal");
    expect_same(&before, "the child");
    finish();
}

static long in_reload[CALLS];

static int call_all(void *at, size_t offset, void *memory, size_t bytes, void *arg)
{
    (void)offset, (void)arg;
    for (unsigned i = 0; i < CALLS; i++)
        in_reload[i] = calls[i].make(at);
    memset(memory, 0, bytes);
    return 0;
}

Test(misuse, every_call_in_a_reload_callback_is_a_deadlock)
{
    struct object table;
    struct ebb_stats before;

    start();
    cr_assert_eq(ebb_reserve_release(reserved, 4 * MIB), 0); /* or it would draw on it, and stay */
    table = make(8, 0);
    reserved = reserve(4);
    cr_assert_eq(ebb_register(ptr(&table), BYTES, EBB_RELOADABLE, "table"), 0);
    cr_assert_eq(ebb_set_reload_callback(ptr(&table), call_all, NULL), 0);
    cr_assert_eq(ebb_evict(ptr(&table), 0, EBB_TIER_HOST), (long)BYTES);
    before = stats();
    pin(&table, EBB_RO);
    for (unsigned i = 0; i < CALLS; i++)
        cr_expect_eq(in_reload[i], -EDEADLK, "%s", calls[i].name);
    unpin(&table, EBB_CLEAN);
    cr_expect_eq(ask(&table).pins, 0);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].operations_bytes,
                 before.tier[EBB_TIER_DEVICE].operations_bytes);
    end(&table);
    finish();
}

/* In it: what needs room is refused and changes nothing, the rest answers as ever. */
static int want_room(int tier, int device, size_t bytes, void *arg)
{
    static long (*const need_room[])(void *) = {call_pin, call_commit, call_prefetch, call_reserve};
    unsigned *asked = arg;

    (void)tier, (void)device, (void)bytes;
    ++*asked;
    for (unsigned i = 0; i < sizeof need_room / sizeof need_room[0]; i++) {
        struct state before = look();

        cr_expect_eq(need_room[i](ptr(&block)), -EDEADLK, "%u", i);
        expect_same(&before, "a call that needs room");
    }
    cr_expect_eq(ebb_unpin(ptr(&block), EBB_CLEAN), -EINVAL);
    cr_expect_eq(ebb_touch(ptr(&plain)), -ENOENT);
    cr_expect_eq(ebb_touch(ptr(&block)), 0);
    cr_expect_eq(call_release(NULL), 0);
    return 0;
}

Test(misuse, calls_that_need_room_are_a_deadlock_in_a_pressure_callback)
{
    unsigned asked = 0;

    start();
    cr_assert_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), (long)BYTES);
    cr_assert_eq(ebb_set_pressure_callback(want_room, &asked), 0);
    cr_expect_eq(ebb_reserve(400 * MIB, 0, 0, &(ebb_reservation){0}, NULL), -ENOSPC);
    cr_expect_eq(asked, 1);
    cr_assert_eq(ebb_set_pressure_callback(NULL, NULL), 0);
    cr_expect_eq(ebb_reserve_release(reserved, 4 * MIB), -EINVAL, "half of it was given back");
    cr_expect_eq(ebb_reserve_release(reserved, 2 * MIB), 0);
    reserved = reserve(4);
    finish();
}

Test(misuse, every_call_after_a_reset_of_the_device_finds_no_block)
{
    struct ebb_stats before;

    start();
    OK(cuDevicePrimaryCtxReset(world.device));
    before = stats();
    for (unsigned i = 0; i < POINTER_CALLS; i++) {
        long result = calls[i].make(ptr(&block));

        cr_expect_eq(result, calls[i].make == call_register ? -EINVAL : -ENOENT, "%s: %ld", calls[i].name,
                     result);
    }
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].used_bytes, 4 * MIB, "the reservation");
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].operations_bytes,
                 before.tier[EBB_TIER_DEVICE].operations_bytes);
    cr_expect_eq(ebb_reserve_release(reserved, 4 * MIB), 0);
    cr_expect_eq(ebb_touch(host), 0, "the host's is there");
    cr_expect_eq(ebb_unregister(host), 0);
}

/* ---- other arguments ------------------------------------------------------------------------------------------ */

#define REFUSED(call, error)                                                                                 \
    do {                                                                                                     \
        struct state before = look();                                                                        \
        cr_expect_eq((call), error, #call);                                                                  \
        expect_same(&before, #call);                                                                         \
    } while (0)

Test(misuse, arguments_out_of_range_change_nothing)
{
    struct ebb_block_info short_info = {.struct_bytes = 8};
    struct ebb_stats short_stats = {.struct_bytes = 8};
    ebb_reservation none = 0;

    start();
    cr_assert_eq(ebb_push_peak(), 0);
    REFUSED(ebb_register(ptr(&plain), 0, 0, NULL), -EINVAL);
    REFUSED(ebb_register(ptr(&plain), BYTES + 1, 0, NULL), -EINVAL);
    REFUSED(ebb_register(ptr(&plain), BYTES, 4, NULL), -EINVAL);
    REFUSED(ebb_register(host, BYTES, EBB_RELOADABLE, NULL), -ENOTSUP);
    REFUSED(ebb_register(host + MIB, BYTES, 0, NULL), -EINVAL);
    REFUSED(ebb_pin(ptr(&block), 4, NULL), -EINVAL);
    REFUSED(ebb_pin(host, 4, NULL), -EINVAL);
    REFUSED(ebb_unpin(ptr(&block), 2), -EINVAL);
    REFUSED(ebb_unpin(host, 2), -EINVAL);
    REFUSED(ebb_prefetch(ptr(&block), EBB_TIER_HOST, NULL), -EINVAL);
    REFUSED(ebb_prefetch(ptr(&block), 7, NULL), -EINVAL);
    REFUSED(ebb_prefetch(host, EBB_TIER_DEVICE, NULL), -EINVAL);
    REFUSED(ebb_prefetch(host, EBB_TIER_DISK, NULL), -EINVAL);
    REFUSED(ebb_evict(ptr(&block), 0, EBB_TIER_DEVICE), -EINVAL);
    REFUSED(ebb_evict(ptr(&block), 0, 7), -EINVAL);
    REFUSED(ebb_evict(host, 0, EBB_TIER_HOST), -EINVAL);
    REFUSED(ebb_evict(NULL, MIB, -1), -EINVAL);
    REFUSED(ebb_set_priority(ptr(&block), 128), -EINVAL);
    REFUSED(ebb_set_priority(ptr(&block), -129), -EINVAL);
    REFUSED(ebb_set_stage(ptr(&block), -1), -EINVAL);
    REFUSED(ebb_set_stage(ptr(&block), 32768), -EINVAL);
    REFUSED(ebb_query(ptr(&block), NULL), -EINVAL);
    REFUSED(ebb_query(ptr(&block), &short_info), -EINVAL);
    REFUSED(ebb_query(host, &short_info), -EINVAL);
    REFUSED(ebb_get_stats(NULL), -EINVAL);
    REFUSED(ebb_get_stats(&short_stats), -EINVAL);
    REFUSED(ebb_pop_peak(&short_stats), -EINVAL);
    REFUSED(ebb_reserve(0, 0, 0, &none, NULL), -EINVAL);
    REFUSED(ebb_reserve(2 * MIB, 3, 0, &none, NULL), -EINVAL);
    REFUSED(ebb_reserve(2 * MIB, 0, 0, NULL, NULL), -EINVAL);
    REFUSED(ebb_reserve(400 * MIB, EBB_OVERBOOK_YES, 0, &none, NULL), -ENOSPC);
    REFUSED(ebb_reserve_release(reserved, 0), -EINVAL);
    REFUSED(ebb_reserve_release(reserved, 4 * MIB + 1), -EINVAL);
    REFUSED(ebb_reserve_release(reserved + 1, 2 * MIB), -EINVAL);
    REFUSED(ebb_reserve_release(0, 2 * MIB), -EINVAL);
    REFUSED(ebb_reserve_commit(reserved + 1, ptr(&block)), -EINVAL);
    REFUSED(ebb_reserve_commit(0, ptr(&block)), -EINVAL);
    REFUSED(ebb_set_budget(EBB_TIER_DISK, 0, MIB), -ENOTSUP);
    REFUSED(ebb_set_budget(EBB_TIER_COUNT, 0, MIB), -EINVAL);
    REFUSED(ebb_set_budget(-1, 0, MIB), -EINVAL);
    REFUSED(ebb_set_budget(EBB_TIER_DEVICE, -1, MIB), -EINVAL);
    REFUSED(ebb_set_budget(EBB_TIER_DEVICE, 64, MIB), -EINVAL);
    REFUSED(ebb_set_budget(EBB_TIER_DEVICE, 0, 0), -EINVAL);
    REFUSED(ebb_set_budget(EBB_TIER_HOST, 0, -1), -EINVAL);
    cr_expect_eq(none, 0);
    cr_expect_eq(ebb_pop_peak(NULL), 0, "the bracket stayed open");
    REFUSED(ebb_pop_peak(NULL), -EINVAL);
    finish();
}
