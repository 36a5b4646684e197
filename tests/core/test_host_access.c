/* SPDX-License-Identifier: Apache-2.0 */
/* test_host_access.c - who uses registered host memory finds it, whatever leaves meanwhile. */
#include "host/host_state.h"
#include "host_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sanitizers are slow, and keep notes that count as resident. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* `statm`: /proc/self/statm, opened before there are threads with a table of descriptors of their own. ThreadSanitizer
 * takes the numbers of both for the same files. */
static uint64_t resident_bytes(int statm)
{
    unsigned long total, resident;
    char text[128] = {0};

    cr_assert(pread(statm, text, sizeof(text) - 1, 0) > 0 && sscanf(text, "%lu %lu", &total, &resident) == 2);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_long(void)
{
    return getenv("EBBTIDE_TEST_LONG") != NULL;
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* ---- what is away is found ---------------------------------------------------------------------------------- */

Test(host_access, what_was_evicted_is_there_at_the_next_access)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(8 * MIB);
    range_fill(words, 8 * MIB);
    range_evict(words, 8 * MIB);
    cr_expect_eq(host_used(), 0);
    cr_expect_eq(host_disk_used(), 8 * MIB);
    cr_expect_eq(words[MIB / 8], range_word(MIB / 8));
    cr_expect_eq(range_away(words), 8 * MIB - HOST_PIECE_BYTES, "one access brings one piece");
    cr_expect(range_is_filled(words, 8 * MIB));
    cr_expect_eq(range_away(words), 0);
    cr_expect(host_disk_empties());
    range_release(words, 8 * MIB);
    host_world_end();
}

struct reader {
    const uint64_t *words;
    uint64_t bytes, checks, seed, wrong;
};

static void *read_at_random(void *argument)
{
    struct reader *reader = argument;

    for (uint64_t i = 0; i < reader->checks; i++) {
        uint64_t at = draw(&reader->seed) % (reader->bytes / 8);

        reader->wrong += reader->words[at] != range_word(at);
    }
    return NULL;
}

Test(host_access, random_access_by_four_threads_finds_every_word_within_the_budget, .timeout = 3600)
{
    uint64_t budget = is_long() ? 1024 * MIB : 64 * MIB, bytes = 4 * budget, before, most = 0;
    struct reader reader[4];
    pthread_t thread[4];
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    host_world_begin(budget, NULL);
    before = resident_bytes(statm);
    uint64_t *words = range_map_registered(bytes);
    range_fill(words, bytes);
    for (unsigned i = 0; i < 4; i++) {
        reader[i] = (struct reader){.words = words,
                                    .bytes = bytes,
                                    .checks = is_long()   ? 250000
                                              : SANITIZED ? 250
                                                          : 2500,
                                    .seed = i + 1};
        cr_assert_eq(pthread_create(&thread[i], NULL, read_at_random, &reader[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        while (pthread_tryjoin_np(thread[i], NULL) == EBUSY) {
            uint64_t now = resident_bytes(statm);

            most = now > most ? now : most;
            usleep(1000);
        }
        cr_expect_eq(reader[i].wrong, 0);
    }
    cr_expect(SANITIZED || most - before <= budget + budget / 20, "%lu MiB were resident",
              (unsigned long)((most - before) / MIB));
    cr_expect_leq(host_peak(), budget);
    cr_assert_eq(host_block_abandon(words, bytes), 0);
    cr_assert_not(host_block_any());
    munmap(words, bytes);
    host_world_end();
}

/* ---- while others use it ------------------------------------------------------------------------------------ */

struct writer {
    _Atomic uint64_t *words; /* of all writers; this one has every fourth */
    uint64_t count, seed;
    unsigned which;
    uint64_t lost;
    _Atomic bool stop;
};

/* Each word counts how often it was written; its owner remembers. */
static void *write_at_random(void *argument)
{
    struct writer *writer = argument;
    uint32_t *model = calloc(writer->count, sizeof(*model));

    while (!writer->stop) {
        uint64_t at = draw(&writer->seed) % writer->count;

        writer->lost += atomic_fetch_add(&writer->words[at * 4 + writer->which], 1) != model[at]++;
    }
    for (uint64_t at = 0; at < writer->count; at++)
        writer->lost += writer->words[at * 4 + writer->which] != model[at];
    free(model);
    return NULL;
}

Test(host_access, nothing_is_lost_by_writers_that_meet_what_leaves, .timeout = 600)
{
    uint64_t bytes = 4 * MIB;
    struct writer writer[4];
    pthread_t thread[4];
    uint64_t evicted = 0;

    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(bytes);
    for (unsigned i = 0; i < 4; i++) {
        writer[i] = (struct writer){
            .words = (_Atomic uint64_t *)words, .count = bytes / 8 / 4, .seed = i + 1, .which = i};
        cr_assert_eq(pthread_create(&thread[i], NULL, write_at_random, &writer[i]), 0);
    }
    while (evicted < (is_long() ? 4096 : SANITIZED ? 2 : 64) * MIB)
        evicted += (uint64_t)host_block_evict(words, 0);
    for (unsigned i = 0; i < 4; i++)
        writer[i].stop = true;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
        cr_expect_eq(writer[i].lost, 0);
    }
    range_release(words, bytes);
    host_world_end();
}

Test(host_access, system_calls_reach_what_is_away)
{
    static char copy[MIB];
    FILE *file = tmpfile();

    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(2 * MIB);
    range_fill(words, 2 * MIB);
    range_evict(words, 2 * MIB);
    cr_assert_eq(write(fileno(file), words, MIB), (ssize_t)MIB);
    cr_assert_eq(pread(fileno(file), copy, MIB, 0), (ssize_t)MIB);
    cr_expect(range_is_filled((const uint64_t *)(const void *)copy, MIB));
    range_evict(words, 2 * MIB);
    cr_assert_eq(pread(fileno(file), words + MIB / 8, MIB, 0), (ssize_t)MIB);
    cr_expect(range_is_filled(words + MIB / 8, MIB), "what was read into it");
    cr_expect(range_is_filled(words, MIB), "what lies before that");
    fclose(file);
    range_release(words, 2 * MIB);
    host_world_end();
}

static void *evict_until_told(void *argument)
{
    _Atomic(uint64_t *) *words = argument;
    uint64_t *now;

    while ((now = *words))
        host_block_evict(now, 0);
    return NULL;
}

Test(host_access, reads_around_the_page_cache_arrive_while_it_is_evicted, .timeout = 120)
{
    int file = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT, 0600);
    _Atomic(uint64_t *) evicted;
    pthread_t thread;
    uint64_t wrong = 0;

    if (file < 0)
        cr_skip("no direct i/o here");
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(MIB), *source = range_map(MIB);
    if (!host_fault_moves()) {
        range_release(words, MIB);
        host_world_end();
        cr_skip("this kernel does not tell which pages are pinned");
    }
    range_fill(source, MIB);
    cr_assert_eq(pwrite(file, source, MIB, 0), (ssize_t)MIB);
    evicted = words;
    cr_assert_eq(pthread_create(&thread, NULL, evict_until_told, &evicted), 0);
    for (unsigned round = 0; round < 40; round++) {
        memset(words, (int)round, MIB);
        cr_assert_eq(pread(file, words, MIB, 0), (ssize_t)MIB);
        wrong += !range_is_filled(words, MIB);
    }
    evicted = NULL;
    pthread_join(thread, NULL);
    cr_expect_eq(wrong, 0);
    close(file);
    range_release(words, MIB);
    host_world_end();
}

/* What the kernel says while a page that it moves is written to can only be provoked by trying. */
Test(host_access, pages_moved_before_are_there_and_holes_stay_holes)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *to = range_map(MIB), *from = range_map(MIB), moved = 0;
    unsigned char there[MIB / 4096];

    if (!host_fault_moves()) {
        host_world_end();
        cr_skip("this kernel moves no pages");
    }
    cr_assert_eq(host_fault_arm((uintptr_t)to, (uintptr_t)to + MIB), 0);
    for (unsigned page = 0; page < MIB / 4096; page++)
        if (page % 3 != 1)
            from[page * 512] = page + 1;
    for (unsigned page = 0; page < MIB / 4096; page += 5)
        host_fault_move((uintptr_t)to + page * 4096, (uintptr_t)from + page * 4096, 4096, &moved);
    cr_expect_eq(host_fault_move((uintptr_t)to, (uintptr_t)from, MIB, &moved), 0);
    cr_expect_eq(moved, MIB);
    cr_assert_eq(host_fault_disarm((uintptr_t)to, (uintptr_t)to + MIB), 0);
    cr_assert_eq(mincore(to, MIB, there), 0);
    for (unsigned page = 0; page < MIB / 4096; page++) {
        cr_expect_eq(there[page] & 1, page % 3 != 1);
        cr_expect_eq(to[page * 512], page % 3 != 1 ? page + 1 : 0);
    }
    munmap(to, MIB);
    munmap(from, MIB);
    host_world_end();
}

static void *work_until_told(void *argument)
{
    _Atomic bool *stop = argument;
    uint64_t *words = (uint64_t *)(argument) + 1, seed = 7;

    while (!*stop)
        atomic_fetch_add((_Atomic uint64_t *)&words[draw(&seed) % 1000], 0);
    return NULL;
}

Test(host_access, forked_child_of_a_threaded_program_has_every_byte)
{
    struct shared {
        _Atomic bool stop;
        uint64_t words[1000];
    };

    host_world_begin(64 * MIB, NULL);
    struct shared *shared = (struct shared *)range_map_registered(2 * MIB);
    uint64_t *words = range_map_registered(6 * MIB), *protected = range_map_registered(MIB);
    pthread_t thread;

    range_fill(words, 6 * MIB);
    range_fill(protected, MIB);
    mprotect(protected, MIB, PROT_READ);
    cr_assert_eq(pthread_create(&thread, NULL, work_until_told, shared), 0);
    for (unsigned round = 0; round < 8; round++) {
        range_evict(words, 6 * MIB);
        range_evict(protected, MIB);
        host_fork_prepare();
        pid_t child = fork();

        if (child == 0) {
            host_fork_child();
            core_forked();
            words[0]++;
            _exit(range_is_filled(words + 1, 0) && words[0] == range_word(0) + 1 &&
                          range_is_filled(protected, MIB) &&
                          words[6 * MIB / 8 - 1] == range_word(6 * MIB / 8 - 1) &&
                          host_block_pin(words, 0) == 0
                      ? 0
                      : 1);
        }
        host_fork_parent();
        int status;

        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    }
    shared->stop = true;
    pthread_join(thread, NULL);
    cr_expect(range_is_filled(words, 6 * MIB));
    range_release(words, 6 * MIB);
    range_release(protected, MIB);
    range_release((uint64_t *)shared, 2 * MIB);
    host_world_end();
}

/* ---- children that share what leaves ---------------------------------------------------------------------------- */

#define SPARSE_BYTES (48 * MIB)

struct toucher {
    char *memory;
    unsigned which; /* of four; its byte in each page */
    uint64_t seed, touches, wrong;
};

/* A byte of each page counts how often its thread was there; so does the thread. */
static void *touch_any_page(void *argument)
{
    static unsigned char model[4][SPARSE_BYTES / 4096];
    struct toucher *toucher = argument;

    for (uint64_t i = 0; i < toucher->touches; i++) {
        uint64_t page = draw(&toucher->seed) % (SPARSE_BYTES / 4096);
        unsigned char *at = (unsigned char *)toucher->memory + page * 4096 + toucher->which;

        toucher->wrong += (*at)++ != model[toucher->which][page]++;
    }
    return NULL;
}

/* Those who serve faults wait for the thread that evicts, and that comes upon pieces that a child shares, in which some
 * pages are missing. */
Test(host_access, pieces_that_were_touched_here_and_there_leave_while_a_child_shares_them, .timeout = 120)
{
    struct toucher toucher[4];
    pthread_t thread[4];
    bool running = true;

    host_world_begin(16 * MIB, NULL);
    char *memory = (char *)range_map(SPARSE_BYTES);
    for (uint64_t at = 0; at < SPARSE_BYTES; at += 8192)
        memory[at + 100] = 1;
    cr_assert_eq(host_block_register(memory, SPARSE_BYTES, 0, "sparse"), 0);
    for (unsigned i = 0; i < 4; i++) {
        toucher[i] =
            (struct toucher){.memory = memory, .which = i, .seed = i + 1, .touches = SANITIZED ? 1000 : 4000};
        cr_assert_eq(pthread_create(&thread[i], NULL, touch_any_page, &toucher[i]), 0);
    }
    for (unsigned round = 0; running && round < 12; round++) {
        pid_t child = fork();

        if (child == 0) {
            usleep(20000);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        running = pthread_tryjoin_np(thread[0], NULL) == EBUSY;
    }
    for (unsigned i = running ? 0 : 1; i < 4; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        cr_expect_eq(toucher[i].wrong, 0);
    for (uint64_t at = 0; at < SPARSE_BYTES; at += 4096)
        cr_assert_eq(memory[at + 100], at % 8192 == 0);
    range_release((uint64_t *)(void *)memory, SPARSE_BYTES);
    host_world_end();
}

static void *fork_and_wait(void *argument)
{
    _Atomic unsigned *forks = argument;
    int status;

    for (unsigned i = 0; i < (SANITIZED ? 4 : 30); i++) {
        host_fork_prepare();
        pid_t child = fork();

        if (child == 0) {
            host_fork_child();
            core_forked();
            _exit(0);
        }
        host_fork_parent();
        *forks += waitpid(child, &status, 0) == child && status == 0;
    }
    return NULL;
}

/* A fork waits for who is at work on a block, who waits for others to leave, which would wait for the fork. */
Test(host_access, forks_and_a_full_budget_do_not_wait_for_each_other, .timeout = 120)
{
    _Atomic unsigned forks = 0;
    struct reader reader[4];
    pthread_t thread[4], forker;

    host_world_begin(8 * MIB, NULL);
    uint64_t *words = range_map_registered(32 * MIB);
    range_fill(words, 32 * MIB);
    cr_assert_eq(pthread_create(&forker, NULL, fork_and_wait, &forks), 0);
    for (unsigned i = 0; i < 4; i++) {
        reader[i] = (struct reader){
            .words = words, .bytes = 32 * MIB, .checks = SANITIZED ? 200 : 3000, .seed = i + 1};
        cr_assert_eq(pthread_create(&thread[i], NULL, read_at_random, &reader[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
        cr_expect_eq(reader[i].wrong, 0);
    }
    cr_assert_eq(pthread_join(forker, NULL), 0);
    cr_expect_eq(forks, SANITIZED ? 4 : 30);
    range_release(words, 32 * MIB);
    host_world_end();
}
