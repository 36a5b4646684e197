/* SPDX-License-Identifier: Apache-2.0 */
/* test_recording.c - EBBTIDE_RECORD: the file has what happened, in its order; whatever becomes of it, the program goes on. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/monitor.h"
#include "engine/recording.h"
#include "ledger/state.h"
#include "trace.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

enum {
    MANY = 200000 /* calls, for which the memory between two writes does not last */
};

TestSuite(recording, .timeout = 120);

static struct world world;
static char folder[32] = "/tmp/ebbtide-record-XXXXXX", path[64], log_path[64];

static void make_folder(void)
{
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/trace", folder);
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    log_init(LOG_WARN, log_path);
}

static void start_to(const char *where)
{
    char settings[192];

    snprintf(settings, sizeof(settings),
             "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=400M EBBTIDE_RECORD=%s", where);
    world_start(&world, settings, NULL);
}

static void start(void)
{
    make_folder();
    start_to(path);
}

static void remove_folder(void)
{
    unlink(path);
    unlink(log_path);
    rmdir(folder);
}

static void finish(void)
{
    world_finish(&world);
    remove_folder();
}

static uint64_t made(uint64_t bytes)
{
    uint64_t address;

    cr_assert_eq(core_allocate(0, bytes, 0, NULL, true, &address), 0);
    return address;
}

static void call(bool writes, const void *kernel, const uint64_t *address, unsigned count)
{
    struct use use;

    use_init(&use, writes);
    use.kernel = kernel;
    use.launched = kernel;
    for (unsigned i = 0; i < count; i++)
        use_word(&use, address[i]);
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
}

/* Words of the file. */
static size_t read_words(uint32_t *words, size_t most)
{
    FILE *file = fopen(path, "rb");
    size_t count;

    cr_assert(file);
    count = fread(words, sizeof(*words), most, file);
    fclose(file);
    return count;
}

/* How many lines the log has that say something of a recording. */
static unsigned lines_said(void)
{
    char line[512];
    FILE *file = fopen(log_path, "r");
    unsigned count = 0;

    while (file && fgets(line, sizeof(line), file))
        count += strstr(line, "EBBTIDE_RECORD") != NULL;
    if (file)
        fclose(file);
    return count;
}

/* A trace that the reader of bench/ refuses ends the case. */
static void read_trace(struct trace *trace)
{
    trace_read(trace, path);
}

Test(recording, blocks_and_the_calls_that_use_them_are_written_word_for_word)
{
    static const uint32_t expected[] = {
        0, 0, 2,                                                             /* a block of two granules */
        0, 1, 1,                                                             /* one of one */
        2, 1, 0, 2000 + 2 * 1049, 1, 0, 1, 1000000, 100,                     /* a copy into the first */
        2, 2, 0, 2000 + 3 * 1049, 2, 1, 1, 1000000, 100, 0, 1, 1000000, 100, /* a kernel with both */
        2, 0, 0, 2000 + 1049,     1, 1, 0, 1000000, 100,                     /* a copy from the second */
        1, 0,                                                                /* the first is freed */
        0, 2, 3,                                         /* another one, wherever it lies */
        2, 3, 0, 2000 + 3 * 1049, 1, 2, 1, 1000000, 100, /* another kernel */
    };
    uint32_t words[256];
    uint64_t block[3];

    start();
    block[0] = made(4 * MIB);
    block[1] = made(2 * MIB);
    call(true, NULL, block, 1);
    call(true, "one", (uint64_t[]){block[1], block[0] + 3 * MIB, block[1] + 64, block[0]}, 4);
    call(false, NULL, &block[1], 1);
    cr_assert_eq(core_free(block[0]), 0);
    block[2] = made(6 * MIB);
    call(true, "other", &block[2], 1);
    monitor_tick();
    cr_assert_eq(read_words(words, 256), sizeof(expected) / sizeof(*expected));
    cr_expect_arr_eq(words, expected, sizeof(expected));
    cr_assert_eq(core_free(block[1]), 0);
    cr_assert_eq(core_free(block[2]), 0);
    cr_expect_eq(lines_said(), 0);
    finish();
}

Test(recording, what_is_made_under_pressure_is_a_trace_that_can_be_replayed)
{
    struct program program;
    struct trace trace;

    start();
    program_init(&program, &world, PROGRAM_BLOCKS, 3);
    program.with_small = true;
    program.may_refuse = true;
    for (unsigned i = 0; i < 2000; i++)
        program_step(&program);
    program_free_all(&program);
    core_settle();
    read_trace(&trace);
    cr_expect_gt(trace.launches, 500);
    cr_expect_gt(trace.need, 20, "%llu granules", (unsigned long long)trace.need);
    trace_finish(&trace);
    finish();
}

Test(recording, more_calls_than_memory_is_kept_for_are_written_on_the_way)
{
    struct trace trace;
    uint64_t block;
    struct stat before;

    start();
    block = made(2 * MIB);
    for (unsigned i = 0; i < MANY; i++)
        call(true, "kernel", &block, 1);
    cr_assert_eq(stat(path, &before), 0);
    cr_expect_gt(before.st_size, MANY * 9 * 4 / 2, "%lld bytes", (long long)before.st_size);
    core_settle();
    read_trace(&trace);
    cr_expect_eq(trace.launches, MANY);
    trace_finish(&trace);
    cr_assert_eq(core_free(block), 0);
    cr_expect_eq(lines_said(), 0);
    finish();
}

static void *use_and_free(void *arg)
{
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t block = made(2 * MIB);

        for (unsigned k = 0; k < 4; k++)
            call(k & 1, arg, &block, 1);
        cr_assert_eq(core_free(block), 0);
    }
    return NULL;
}

Test(recording, calls_of_several_threads_stand_between_the_making_and_the_freeing_of_their_blocks)
{
    static char kernel[4][16];
    pthread_t thread[4];
    struct trace trace;

    start();
    for (unsigned i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, use_and_free, kernel[i]);
    for (unsigned i = 0; i < 200; i++)
        monitor_tick();
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    core_settle();
    read_trace(&trace);
    cr_expect_eq(trace.launches, 4 * 2000 * 4);
    cr_expect_leq(trace.need, 20);
    trace_finish(&trace);
    finish();
}

Test(recording, a_path_that_cannot_be_made_is_one_line_and_nothing_is_recorded)
{
    static const char *const wrong[] = {"/nowhere/at/all/trace", "/dev/null", "/tmp"};

    for (unsigned i = 0; i < 3; i++) {
        uint64_t block;
        struct stat st;

        strcpy(folder, "/tmp/ebbtide-record-XXXXXX");
        make_folder();
        start_to(wrong[i]);
        block = made(2 * MIB);
        call(true, "kernel", &block, 1);
        cr_expect_eq(core.attention, 0);
        cr_assert_eq(core_free(block), 0);
        world_finish(&world);
        cr_expect_eq(lines_said(), 1, "%s", wrong[i]);
        cr_expect(stat(wrong[i], &st) < 0 || !S_ISREG(st.st_mode));
        remove_folder();
    }
}

/* One that was there is somebody else's from then on, and so is what has taken its place. */
Test(recording, a_file_that_is_gone_or_replaced_ends_it_with_one_line)
{
    uint64_t block;
    FILE *other;
    struct stat st;

    start();
    block = made(2 * MIB);
    call(true, "kernel", &block, 1);
    monitor_tick();
    cr_assert_eq(unlink(path), 0);
    other = fopen(path, "w");
    cr_assert(other);
    fclose(other);
    for (unsigned i = 0; i < 3; i++) {
        call(true, "kernel", &block, 1);
        monitor_tick();
    }
    cr_expect_eq(core.attention, 0);
    cr_expect_eq(lines_said(), 1);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_size, 0);
    cr_assert_eq(core_free(block), 0);
    finish();
}

Test(recording, what_the_path_had_before_is_no_part_of_it)
{
    struct trace trace;
    FILE *old;
    uint64_t block;

    make_folder();
    old = fopen(path, "w");
    fputs("something else, and much longer than what is recorded now", old);
    fclose(old);
    start_to(path);
    block = made(2 * MIB);
    call(true, "kernel", &block, 1);
    core_settle();
    read_trace(&trace);
    cr_expect_eq(trace.launches, 1);
    trace_finish(&trace);
    cr_assert_eq(core_free(block), 0);
    finish();
}

Test(recording, a_forked_child_writes_nothing_into_the_file_of_its_parent)
{
    struct trace trace;
    uint64_t block;
    pid_t child;
    int status;

    start();
    block = made(2 * MIB);
    call(true, "kernel", &block, 1);
    child = fork();
    if (!child) {
        core_forked();
        recording_write();
        recording_finish();
        _exit(core.attention);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
    call(true, "kernel", &block, 1);
    core_settle();
    read_trace(&trace);
    cr_expect_eq(trace.launches, 2);
    trace_finish(&trace);
    cr_assert_eq(core_free(block), 0);
    finish();
}
