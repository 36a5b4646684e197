/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a process on a device that others share: it is killed, stopped, forked, becomes another program. */
#include "driver.h"
#include "pages.h"
#include "peer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void begin(void)
{
    share_begin("64M");
}

TestSuite(processes, .init = begin, .fini = share_end, .timeout = 60);

static struct peer started(void)
{
    struct peer peer = peer_start();

    cr_assert_eq(peer_do(&peer, act_start, 0), 0);
    return peer;
}

Test(processes, a_killed_process_holds_nothing)
{
    struct peer watcher = started();

    for (int round = 0; round < 60; round++) {
        struct peer peers[2] = {started(), started()};

        for (int i = 0; i < 2; i++)
            peer_begin(&peers[i], act_churn, 2 * round + i);
        usleep((useconds_t)(rand() % 3000)); /* anywhere in what it does */
        peer_kill(&peers[0]);
        peer_kill(&peers[1]);
        cr_assert_eq(peer_do(&watcher, act_room, 0), 64 * MIB, "round %d", round);
    }
    cr_assert_eq(peer_do(&watcher, act_take, 64 * MIB), 0);
}

Test(processes, a_process_that_is_killed_while_it_joins_leaves_a_file_that_others_can_use)
{
    for (int round = 0; round < 60; round++) {
        struct peer peers[3];

        share_begin("64M");
        for (int i = 0; i < 3; i++)
            peers[i] = peer_start();
        for (int i = 0; i < 3; i++)
            peer_begin(&peers[i], act_start, 0);
        usleep((useconds_t)(rand() % 1500));
        peer_kill(&peers[round % 3]);
        for (int i = 0; i < 3; i++)
            if (i != round % 3)
                cr_assert_eq(peer_wait(&peers[i]), 0);
        cr_assert_eq(peer_do(&peers[(round + 1) % 3], act_take, 64 * MIB), 0, "round %d", round);
        peer_kill(&peers[(round + 1) % 3]);
        peer_kill(&peers[(round + 2) % 3]);
    }
}

Test(processes, a_process_that_is_stopped_holds_nobody_up)
{
    struct peer stopped = started(), other = started();

    peer_begin(&stopped, act_churn, 1);
    for (int round = 0; round < 60; round++) {
        usleep((useconds_t)(rand() % 300));
        kill(stopped.pid, SIGSTOP);
        cr_assert_eq(waitpid(stopped.pid, NULL, WUNTRACED), stopped.pid);
        cr_assert_leq(peer_do(&other, act_room, 0), 64 * MIB);
        peer_do(&other, act_take, 64 * MIB); /* it need not be there, but it is answered */
        kill(stopped.pid, SIGCONT);
    }
    peer_kill(&stopped);
}

/* A child that never calls the driver, and ends with the other end of the pipe. */
static int heirs[2];

static long act_fork(long unused)
{
    char end;

    (void)unused;
    if (fork() == 0) {
        close(heirs[1]);
        _exit((int)read(heirs[0], &end, 1));
    }
    return 0;
}

Test(processes, a_forked_child_does_not_keep_what_its_parent_held)
{
    struct peer parent, watcher;

    cr_assert_eq(pipe(heirs), 0);
    parent = started();
    watcher = started();
    peer_do(&parent, act_take, 30 * MIB);
    peer_do(&parent, act_fork, 0);
    cr_assert_eq(peer_do(&watcher, act_room, 0), 34 * MIB);
    peer_kill(&parent);
    cr_assert_eq(peer_do(&watcher, act_room, 0), 64 * MIB);
}

static long act_in_child(long unused)
{
    int status;
    pid_t child = fork();

    (void)unused;
    if (child == 0)
        _exit(cuMemAlloc(&(CUdeviceptr){0}, 100) == CUDA_ERROR_NOT_INITIALIZED && simgpu_used_bytes(0) == 0
                  ? 7
                  : 1);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(processes, a_forked_child_is_refused_and_its_end_takes_nothing_from_the_parent)
{
    struct peer parent = started(), watcher = started();

    peer_do(&parent, act_take, 30 * MIB);
    cr_assert_eq(peer_do(&parent, act_in_child, 0), 7);
    cr_assert_eq(peer_do(&watcher, act_room, 0), 34 * MIB);
    cr_assert_eq(peer_do(&parent, act_take, 34 * MIB), 0);
}

enum {
    LOW = 60 /* descriptors below it are the test's */
};

/* What the driver opens lies above. */
static long act_start_high(long ordinal)
{
    while (open("/dev/null", O_RDONLY) < LOW)
        continue;
    return act_start(ordinal);
}

static long act_close_all(long unused)
{
    (void)unused;
    return close_range(LOW, ~0u, 0);
}

Test(processes, a_process_that_closes_all_descriptors_keeps_what_it_holds)
{
    struct peer one = peer_start(), watcher = started();

    cr_assert_eq(peer_do(&one, act_start_high, 0), 0);
    peer_do(&one, act_take, 30 * MIB);
    cr_assert_eq(peer_do(&one, act_close_all, 0), 0);
    cr_assert_eq(peer_do(&watcher, act_room, 0), 34 * MIB);
    cr_assert_eq(peer_do(&one, act_room, 0), 34 * MIB);
}

/* Becomes a program that waits for the end of the pipe, and says so by closing the other one. */
static int gone[2];

static long act_exec(long unused)
{
    (void)unused;
    dup2(heirs[0], 0);
    fcntl(gone[1], F_SETFD, FD_CLOEXEC);
    execl("/bin/cat", "cat", (char *)NULL);
    return -1;
}

Test(processes, a_process_that_becomes_another_program_holds_nothing)
{
    struct peer one, watcher;
    char end;

    cr_assert(pipe(heirs) == 0 && pipe(gone) == 0);
    watcher = started();
    one = started();
    close(gone[1]);
    peer_do(&one, act_take, 30 * MIB);
    peer_begin(&one, act_exec, 0);
    peer_kill(&watcher); /* it has the other end, too */
    cr_assert_eq(read(gone[0], &end, 1), 0);
    watcher = started();
    cr_assert_eq(kill(one.pid, 0), 0);
    cr_assert_eq(peer_do(&watcher, act_room, 0), 64 * MIB);
    peer_kill(&one);
}
