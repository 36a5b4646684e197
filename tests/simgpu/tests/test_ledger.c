/* SPDX-License-Identifier: Apache-2.0 */
/* The admission alone, by processes that are killed or stopped at each of their instructions. */
#include "machine/ledger.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIMIT = 100,
    OURS = 10,   /* what account 0 holds all the time */
    THEIRS = 30, /* what the child's account 1 holds at first */
    STEPS_MAX = 100000
};

static struct ledger *ledger_make(void)
{
    struct ledger *ledger =
        mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(ledger, MAP_FAILED);
    return ledger;
}

static bool always(const void *nothing, unsigned account)
{
    (void)nothing, (void)account;
    return true;
}

static bool never(const void *nothing, unsigned account)
{
    (void)nothing, (void)account;
    return false;
}

Test(ledger, counts_what_accounts_hold_up_to_the_limit)
{
    struct ledger *ledger = ledger_make();

    cr_expect(ledger_move(ledger, 0, 60, LIMIT));
    cr_expect_not(ledger_move(ledger, 1, 41, LIMIT));
    cr_expect(ledger_move(ledger, 1, 40, LIMIT));
    cr_expect_eq(ledger_total(ledger), LIMIT);
    cr_expect(ledger_move(ledger, 0, -50, LIMIT));
    cr_expect_eq(ledger_held(ledger, 0), 10);
    cr_expect_eq(ledger_held(ledger, 1), 40);
    cr_expect_eq(ledger_total(ledger), 50);
    cr_expect_eq(ledger_peak(ledger), LIMIT);
}

Test(ledger, takes_back_from_those_only_who_are_gone)
{
    struct ledger *ledger = ledger_make();

    cr_assert(ledger_move(ledger, 3, 7, LIMIT));
    ledger_clear(ledger, 3, never, NULL);
    cr_expect_eq(ledger_held(ledger, 3), 7);
    ledger_clear(ledger, 3, always, NULL);
    cr_expect_eq(ledger_held(ledger, 3), 0);
    cr_expect_eq(ledger_total(ledger), 0);
}

static bool is_set(const void *flag, unsigned account)
{
    (void)account;
    return __atomic_load_n((const int *)flag, __ATOMIC_SEQ_CST);
}

/* What the child does while it is stepped: it changes an account or, without units, clears it if its owner is gone. */
struct act {
    const char *name;
    int64_t units;
    unsigned account;
};

static const struct act acts[] = {{"grows", 20, 1}, {"shrinks", -20, 1}, {"clears", 0, 2}};

static void do_act(struct ledger *ledger, const struct act *act, const int *is_gone)
{
    if (act->units)
        ledger_move(ledger, act->account, act->units, LIMIT);
    else
        ledger_clear(ledger, act->account, is_set, is_gone);
}

/* Shared with the children. */
struct flags {
    int is_over; /* the act */
    int is_gone; /* the owner of account 2 */
};

/* A child that stands still before its act. -1: this machine lets nobody be stepped. */
static pid_t start(struct ledger *ledger, const struct act *act, struct flags *flags)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(3);
        raise(SIGSTOP);
        do_act(ledger, act, &flags->is_gone);
        __atomic_store_n(&flags->is_over, 1, __ATOMIC_SEQ_CST);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
    return WIFSTOPPED(status) ? child : -1;
}

/* So many instructions further, and no further than to the end of the act. */
static void step(pid_t child, unsigned count, const struct flags *flags)
{
    int status;

    while (count-- && !__atomic_load_n(&flags->is_over, __ATOMIC_SEQ_CST)) {
        cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSTOPPED(status));
    }
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void let_finish(pid_t child)
{
    cr_assert_eq(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

static struct flags *flags_make(void)
{
    struct flags *flags =
        mmap(NULL, sizeof *flags, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(flags, MAP_FAILED);
    return flags;
}

/* Accounts 1 and 2 hold THEIRS; nobody has account 2 any more. */
static struct ledger *ledger_with(void)
{
    struct ledger *ledger = ledger_make();

    cr_assert(ledger_move(ledger, 0, OURS, LIMIT));
    cr_assert(ledger_move(ledger, 1, THEIRS, LIMIT));
    cr_assert(ledger_move(ledger, 2, THEIRS, LIMIT));
    return ledger;
}

static void expect_whole(struct ledger *ledger, const char *name, unsigned at)
{
    ledger_peak(ledger); /* enters the last change */
    cr_expect_eq(ledger_total(ledger),
                 ledger_held(ledger, 0) + ledger_held(ledger, 1) + ledger_held(ledger, 2),
                 "%s, instruction %u: %lu in all of %lu, %lu and %lu", name, at, ledger_total(ledger),
                 ledger_held(ledger, 0), ledger_held(ledger, 1), ledger_held(ledger, 2));
    cr_expect_leq(ledger_peak(ledger), LIMIT);
    ledger_clear(ledger, 1, always, NULL);
    ledger_clear(ledger, 2, always, NULL);
    cr_expect_eq(ledger_total(ledger), OURS, "%s, instruction %u: %lu left", name, at, ledger_total(ledger));
    munmap(ledger, sizeof *ledger);
}

Test(ledger, is_whole_when_somebody_is_killed_at_any_instruction)
{
    struct flags *flags = flags_make();

    for (unsigned i = 0; i < sizeof acts / sizeof *acts; i++) {
        *flags = (struct flags){.is_gone = 1};
        for (unsigned at = 1; !flags->is_over && at < STEPS_MAX; at++) {
            struct ledger *ledger = ledger_with();
            pid_t child = start(ledger, &acts[i], flags);

            if (child < 0)
                cr_skip_test("no process may be stepped here");
            step(child, at, flags);
            end(child);
            expect_whole(ledger, acts[i].name, at);
        }
    }
}

Test(ledger, goes_on_while_somebody_is_stopped_at_any_instruction)
{
    struct flags *flags = flags_make();

    for (unsigned i = 0; i < sizeof acts / sizeof *acts; i++) {
        bool was_over = false;

        for (unsigned at = 1; !was_over && at < STEPS_MAX; at++) {
            struct ledger *ledger = ledger_with();
            pid_t child;

            *flags = (struct flags){.is_gone = 1};
            child = start(ledger, &acts[i], flags);
            if (child < 0)
                cr_skip_test("no process may be stepped here");
            step(child, at, flags);
            was_over = flags->is_over;
            for (int n = 0; n < 3; n++) {
                cr_assert(ledger_move(ledger, 0, 5, LIMIT));
                ledger_clear(ledger, 2, always, NULL); /* two may be at it */
                cr_assert(ledger_move(ledger, 0, -5, LIMIT));
            }
            let_finish(child);
            cr_expect_eq(ledger_held(ledger, 1),
                         (uint64_t)(THEIRS + (acts[i].account == 1 ? acts[i].units : 0)));
            expect_whole(ledger, acts[i].name, at);
        }
    }
}

/* The one who clears has looked already when the owner takes more and is killed. Instructions far apart, for time. */
Test(ledger, is_whole_when_an_owner_dies_while_somebody_is_about_to_clear)
{
    static const struct act grow = {"grows", 20, 2}, clear = {"clears", 0, 2};
    struct flags *flags = flags_make(), *of_owner = flags_make();
    bool was_over = false;

    for (unsigned at = 1; !was_over && at < STEPS_MAX; at += 7) {
        of_owner->is_over = 0;
        for (unsigned owner_at = 1; !of_owner->is_over && owner_at < STEPS_MAX; owner_at += 5) {
            struct ledger *ledger = ledger_with();
            pid_t child, owner;

            *flags = (struct flags){.is_gone = 0};
            child = start(ledger, &clear, flags);
            if (child < 0)
                cr_skip_test("no process may be stepped here");
            step(child, at, flags);
            was_over = flags->is_over;
            owner = start(ledger, &grow, of_owner);
            step(owner, owner_at, of_owner);
            end(owner);
            flags->is_gone = 1;
            let_finish(child);
            expect_whole(ledger, "clears while its owner dies", at);
        }
    }
}

/* Grows and shrinks by chance, and says what it holds for certain. */
static void storm(struct ledger *ledger, unsigned account, uint64_t *known)
{
    unsigned seed = account;

    for (;;) {
        int64_t units = rand_r(&seed) % 20 + 1;

        if (*known && rand_r(&seed) % 2) {
            units = (int64_t)*known < units ? (int64_t)*known : units;
            __atomic_sub_fetch(known, (uint64_t)units, __ATOMIC_SEQ_CST);
            ledger_move(ledger, account, -units, LIMIT);
        } else if (ledger_move(ledger, account, units, LIMIT)) {
            __atomic_add_fetch(known, (uint64_t)units, __ATOMIC_SEQ_CST);
        }
    }
}

Test(ledger, holds_its_limit_in_a_storm_of_processes_that_are_killed)
{
    enum {
        COUNT = 4,
        ROUNDS = 30
    };
    struct ledger *ledger = ledger_make();
    uint64_t *known = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child[COUNT] = {0};
    unsigned seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        unsigned killed = (unsigned)rand_r(&seed) % COUNT;
        uint64_t sum = 0, certain = 0;

        for (unsigned i = 0; i < COUNT; i++)
            if (!child[i] && (child[i] = fork()) == 0)
                storm(ledger, i, &known[i]);
        usleep((useconds_t)(rand_r(&seed) % 1000));
        for (unsigned i = 0; i < COUNT; i++) {
            kill(child[i], i == killed ? SIGKILL : SIGSTOP);
            cr_assert_eq(waitpid(child[i], NULL, WUNTRACED), child[i]);
        }
        ledger_peak(ledger);
        for (unsigned i = 0; i < COUNT; i++) {
            sum += ledger_held(ledger, i);
            certain += known[i];
        }
        cr_assert_eq(sum, ledger_total(ledger), "round %d: %lu in all, %lu in accounts", round,
                     ledger_total(ledger), sum);
        cr_assert_leq(certain, sum);
        cr_assert_leq(ledger_peak(ledger), LIMIT);
        ledger_clear(ledger, killed, always, NULL);
        cr_assert_eq(ledger_held(ledger, killed), 0);
        child[killed] = 0;
        known[killed] = 0;
        for (unsigned i = 0; i < COUNT; i++)
            if (child[i])
                kill(child[i], SIGCONT);
    }
    for (unsigned i = 0; i < COUNT; i++)
        if (child[i])
            kill(child[i], SIGKILL);
}
