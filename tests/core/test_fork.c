/* SPDX-License-Identifier: Apache-2.0 */
/* test_fork.c - handlers around fork run in their turn before it, and in the reverse one after it, in parent and child. */
#include "base/fork.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char order[16];

static void note(const char *what)
{
    strcat(order, what);
    errno = EBADF;
}

static void prepare_early(void)
{
    note("a");
}

static void prepare_late(void)
{
    note("b");
}

static void after_early(void)
{
    note("A");
}

static void after_late(void)
{
    note("B");
}

/* The later turn is said first. */
static void late(void)
{
    FORK_HANDLERS(.turn = FORK_HEAP, .prepare = prepare_late, .parent = after_late, .child = after_late);
}

static void early(void)
{
    FORK_HANDLERS(.turn = FORK_CUDA, .prepare = prepare_early, .parent = after_early, .child = after_early);
}

Test(fork, handlers_run_in_their_turn_and_back_again)
{
    int status;
    pid_t child;

    late();
    early();
    cr_assert(fork_watch());
    cr_assert(fork_watch(), "once is enough");
    errno = 0;
    child = fork();
    if (!child)
        _exit(strcmp(order, "abBA") != 0 || errno);
    cr_expect_str_eq(order, "abBA");
    cr_expect_eq(errno, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
