/* SPDX-License-Identifier: Apache-2.0 */
/* test_host_events.c - what a program does to registered memory that is away by giving it up, or by making children that
 * nobody is told of. */
#include "host/host_state.h"
#include "host_world.h"
#include "ledger/state.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096
#define BYTES (4 * MIB)

enum {
    FIRST = 37, /* a page within a piece */
    PAGES = 20  /* and some beyond it */
};

/* Children that nobody is told of: nor is the sanitizer, for which they still have all threads. */
static bool are_told_of(void)
{
#ifdef __SANITIZE_THREAD__
    return false;
#else
    return host_fault_forks();
#endif
}

/* What reads the disk, unless it is pread. */
static ssize_t (*read_back)(int file, void *memory, size_t bytes, off_t offset);

static uint64_t *begin_away(void)
{
    host_world_begin(64 * MIB, NULL);
    if (read_back)
        core.disk.pread = read_back;
    uint64_t *words = range_map_registered(BYTES);

    range_fill(words, BYTES);
    range_evict(words, BYTES);
    return words;
}

static void end(uint64_t *words)
{
    range_release(words, BYTES);
    host_world_end();
}

/* ---- given up ------------------------------------------------------------------------------------------------- */

/* Zeros in the pages that were given up, and the rest as it was. */
static bool is_empty_there_only(const uint64_t *words)
{
    for (uint64_t i = 0; i < BYTES / 8; i++) {
        uint64_t page = i / (PAGE / 8);

        if (words[i] != (page >= FIRST && page < FIRST + PAGES ? 0 : range_word(i)))
            return false;
    }
    return true;
}

static void expect_zeros_after(int advice)
{
    uint64_t *words = begin_away();

    cr_assert_eq(syscall(SYS_madvise, (char *)words + FIRST * PAGE, PAGES * PAGE, advice), 0);
    cr_expect(is_empty_there_only(words));
    cr_expect_gt(host_block_evict(words, 0), 0);
    cr_expect(is_empty_there_only(words), "it left once more");
    range_fill(words, BYTES);
    range_evict(words, BYTES);
    cr_expect(range_is_filled(words, BYTES), "what was written later stays");
    end(words);
}

Test(host_events, pages_that_are_not_needed_are_empty_although_they_are_away)
{
    expect_zeros_after(MADV_DONTNEED);
}

Test(host_events, pages_that_may_be_freed_are_empty_although_they_are_away)
{
    expect_zeros_after(MADV_FREE);
}

Test(host_events, pin_brings_no_page_that_was_given_up)
{
    uint64_t *words = begin_away();

    cr_assert_eq(madvise((char *)words + FIRST * PAGE, PAGES * PAGE, MADV_DONTNEED), 0);
    cr_assert_eq(host_block_pin(words, 0), 0);
    cr_expect(is_empty_there_only(words));
    cr_assert_eq(host_block_unpin(words), 0);
    end(words);
}

Test(host_events, whole_block_that_was_given_up_is_empty)
{
    uint64_t *words = begin_away(), found = 0;

    cr_assert_eq(madvise(words, BYTES, MADV_DONTNEED), 0);
    for (uint64_t i = 0; i < BYTES / 8; i++)
        found |= words[i];
    cr_expect_eq(found, 0);
    end(words);
}

static void *evict_until_told(void *argument)
{
    _Atomic(uint64_t *) *words = argument;
    uint64_t *now;

    while ((now = *words))
        host_block_evict(now, 0);
    return NULL;
}

Test(host_events, pages_given_up_while_they_leave_are_empty, .timeout = 60)
{
    _Atomic(uint64_t *) evicted;
    uint64_t wrong = 0;
    pthread_t thread;
    uint64_t *words = begin_away();

    evicted = words;
    cr_assert_eq(pthread_create(&thread, NULL, evict_until_told, &evicted), 0);
    for (unsigned round = 0; round < 100; round++) {
        uint64_t page = round * 7 % (BYTES / PAGE - 1), word = page * (PAGE / 8);

        words[word] = round + 1;
        words[word + PAGE / 8] = round + 1;
        cr_assert_eq(madvise(words + word, PAGE, MADV_DONTNEED), 0);
        wrong += words[word] != 0 || words[word + 1] != 0 || words[word + PAGE / 8] != round + 1;
    }
    evicted = NULL;
    pthread_join(thread, NULL);
    cr_expect_eq(wrong, 0);
    end(words);
}

/* ---- children ------------------------------------------------------------------------------------------------- */

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t raw_clone3(void)
{
    uint64_t arguments[8] = {[4] = SIGCHLD};

    return (pid_t)syscall(SYS_clone3, arguments, sizeof(arguments));
}

static void expect_every_byte_in(pid_t (*make)(void))
{
    uint64_t *words = begin_away();
    int status;

    if (!are_told_of()) {
        end(words);
        cr_skip("the kernel does not tell this user of children");
    }
    for (unsigned round = 0; round < 3; round++) {
        range_evict(words, BYTES);
        pid_t child = make();

        if (child == 0) {
            bool fine = range_is_filled(words, BYTES);

            words[0]++;
            _exit(fine && host_block_pin(words, 0) == 0 && host_block_abandon(words, BYTES) == 0 ? 0 : 1);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect_eq(status, 0, "status %x", status);
    }
    cr_expect(range_is_filled(words, BYTES));
    end(words);
}

Test(host_events, child_of_fork_without_handlers_has_every_byte)
{
    expect_every_byte_in(fork);
}

Test(host_events, child_of_a_bare_fork_has_every_byte)
{
    expect_every_byte_in(_Fork);
}

Test(host_events, child_of_clone_has_every_byte)
{
    expect_every_byte_in(raw_clone);
}

Test(host_events, child_of_clone3_has_every_byte)
{
    expect_every_byte_in(raw_clone3);
}

Test(host_events, grandchild_that_comes_at_once_has_every_byte)
{
    uint64_t *words = begin_away();
    int status;

    if (!are_told_of()) {
        end(words);
        cr_skip("the kernel does not tell this user of children");
    }
    pid_t child = raw_clone();

    if (child == 0) {
        child = raw_clone();
        if (child == 0)
            _exit(range_is_filled(words, BYTES) ? 0 : 1);
        waitpid(child, &status, 0);
        _exit(status == 0 && range_is_filled(words, BYTES) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "status %x", status);
    end(words);
}

static void *clone_and_check(void *argument)
{
    const uint64_t *words = argument;
    uintptr_t wrong = 0;
    int status;

    for (unsigned round = 0; round < 10; round++) {
        pid_t child = raw_clone();

        if (child == 0)
            _exit(range_is_filled(words, BYTES) ? 0 : 1);
        wrong += waitpid(child, &status, 0) != child || status != 0;
    }
    return (void *)wrong;
}

Test(host_events, child_made_while_pieces_leave_has_every_byte, .timeout = 60)
{
    _Atomic(uint64_t *) evicted;
    pthread_t thread, forker;
    void *wrong;
    uint64_t *words = begin_away();

    if (!are_told_of()) {
        end(words);
        cr_skip("the kernel does not tell this user of children");
    }
    evicted = words;
    cr_assert_eq(pthread_create(&thread, NULL, evict_until_told, &evicted), 0);
    cr_assert_eq(pthread_create(&forker, NULL, clone_and_check, words), 0);
    cr_assert_eq(pthread_join(forker, &wrong), 0);
    evicted = NULL;
    pthread_join(thread, NULL);
    cr_expect_null(wrong);
    cr_expect(range_is_filled(words, BYTES));
    end(words);
}

/* ---- where the kernel does not tell ------------------------------------------------------------------------------ */

Test(host_events, forked_child_reads_for_itself_where_the_kernel_does_not_tell)
{
    int status;

    host_fault_without_forks = true;
    uint64_t *words = begin_away();

    cr_assert_not(host_fault_forks());
    host_fork_prepare();
    pid_t child = fork();

    if (child == 0) {
        host_fork_child();
        core_forked();
        _exit(range_is_filled(words, BYTES) ? 0 : 1);
    }
    host_fork_parent();
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "status %x", status);
    cr_expect(range_is_filled(words, BYTES));
    end(words);
}

/* Its parent goes on, and what it does is not seen in the child, which reads late. */
Test(host_events, fork_returns_though_the_child_is_stopped, .timeout = 60)
{
    int status, go[2];
    char byte;

    host_fault_without_forks = true;
    cr_assert_eq(pipe(go), 0);
    uint64_t *words = begin_away();

    host_fork_prepare();
    pid_t child = fork();

    if (child == 0) {
        (void)!read(go[0], &byte, 1);
        host_fork_child();
        core_forked();
        _exit(range_is_filled(words, BYTES) ? 0 : 1);
    }
    host_fork_parent();
    words[0]++; /* one piece comes back, and its place is the child's still */
    cr_expect_geq(host_block_evict(words, 0), 0);
    words[0]--;
    for (unsigned round = 0; round < 2; round++) {
        uint64_t *more = range_map_registered(BYTES);

        cr_expect(range_is_filled(words, BYTES));
        memset(words, 7, BYTES);
        memset(more, 8, BYTES);
        cr_expect_geq(host_block_evict(words, 0), 0);
        range_evict(more, BYTES);
        range_release(more, BYTES);
        range_fill(words, BYTES);
    }
    cr_assert_eq(write(go[1], "", 1), 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "status %x", status);
    range_evict(words, BYTES);
    cr_expect(range_is_filled(words, BYTES));
    end(words);
}

/* ---- who is at work on a block is waited for ----------------------------------------------------------------------- */

static atomic_bool reading, may_read;

static ssize_t pread_when_told(int file, void *memory, size_t bytes, off_t offset)
{
    reading = true;
    while (!may_read)
        sched_yield();
    return pread(file, memory, bytes, offset);
}

static void *touch_first(void *argument)
{
    return (void *)(uintptr_t) * (uint64_t *)argument;
}

/* A server is in the middle of a read for somebody who touches the block. */
static uint64_t *begin_reading(pthread_t *out_toucher)
{
    read_back = pread_when_told;
    uint64_t *words = begin_away();

    cr_assert_eq(pthread_create(out_toucher, NULL, touch_first, words), 0);
    while (!reading)
        sched_yield();
    return words;
}

struct act {
    void (*run)(uint64_t *words);
    uint64_t *words;
    atomic_bool done;
};

static void *run_act(void *argument)
{
    struct act *act = argument;

    act->run(act->words);
    act->done = true;
    return NULL;
}

static void expect_it_waits(void (*run)(uint64_t *words), bool (*has_begun)(void))
{
    pthread_t toucher, actor;
    struct act act = {.run = run};

    act.words = begin_reading(&toucher);
    cr_assert_eq(pthread_create(&actor, NULL, run_act, &act), 0);
    for (unsigned i = 0; i < 1000 || !has_begun(); i++)
        sched_yield();
    cr_expect_not(act.done);
    may_read = true;
    pthread_join(actor, NULL);
    pthread_join(toucher, NULL);
}

static bool somebody_forks(void)
{
    bool forking;

    lock_acquire(&host_blocks.lock);
    forking = host_blocks.forking;
    lock_release(&host_blocks.lock);
    return forking;
}

static void prepare_and_end(uint64_t *words)
{
    (void)words;
    host_fork_prepare();
    cr_expect_eq(host_blocks.busy, 0);
    host_fork_parent();
}

Test(host_events, fork_waits_for_who_brings_a_piece_back)
{
    expect_it_waits(prepare_and_end, somebody_forks);
}

static bool somebody_forgets(void)
{
    bool dying;

    lock_acquire(&host_blocks.lock);
    dying = host_block_count && host_blocks.row[0]->dying;
    lock_release(&host_blocks.lock);
    return dying;
}

static void abandon(uint64_t *words)
{
    host_block_abandon(words, BYTES);
}

Test(host_events, block_is_forgotten_when_nobody_is_at_work_on_it)
{
    expect_it_waits(abandon, somebody_forgets);
    cr_expect_eq(host_block_count, 0);
}
