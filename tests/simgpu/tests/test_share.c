/* SPDX-License-Identifier: Apache-2.0 */
/* Processes on devices of SIMGPU_SHARED. */
#include "driver.h"
#include "pages.h"
#include "peer.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* Descriptors go from one process to another. */
static int passage[2];

static CUmemGenericAllocationHandle passed;

static long act_export(long unused)
{
    const CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    char room[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    int descriptor;

    (void)unused;
    must(cuMemCreate(&passed, GRANULE, &prop, 0));
    must(cuMemExportToShareableHandle(&descriptor, passed, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    *rights = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
    return sendmsg(passage[0], &message, 0);
}

static long act_import(long unused)
{
    char room[CMSG_SPACE(sizeof(int))], byte;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    int descriptor;

    (void)unused;
    if (recvmsg(passage[1], &message, 0) != 1)
        return -1;
    memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
    return cuMemImportFromShareableHandle(&passed, (void *)(intptr_t)descriptor,
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
}

static long act_give(long unused)
{
    (void)unused;
    return cuMemRelease(passed);
}

Test(share, a_handle_that_two_processes_have_counts_once_for_its_exporter)
{
    struct peer exporter, importer, watcher;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, passage), 0);
    exporter = started();
    importer = started();
    watcher = started();
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(peer_do(&exporter, act_export, 0), 1);
        cr_assert_eq(peer_do(&importer, act_import, 0), 0);
        cr_assert_eq(peer_do(&watcher, act_room, 0), 62 * MIB);
        cr_assert_eq(peer_do(&importer, act_used, 0), 0);
        if (round == 0) {
            cr_assert_eq(peer_do(&importer, act_give, 0), 0);
            cr_assert_eq(peer_do(&watcher, act_room, 0), 62 * MIB);
            cr_assert_eq(peer_do(&exporter, act_give, 0), 0);
        } else {
            peer_kill(&exporter);
        }
        cr_assert_eq(peer_do(&watcher, act_room, 0), 64 * MIB);
    }
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
