/* SPDX-License-Identifier: Apache-2.0 */
/* test_private_fds.c - a program that closes descriptors it does not know, and uses their numbers for its own files. */
#include "base/log.h"
#include "base/output.h"
#include "base/private_fds.h"
#include "host/host_state.h"
#include "host_world.h"
#include "ledger/state.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES (4 * MIB)

enum {
    OWN = 40 /* files of the program, which take every number that was ours */
};

/* All of this is done in a child, since the test's own descriptors are among those that it closes: it ends with the
 * number of the step that failed. */
enum step {
    FINE,
    NOT_HERE = 77,
    OPENING = 100,
    FIRST_ACCESS,
    LEAVING,
    SECOND_ACCESS,
    OWN_FILES,
    CHILD
};

static int own[OWN];

static void must(bool fine, enum step step)
{
    if (!fine)
        _exit(step);
}

static void open_own(void)
{
    for (unsigned i = 0; i < OWN; i++) {
        own[i] = open("/var/tmp", O_TMPFILE | O_RDWR, 0600);
        must(own[i] >= 0 && write(own[i], "its own", 7) == 7, OPENING);
    }
}

static bool own_are_as_they_were(void)
{
    char text[16];
    bool same = true;

    for (unsigned i = 0; i < OWN; i++)
        same = same && pread(own[i], text, sizeof(text), 0) == 7 && memcmp(text, "its own", 7) == 0;
    return same;
}

static void close_in_order(void)
{
    closefrom(STDERR_FILENO + 1);
}

static void close_range_of_all(void)
{
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
}

static void close_into_a_new_table(void)
{
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 2u /* CLOSE_RANGE_UNSHARE */);
}

static void close_each_twice(void)
{
    for (unsigned round = 0; round < 2; round++)
        for (int file = STDERR_FILENO + 1; file < 256; file++)
            close(file);
}

static uint64_t *begin_away(void)
{
    host_world_begin(64 * MIB, NULL);
    rmdir(host_spill.path); /* its name is not needed any more */
    strcpy(host_spill.options.spill_dir.of[0].path, "/var/tmp");
    uint64_t *words = range_map_registered(BYTES);

    range_fill(words, BYTES);
    range_evict(words, BYTES);
    return words;
}

static void expect_in_child(void (*act)(void (*close_them)(void)), void (*close_them)(void))
{
    int status;
    pid_t child;

#ifdef __SANITIZE_THREAD__
    cr_skip("the sanitizer takes a descriptor that is closed behind its owner for a race");
#endif
    child = fork();
    if (child == 0) {
        act(close_them);
        _exit(FINE);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)
        cr_skip("threads have the program's descriptors here");
    cr_expect_eq(status, 0, "status %x", status);
}

static void close_and_use(void (*close_them)(void))
{
    uint64_t *words = begin_away(), *later = range_map(BYTES);

    must(private_fds_apart(), NOT_HERE);
    close_them();
    open_own();
    must(range_is_filled(words, BYTES), FIRST_ACCESS);
    must(host_block_register(later, BYTES, 0, "later") == 0, LEAVING);
    range_fill(later, BYTES);
    must(host_block_evict(words, 0) == BYTES && host_block_evict(later, 0) == BYTES, LEAVING);
    must(host_block_pin(words, 0) == 0 && range_is_filled(words, BYTES), SECOND_ACCESS);
    must(range_is_filled(later, BYTES), SECOND_ACCESS);
    must(own_are_as_they_were(), OWN_FILES);
}

Test(private_fds, what_is_away_survives_closefrom)
{
    expect_in_child(close_and_use, close_in_order);
}

Test(private_fds, what_is_away_survives_close_range)
{
    expect_in_child(close_and_use, close_range_of_all);
}

Test(private_fds, what_is_away_survives_a_new_table)
{
    expect_in_child(close_and_use, close_into_a_new_table);
}

Test(private_fds, what_is_away_survives_two_closes_of_each_number)
{
    expect_in_child(close_and_use, close_each_twice);
}

static int carry(enum tier from, enum tier to, const struct host_memory *host, uint64_t slot)
{
    struct transfer transfer = {.from = from, .to = to, .host = host, .slot = slot, .bytes = host->bytes};
    int rc = executors_submit(&core.executors, &transfer);

    return rc ? rc : executors_wait(&core.executors, &transfer);
}

static void close_between_transfers(void (*close_them)(void))
{
    struct host_memory host = {.bytes = BYTES, .cpu = begin_away()};
    uint64_t slot = SLOT_NONE;

    must(private_fds_apart(), NOT_HERE);
    for (unsigned round = 0; round < 2; round++) {
        must(disk_take(&core.disk, BYTES, &slot) == 0, LEAVING);
        range_fill(host.cpu, BYTES);
        must(carry(TIER_HOST, TIER_DISK, &host, slot) == 0, LEAVING);
        if (!round) {
            close_them();
            open_own();
        }
        memset(host.cpu, 0, BYTES);
        must(carry(TIER_DISK, TIER_HOST, &host, slot) == 0, SECOND_ACCESS);
        must(range_is_filled(host.cpu, BYTES), SECOND_ACCESS);
    }
    must(own_are_as_they_were(), OWN_FILES);
}

Test(private_fds, blocks_of_a_device_survive_closefrom)
{
    expect_in_child(close_between_transfers, close_in_order);
}

static void close_and_fork(void (*close_them)(void))
{
    uint64_t *words = begin_away();
    int status;

    must(private_fds_apart(), NOT_HERE);
    close_them();
    open_own();
    host_fork_prepare();
    pid_t child = fork();

    if (child == 0) {
        host_fork_child();
        core_forked();
        _exit(range_is_filled(words, BYTES) ? 0 : 1);
    }
    host_fork_parent();
    must(waitpid(child, &status, 0) == child && status == 0, CHILD);
    must(own_are_as_they_were(), OWN_FILES);
}

Test(private_fds, child_has_every_byte_after_closefrom)
{
    expect_in_child(close_and_fork, close_in_order);
}

static void hold_pipe_end(void *arg)
{
    *(int *)arg = fcntl(*(int *)arg, F_GETFD);
}

Test(private_fds, nobody_of_ours_holds_what_the_program_has_open)
{
    int both[2], number;
    char byte;

    cr_assert_eq(pipe(both), 0);
    if (!private_fds_apart())
        cr_skip("threads have the program's descriptors here");
    number = both[1];
    cr_assert_eq(private_fds_run(hold_pipe_end, &number), 0);
    cr_expect_eq(number, -1);
    close(both[1]);
    cr_expect_eq(read(both[0], &byte, 1), 0, "the reader sees the end");
}

static void say(void *unused)
{
    (void)unused;
    log_line(LOG_ERROR, "from a thread of ours");
}

Test(private_fds, lines_go_to_the_programs_standard_error)
{
    char text[256] = "";
    int both[2];

    output_start();
    cr_assert_eq(pipe(both), 0);
    cr_assert_eq(private_fds_run(say, NULL), 0);
    cr_assert_eq(dup2(both[1], STDERR_FILENO), STDERR_FILENO);
    cr_assert_eq(private_fds_run(say, NULL), 0);
    output_start(); /* until then it is a file of the program's under the number */
    cr_assert_eq(private_fds_run(say, NULL), 0);
    cr_expect_gt(read(both[0], text, sizeof(text) - 1), 0);
    cr_expect(strstr(text, "from a thread of ours\n"), "said: %s", text);
    cr_expect_eq(strstr(text, "ours\n")[5], 0, "and once only");
}

/* ---- where there is no such table -------------------------------------------------------------------------------- */

static void forbid_close_range(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        cr_skip("no filter for system calls here");
}

Test(private_fds, without_a_table_of_ours_bytes_come_back_all_the_same)
{
    forbid_close_range();
    host_world_begin(64 * MIB, NULL);
    cr_assert_not(private_fds_apart());
    uint64_t *words = range_map_registered(BYTES);

    range_fill(words, BYTES);
    range_evict(words, BYTES);
    cr_expect(range_is_filled(words, BYTES));
    range_release(words, BYTES);
    host_world_end();
}

static void close_before_a_write(void (*close_them)(void))
{
    static char bytes[MIB];
    struct host_memory host = {.cpu = bytes, .bytes = MIB};
    uint64_t slot = SLOT_NONE;

    forbid_close_range();
    host_world_begin(64 * MIB, NULL);
    must(!private_fds_apart() && disk_take(&core.disk, MIB, &slot) == 0, LEAVING);
    rmdir(host_spill.path);
    close_them();
    open_own();
    must(carry(TIER_HOST, TIER_DISK, &host, slot) == -EBADF, LEAVING);
    must(own_are_as_they_were(), OWN_FILES);
    core_finish();
    must(own_are_as_they_were(), OWN_FILES);
}

Test(private_fds, without_a_table_of_ours_files_of_the_program_are_left_alone)
{
    expect_in_child(close_before_a_write, close_each_twice);
}

Test(private_fds, without_a_table_of_ours_a_program_that_closed_it_all_is_stopped)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        forbid_close_range();
        uint64_t *words = begin_away();

        close_each_twice();
        open_own();
        _exit(range_is_filled(words, BYTES) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) > 1)
        cr_skip("faults of the kernel are not handed to this user");
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %x", status);
}
