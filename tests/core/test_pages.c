/* SPDX-License-Identifier: Apache-2.0 */
/* test_pages.c - memory that is not malloc's, and threads of ours. */
#include "base/pages.h"
#include "base/thread.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

enum {
    RECORDS = 5000
};

struct record {
    uint64_t words[5];
};

Test(pages, records_begin_as_zeros_and_lie_apart)
{
    static struct record *taken[RECORDS];
    struct pages_pool pool = PAGES_POOL(struct record);

    for (uint64_t i = 0; i < RECORDS; i++) {
        static const struct record zeros;

        taken[i] = pages_pool_take(&pool);
        cr_assert_not_null(taken[i]);
        cr_assert_eq(memcmp(taken[i], &zeros, sizeof(zeros)), 0);
        for (unsigned word = 0; word < 5; word++)
            taken[i]->words[word] = i;
    }
    for (uint64_t i = 0; i < RECORDS; i++)
        for (unsigned word = 0; word < 5; word++)
            cr_assert_eq(taken[i]->words[word], i);
}

Test(pages, record_that_was_given_back_is_the_next_one_taken)
{
    struct pages_pool pool = PAGES_POOL(struct record);
    struct record *one = pages_pool_take(&pool), *two = pages_pool_take(&pool);

    pages_pool_give(&pool, one);
    pages_pool_give(&pool, two);
    cr_expect_eq(pages_pool_take(&pool), two);
    cr_expect_eq(pages_pool_take(&pool), one);
    cr_expect_neq(pages_pool_take(&pool), one);
}

Test(pages, memory_of_the_caller_comes_first_and_the_system_is_asked_after_it)
{
    static struct record mine[2];
    struct pages_pool pool = {sizeof(struct record), NULL, (char *)mine, sizeof(mine)};

    cr_expect_eq(pages_pool_take(&pool), &mine[0]);
    cr_expect_eq(pages_pool_take(&pool), &mine[1]);
    cr_expect_not_null(pages_pool_take(&pool));
}

Test(pages, more_than_there_is_of_addresses_is_refused)
{
    cr_expect_null(pages_take(SIZE_MAX / 2));
    cr_expect_null(pages_reserve(SIZE_MAX / 2));
    pages_give(NULL, 4096);
}

struct seen {
    char name[16];
    sigset_t mask;
};

static void *look(void *arg)
{
    struct seen *seen = arg;

    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
    return arg;
}

Test(thread, of_ours_takes_no_signal_of_the_program_and_has_a_name)
{
    struct seen seen;
    const struct thread thread = {
        .name = "ebbtide-test", .run = look, .arg = &seen, .stack_bytes = THREAD_SMALL_BYTES};
    pthread_t handle;
    sigset_t before, after;

    pthread_sigmask(SIG_BLOCK, NULL, &before);
    cr_assert_eq(thread_start(&thread, &handle), 0);
    cr_assert_eq(pthread_join(handle, NULL), 0);
    cr_expect_str_eq(seen.name, "ebbtide-test");
    cr_expect(sigismember(&seen.mask, SIGUSR1) && sigismember(&seen.mask, SIGALRM) &&
              sigismember(&seen.mask, SIGTERM));
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    cr_expect_eq(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1),
                 "the program's own are as they were");
}

static int refuse(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    (void)out;
    (void)attributes;
    (void)run;
    (void)arg;
    return EAGAIN;
}

Test(thread, that_cannot_be_made_is_a_negative_errno)
{
    const struct thread thread = {.name = "ebbtide-test", .run = look, .create = refuse};

    cr_expect_eq(thread_start(&thread, NULL), -EAGAIN);
}
