/* SPDX-License-Identifier: Apache-2.0 */
/* test_lock.c - the order of locks is checked: what keeps to it passes, what does not ends its process with a line. */
#include "base/lock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(lock, .timeout = 60);

static struct lock first = LOCK_INIT(LOCK_START), second = LOCK_INIT(LOCK_HOST_BLOCKS);
static struct lock third = LOCK_INIT(LOCK_CORE), last = LOCK_INIT(LOCK_DISK), other = LOCK_INIT(LOCK_CORE);
static struct lock_shared shared = LOCK_SHARED_INIT(LOCK_CONTEXTS);
static const struct lock_tag role = LOCK_TAG(LOCK_ROLE);
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

/* What a child that does this says on standard error before it aborts; empty: it did not. */
static const char *said_by(void (*act)(void))
{
    static char text[256];
    size_t length = 0;
    ssize_t bytes;
    int pipes[2], status;
    pid_t child;

    cr_assert_eq(pipe(pipes), 0);
    child = fork();
    if (!child) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[1]);
        act();
        _exit(0);
    }
    close(pipes[1]);
    while ((bytes = read(pipes[0], text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)bytes;
    close(pipes[0]);
    text[length] = '\0';
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (!length)
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    else
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    return text;
}

static void passes(void (*act)(void))
{
    cr_assert_str_eq(said_by(act), "");
}

static void ends_with(void (*act)(void), const char *line)
{
    char expected[256] = "ebbtide: order of locks: ";

    strcat(strcat(expected, line), "\n");
    cr_assert_str_eq(said_by(act), expected);
}

static void upside_down(void)
{
    lock_acquire(&third);
    lock_acquire(&first);
}

static void twice(void)
{
    lock_acquire(&third);
    lock_acquire(&third);
}

static void two_of_a_rank(void)
{
    lock_acquire(&third);
    lock_acquire(&other);
}

static void below_a_reader(void)
{
    lock_shared_read(&shared);
    lock_acquire(&first);
}

static void role_below_a_lock(void)
{
    lock_acquire(&third);
    lock_order(&role);
}

Test(lock, wrong_order_names_both_and_ends_the_process)
{
    ends_with(upside_down, "START is taken while CORE is held");
    ends_with(twice, "CORE is taken while CORE is held");
    ends_with(two_of_a_rank, "CORE is taken while CORE is held");
    ends_with(below_a_reader, "START is taken while CONTEXTS is held");
    ends_with(role_below_a_lock, "ROLE is taken while CORE is held");
}

static void write_under_a_read(void)
{
    lock_shared_read(&shared);
    lock_shared_write(&shared);
}

static void read_twice(void)
{
    static struct lock_shared for_writers = LOCK_SHARED_INIT_FOR_WRITERS(LOCK_DRIVER_MEMORY);

    lock_shared_read(&for_writers);
    lock_shared_read(&for_writers);
}

static void read_again(void)
{
    lock_shared_read(&shared);
    lock_acquire(&second);
    lock_shared_read(&shared);
    lock_shared_release(&shared);
    lock_release(&second);
    lock_shared_release(&shared);
}

Test(lock, reader_may_read_again_where_no_writer_goes_first)
{
    passes(read_again);
    ends_with(write_under_a_read, "CONTEXTS is taken while CONTEXTS is held");
    ends_with(read_twice, "DRIVER_MEMORY is taken while DRIVER_MEMORY is held");
}

static void in_order(void)
{
    for (int round = 0; round < 3; round++) {
        lock_acquire(&first);
        lock_hold(&role);
        lock_shared_write(&shared);
        lock_acquire(&second);
        lock_acquire(&third);
        lock_acquire(&last);
        lock_release(&second); /* in any order */
        lock_release(&last);
        lock_acquire(&last);
        lock_let_go(&role);
        lock_shared_release(&shared);
        lock_release(&first);
        lock_release(&third);
        lock_release(&last);
    }
}

static void order_of_what_is_left(void)
{
    lock_acquire(&first);
    lock_acquire(&third);
    lock_release(&first);
    lock_acquire(&second);
}

Test(lock, right_order_passes_and_releases_come_in_any)
{
    passes(in_order);
    ends_with(order_of_what_is_left, "HOST_BLOCKS is taken while CORE is held");
}

static void released_for_nothing(void)
{
    lock_acquire(&first);
    lock_release(&first);
    lock_release(&first);
}

static void too_many(void)
{
    for (int i = 0; i < 17; i++)
        lock_hold(&role);
}

Test(lock, released_but_not_held_ends_the_process)
{
    ends_with(released_for_nothing, "START is released and not held");
    ends_with(too_many, "ROLE is one lock too many");
}

static void try_below(void)
{
    lock_acquire(&third);
    if (lock_try(&first))
        abort();
    lock_release(&third);
    lock_release(&first);
}

static void held_by_a_try(void)
{
    if (lock_try(&third))
        abort();
    lock_acquire(&first);
}

static void *try_of_another(void *arg)
{
    return lock_try(&third) == EBUSY ? NULL : arg;
}

static void try_in_vain(void)
{
    pthread_t thread;
    void *result;

    lock_acquire(&third);
    pthread_create(&thread, NULL, try_of_another, &last);
    pthread_join(thread, &result);
    if (result)
        abort();
    lock_release(&third);
}

Test(lock, try_may_come_in_any_order_and_holds_what_it_got)
{
    passes(try_below);
    passes(try_in_vain);
    ends_with(held_by_a_try, "START is taken while CORE is held");
}

static const struct timespec long_ago = {0, 0};

static void wait_alone(void)
{
    lock_acquire(&third);
    if (lock_wait_until(&condition, &third, &long_ago) != ETIMEDOUT)
        abort();
    lock_release(&third);
}

static void held_again_after_a_wait(void)
{
    lock_acquire(&third);
    lock_wait_until(&condition, &third, &long_ago);
    lock_acquire(&first);
}

static void wait_under_a_short_lock(void)
{
    lock_acquire(&third);
    lock_acquire(&last);
    lock_wait_until(&condition, &last, &long_ago);
}

static void wait_under_a_long_lock(void)
{
    lock_acquire(&second);
    lock_acquire(&last);
    lock_wait_until(&condition, &last, &long_ago);
    lock_release(&last);
    lock_release(&second);
}

/* Its lock is taken again, in front of what is still held. */
static void wait_for_an_earlier_one(void)
{
    lock_acquire(&first);
    lock_acquire(&second);
    lock_wait_until(&condition, &first, &long_ago);
}

Test(lock, wait_lets_go_of_its_own_lock_and_holds_no_short_one_besides)
{
    passes(wait_alone);
    passes(wait_under_a_long_lock);
    ends_with(held_again_after_a_wait, "START is taken while CORE is held");
    ends_with(wait_under_a_short_lock, "what takes its time is done while CORE is held");
    ends_with(wait_for_an_earlier_one, "START is taken while HOST_BLOCKS is held");
}

static void give_up(void *lock)
{
    lock_release(lock);
}

static void *wait_for_ever(void *reached)
{
    lock_acquire(&third);
    pthread_cleanup_push(give_up, &third);
    *(volatile bool *)reached = true;
    while (true)
        lock_wait(&condition, &third);
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled_in_a_wait(void)
{
    volatile bool reached = false;
    pthread_t thread;
    void *result;

    pthread_create(&thread, NULL, wait_for_ever, (void *)(uintptr_t)&reached);
    for (bool seen = false; !seen;) {
        lock_acquire(&third); /* it waits, once it is seen with the lock free */
        seen = reached;
        lock_release(&third);
    }
    pthread_cancel(thread);
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED)
        abort();
    lock_acquire(&third);
    lock_release(&third);
}

Test(lock, thread_that_is_cancelled_in_a_wait_has_its_lock_to_release)
{
    passes(cancelled_in_a_wait);
}

static void work_under_a_short_lock(void)
{
    lock_acquire(&third);
    lock_assert_none();
}

static void work_under_long_locks(void)
{
    lock_acquire(&first);
    lock_hold(&role);
    lock_shared_read(&shared);
    lock_acquire(&second);
    lock_assert_none();
}

Test(lock, what_takes_its_time_is_done_under_long_locks_only)
{
    passes(work_under_long_locks);
    ends_with(work_under_a_short_lock, "what takes its time is done while CORE is held");
}

static void *upwards(void *arg)
{
    lock_acquire(&first);
    lock_release(&first);
    return arg;
}

static void another_thread(void)
{
    pthread_t thread;

    lock_acquire(&third);
    pthread_create(&thread, NULL, upwards, NULL);
    pthread_join(thread, NULL);
    lock_release(&third);
}

Test(lock, threads_have_lists_of_their_own)
{
    passes(another_thread);
}

static bool in_child(void)
{
    pid_t child = fork();
    int status;

    if (child && (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status)))
        abort();
    return child == 0;
}

static void fork_and_release(void)
{
    lock_acquire(&first);
    lock_acquire(&third);
    if (in_child()) {
        lock_release(&third);
        lock_init(&first, LOCK_START);
        lock_acquire(&first); /* it is in the list no more */
        lock_release(&first);
        _exit(0);
    }
    lock_release(&third);
    lock_release(&first);
}

static void fork_and_take(void)
{
    int status = 0;

    lock_acquire(&third);
    if (!fork())
        lock_acquire(&first);
    wait(&status);
    if (WIFSIGNALED(status))
        abort();
}

Test(lock, forked_child_holds_what_its_thread_held_until_it_is_made_anew)
{
    passes(fork_and_release);
    ends_with(fork_and_take, "START is taken while CORE is held");
}

static void in_handler(int signal)
{
    (void)signal;
    lock_acquire(&last);
    lock_release(&last);
}

static void interrupted(void)
{
    signal(SIGUSR1, in_handler);
    lock_acquire(&first);
    raise(SIGUSR1);
    lock_acquire(&third);
    raise(SIGUSR1);
    lock_release(&first);
    raise(SIGUSR1);
    lock_release(&third);
}

static void handler_from_above(int signal)
{
    (void)signal;
    lock_acquire(&first);
}

static void interrupted_wrongly(void)
{
    signal(SIGUSR1, handler_from_above);
    lock_acquire(&third);
    raise(SIGUSR1);
}

Test(lock, signal_handler_goes_on_with_the_list_of_its_thread)
{
    passes(interrupted);
    ends_with(interrupted_wrongly, "START is taken while CORE is held");
}
