/* SPDX-License-Identifier: Apache-2.0 */
/* Processes on devices of SIMGPU_SHARED. */
#include "driver.h"
#include "pages.h"
#include "peer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PEERS = 4
};

static void begin(void)
{
    share_begin("64M");
}

TestSuite(share, .init = begin, .fini = share_end, .timeout = 60);

static struct peer started(void)
{
    struct peer peer = peer_start();

    cr_assert_eq(peer_do(&peer, act_start, 0), 0);
    return peer;
}

Test(share, what_one_process_holds_another_does_not_have)
{
    struct peer first = started(), second = started();

    cr_assert_eq(peer_do(&first, act_take, 40 * MIB), 0);
    cr_assert_eq(peer_do(&second, act_room, 0), 24 * MIB);
    cr_assert_eq(peer_do(&second, act_take, 26 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert_eq(peer_do(&second, act_take, 24 * MIB), 0);
    cr_assert_eq(peer_do(&first, act_room, 0), 0);
    cr_assert_eq(peer_do(&first, act_used, 0), 40 * MIB);
}

static long take_all(long unused)
{
    long count = 0;

    (void)unused;
    while (act_take(GRANULE) == 0)
        count++;
    return count;
}

Test(share, as_much_is_given_as_there_is_when_all_race_for_it)
{
    for (int round = 0; round < 10; round++) {
        struct peer peers[PEERS];
        long sum = 0;

        for (int i = 0; i < PEERS; i++)
            peers[i] = started();
        for (int i = 0; i < PEERS; i++)
            peer_begin(&peers[i], take_all, 0);
        for (int i = 0; i < PEERS; i++)
            sum += peer_wait(&peers[i]);
        cr_assert_eq(sum, 64 / 2);
        for (int i = 0; i < PEERS; i++)
            peer_kill(&peers[i]);
    }
}

/* Each kind of memory, once. */
static void take_native(void)
{
    must(act_take(3 * MIB));
}

static void take_pooled(void)
{
    CUdeviceptr address;

    must(cuMemAllocAsync(&address, 3 * MIB, NULL));
    must(cuCtxSynchronize());
}

static void take_array(void)
{
    const CUDA_ARRAY_DESCRIPTOR flat = {
        .Width = 1024, .Height = 768, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    CUarray array;

    must(cuArrayCreate(&array, &flat));
}

static void take_physical(void)
{
    physical();
}

static void take_pages(void)
{
    fetch(managed(3 * MIB), 3 * MIB, 0);
}

static void take_by_graph(void)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                       .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
                                         .bytesize = 3 * MIB};
    CUgraphExec exec;
    CUgraphNode node;
    CUgraph graph;

    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
}

static void (*const kinds[])(void) = {take_native,   take_pooled, take_array,
                                      take_physical, take_pages,  take_by_graph};

static long act_kind(long kind)
{
    kinds[kind]();
    return 0;
}

Test(share, every_kind_of_device_memory_counts)
{
    struct peer one = started(), other = started();
    long used = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        peer_do(&one, act_kind, (long)i);
        cr_assert_gt(peer_do(&one, act_used, 0), used, "kind %zu", i);
        used = peer_do(&one, act_used, 0);
        cr_assert_eq(peer_do(&other, act_room, 0), 64 * MIB - used, "kind %zu", i);
    }
}

static long act_host(long unused)
{
    (void)unused;
    physical_host();
    managed(20 * MIB);
    return 0;
}

Test(share, host_memory_and_pages_that_nobody_holds_do_not_count)
{
    struct peer one = started(), other = started();

    peer_do(&one, act_host, 0);
    cr_assert_eq(peer_do(&other, act_room, 0), 64 * MIB);
}

/* Bytes that the device holds of as many managed ones. */
static long act_fetch(long bytes)
{
    CUdeviceptr address = managed((size_t)bytes);

    fetch(address, (size_t)bytes, 0);
    return (long)simgpu_managed_bytes(address, (size_t)bytes, 0);
}

Test(share, managed_pages_find_as_much_room_as_others_leave)
{
    struct peer one = started(), other = started();

    cr_assert_eq(peer_do(&one, act_take, 50 * MIB), 0);
    cr_assert_eq(peer_do(&other, act_fetch, 20 * MIB), 14 * MIB);
    cr_assert_eq(peer_do(&one, act_room, 0), 0);
    cr_assert_eq(peer_do(&other, act_take, 10 * MIB), 0, "its own pages make room");
    cr_assert_eq(peer_do(&one, act_take, 2 * MIB), CUDA_ERROR_OUT_OF_MEMORY, "another's do not");
}

Test(share, a_killed_process_holds_nothing)
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

Test(share, a_process_that_is_stopped_holds_nobody_up)
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

Test(share, a_forked_child_does_not_keep_what_its_parent_held)
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

Test(share, a_forked_child_is_refused_and_its_end_takes_nothing_from_the_parent)
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

Test(share, a_process_that_closes_all_descriptors_keeps_what_it_holds)
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

Test(share, a_process_that_becomes_another_program_holds_nothing)
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

Test(share, many_can_make_the_file_at_once)
{
    enum {
        MANY = 12
    };

    for (int round = 0; round < 5; round++) {
        struct peer peers[MANY];
        long sum = 0;

        share_begin("64M");
        for (int i = 0; i < MANY; i++)
            peers[i] = peer_start();
        for (int i = 0; i < MANY; i++)
            peer_begin(&peers[i], act_start, 0);
        for (int i = 0; i < MANY; i++)
            cr_assert_eq(peer_wait(&peers[i]), 0);
        for (int i = 0; i < MANY; i++)
            sum += peer_do(&peers[i], act_take, 8 * MIB) == 0;
        cr_assert_eq(sum, 8);
        for (int i = 0; i < MANY; i++)
            peer_kill(&peers[i]);
    }
}

/* What cuInit says with that file, in a process of its own, and whether it printed one line. */
static void expect_refusal(const char *file, bool refused)
{
    struct peer peer;
    int lines[2];
    char text[4096];
    ssize_t length;
    int saved = dup(2);

    setenv("SIMGPU_SHARED", file, 1);
    cr_assert_eq(pipe(lines), 0);
    dup2(lines[1], 2);
    peer = peer_start();
    dup2(saved, 2);
    close(lines[1]);
    cr_expect_eq(peer_do(&peer, act_start, 0), refused ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS, "%s", file);
    peer_kill(&peer);
    length = read(lines[0], text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    if (refused)
        cr_expect(strstr(text, "simgpu: SIMGPU_SHARED=") == text && strchr(text, '\n') == text + length - 1,
                  "%s", text);
    else
        cr_expect_str_empty(text);
    close(lines[0]);
    close(saved);
}

static void write_file(const char *file, size_t bytes, char with)
{
    FILE *stream = fopen(file, "w");

    cr_assert(stream);
    for (size_t i = 0; i < bytes; i++)
        fputc(with, stream);
    fclose(stream);
}

Test(share, a_file_that_cannot_be_shared_is_refused_in_one_line)
{
    const char *file = share_begin("64M");
    struct stat made;

    expect_refusal("/nowhere/at/all", true);
    expect_refusal("/tmp", true);
    expect_refusal("/dev/null", true);
    expect_refusal("/proc/self/maps", true);
    write_file(file, 100, 'x');
    expect_refusal(file, true);
    write_file(file, 0, 0);
    expect_refusal(file, false);
    cr_assert_eq(stat(file, &made), 0);
    write_file(file, (size_t)made.st_size, 'x');
    expect_refusal(file, true);
    unlink(file);
    expect_refusal(file, false);
    setenv("SIMGPU_MEMORY", "32M", 1);
    expect_refusal(file, true);
    setenv("SIMGPU_MEMORY", "64M", 1);
    setenv("SIMGPU_DEVICES", "2", 1);
    expect_refusal(file, true);
    unsetenv("SIMGPU_DEVICES");
    expect_refusal(file, false);
}

Test(share, devices_are_told_apart_whatever_their_order)
{
    struct peer straight, turned;

    setenv("SIMGPU_DEVICES", "2", 1);
    straight = peer_start();
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    turned = peer_start();
    cr_assert_eq(peer_do(&straight, act_start, 0), 0);
    cr_assert_eq(peer_do(&turned, act_start, 0), 0);
    cr_assert_eq(peer_do(&straight, act_take, 40 * MIB), 0);
    cr_assert_eq(peer_do(&turned, act_room, 0), 64 * MIB);
    cr_assert_eq(peer_do(&turned, act_take, 50 * MIB), 0);
    cr_assert_eq(peer_do(&turned, act_room, 0), 14 * MIB);
    cr_assert_eq(peer_do(&straight, act_room, 0), 24 * MIB);
    cr_assert_eq(peer_do(&turned, act_start, 1), 0);
    cr_assert_eq(peer_do(&turned, act_room, 0), 24 * MIB);
}

static void read_file(const char *file, char *text, size_t bytes)
{
    FILE *stream = fopen(file, "r");

    cr_assert(stream, "%s", file);
    text[fread(text, 1, bytes - 1, stream)] = '\0';
    fclose(stream);
    unlink(file);
}

Test(share, the_report_has_what_all_hold_and_the_most_that_they_held)
{
    char pattern[96], file[96], report[65536];
    struct peer one, other, killed = started();
    const char *path = getenv("SIMGPU_SHARED");
    pid_t pid;

    snprintf(pattern, sizeof pattern, "%s-report-%%p", path);
    setenv("SIMGPU_REPORT", pattern, 1);
    other = started();
    one = started(); /* ends first: it has the ends of the other's pipes, too */
    unsetenv("SIMGPU_REPORT");
    pid = one.pid;
    peer_do(&one, act_take, 10 * MIB);
    peer_do(&killed, act_take, 30 * MIB);
    peer_do(&other, act_take, 6 * MIB);
    peer_kill(&killed);
    peer_end(&one);
    snprintf(file, sizeof file, "%s-report-%d", path, (int)pid);
    read_file(file, report, sizeof report);
    cr_expect(strstr(report, "\"peak_bytes\": {\"device\": 10485760, "), "%s", report);
    cr_expect(strstr(report, "\"shared\": {\"used_bytes\": 16777216, \"peak_bytes\": 48234496}"), "%s",
              report);
    snprintf(file, sizeof file, "%s-report-%d", path, (int)other.pid);
    peer_end(&other);
    read_file(file, report, sizeof report);
    cr_expect(strstr(report, "\"shared\": {\"used_bytes\": 6291456, \"peak_bytes\": 48234496}"), "%s",
              report);
}
