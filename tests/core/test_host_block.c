/* SPDX-License-Identifier: Apache-2.0 */
/* Registered host memory on a real disk, with faults from the real kernel. */
#include "host_block.h"
#include "host_block_state.h"

#include "spill.h"
#include "state.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* Sanitizers are slow, and keep notes that count as resident. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static struct spill spill;

/* Start with a budget for the host and, unless NULL, for the spill directory. */
static void begin(uint64_t host_bytes, const char *disk)
{
    spill_init(&spill, disk);
    spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = host_bytes};
    core_host_start(&spill.options);
    if (!host_fault_start()) {
        spill_finish(&spill);
        cr_skip("faults of the kernel are not handed to this user");
    }
}

/* What the host budget, or a class of it, holds. */
static uint64_t used(void)
{
    uint64_t bytes;

    pthread_mutex_lock(&core.lock);
    bytes = core.host_budget.used_bytes;
    pthread_mutex_unlock(&core.lock);
    return bytes;
}

static uint64_t peak(void)
{
    uint64_t bytes;

    pthread_mutex_lock(&core.lock);
    bytes = core.host_budget.peak_bytes;
    pthread_mutex_unlock(&core.lock);
    return bytes;
}

static uint64_t used_by(enum host_class class)
{
    uint64_t bytes;

    pthread_mutex_lock(&core.lock);
    bytes = core.host_budget.class_bytes[class];
    pthread_mutex_unlock(&core.lock);
    return bytes;
}

static uint64_t disk_used(void)
{
    struct disk_figures figures;

    disk_figures(&core.disk, &figures);
    return figures.used_bytes;
}

static void end(void)
{
    cr_expect_eq(host_block_count, 0);
    cr_expect_eq(used(), 0, "%lu bytes are still charged", (unsigned long)used());
    cr_expect_eq(disk_used(), 0);
    core_finish();
    spill_finish(&spill);
}

/* Words that know their place. */
static uint64_t word_at(uint64_t index)
{
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t *map(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(memory, MAP_FAILED);
    return memory;
}

static void fill(uint64_t *words, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++)
        words[i] = word_at(i);
}

static bool is_filled(const uint64_t *words, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++)
        if (words[i] != word_at(i))
            return false;
    return true;
}

static uint64_t *map_registered(uint64_t bytes)
{
    uint64_t *words = map(bytes);

    cr_assert_eq(host_block_register(words, bytes, 0, "test"), 0);
    return words;
}

static void release(uint64_t *words, uint64_t bytes)
{
    cr_assert_eq(host_block_unregister(words), 0);
    cr_assert_eq(munmap(words, bytes), 0);
}

static uint64_t away(void *ptr)
{
    struct host_block_info info;

    cr_assert_eq(host_block_query(ptr, &info), 0);
    return info.away_bytes;
}

static void evict_all(void *ptr, uint64_t bytes)
{
    cr_assert_geq(host_block_evict(ptr, 0), 0);
    cr_assert_eq(away(ptr), bytes);
}

static uint64_t resident_bytes(void)
{
    unsigned long total, resident;
    FILE *file = fopen("/proc/self/statm", "r");

    cr_assert(file && fscanf(file, "%lu %lu", &total, &resident) == 2);
    fclose(file);
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

Test(host_block, what_was_evicted_is_there_at_the_next_access)
{
    begin(64 * MIB, NULL);
    uint64_t *words = map_registered(8 * MIB);
    fill(words, 8 * MIB);
    evict_all(words, 8 * MIB);
    cr_expect_eq(used(), 0);
    cr_expect_eq(disk_used(), 8 * MIB);
    cr_expect_eq(words[MIB / 8], word_at(MIB / 8));
    cr_expect_eq(away(words), 8 * MIB - HOST_PIECE_BYTES, "one access brings one piece");
    cr_expect(is_filled(words, 8 * MIB));
    cr_expect_eq(away(words), 0);
    cr_expect_eq(disk_used(), 0);
    release(words, 8 * MIB);
    end();
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

        reader->wrong += reader->words[at] != word_at(at);
    }
    return NULL;
}

Test(host_block, random_access_by_four_threads_finds_every_word_within_the_budget, .timeout = 3600)
{
    uint64_t budget = is_long() ? 1024 * MIB : 64 * MIB, bytes = 4 * budget, before, most = 0;
    struct reader reader[4];
    pthread_t thread[4];

    begin(budget, NULL);
    before = resident_bytes();
    uint64_t *words = map_registered(bytes);
    fill(words, bytes);
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
            uint64_t now = resident_bytes();

            most = now > most ? now : most;
            usleep(1000);
        }
        cr_expect_eq(reader[i].wrong, 0);
    }
    cr_expect(SANITIZED || most - before <= budget + budget / 20, "%lu MiB were resident",
              (unsigned long)((most - before) / MIB));
    cr_expect_leq(peak(), budget);
    cr_assert(host_block_abandon(words, bytes));
    munmap(words, bytes);
    end();
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

Test(host_block, nothing_is_lost_by_writers_that_meet_what_leaves, .timeout = 600)
{
    uint64_t bytes = 4 * MIB;
    struct writer writer[4];
    pthread_t thread[4];
    uint64_t evicted = 0;

    begin(64 * MIB, NULL);
    uint64_t *words = map_registered(bytes);
    for (unsigned i = 0; i < 4; i++) {
        writer[i] = (struct writer){
            .words = (_Atomic uint64_t *)words, .count = bytes / 8 / 4, .seed = i + 1, .which = i};
        cr_assert_eq(pthread_create(&thread[i], NULL, write_at_random, &writer[i]), 0);
    }
    while (evicted < (is_long() ? 4096 : SANITIZED ? 8 : 64) * MIB)
        evicted += (uint64_t)host_block_evict(words, 0);
    for (unsigned i = 0; i < 4; i++)
        writer[i].stop = true;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
        cr_expect_eq(writer[i].lost, 0);
    }
    release(words, bytes);
    end();
}

Test(host_block, system_calls_reach_what_is_away)
{
    static char copy[MIB];
    FILE *file = tmpfile();

    begin(64 * MIB, NULL);
    uint64_t *words = map_registered(2 * MIB);
    fill(words, 2 * MIB);
    evict_all(words, 2 * MIB);
    cr_assert_eq(write(fileno(file), words, MIB), (ssize_t)MIB);
    cr_assert_eq(pread(fileno(file), copy, MIB, 0), (ssize_t)MIB);
    cr_expect(is_filled((const uint64_t *)(const void *)copy, MIB));
    evict_all(words, 2 * MIB);
    cr_assert_eq(pread(fileno(file), words + MIB / 8, MIB, 0), (ssize_t)MIB);
    cr_expect(is_filled(words + MIB / 8, MIB), "what was read into it");
    cr_expect(is_filled(words, MIB), "what lies before that");
    fclose(file);
    release(words, 2 * MIB);
    end();
}

static void *evict_until_told(void *argument)
{
    _Atomic(uint64_t *) *words = argument;
    uint64_t *now;

    while ((now = *words))
        host_block_evict(now, 0);
    return NULL;
}

Test(host_block, reads_around_the_page_cache_arrive_while_it_is_evicted, .timeout = 120)
{
    int file = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT, 0600);
    _Atomic(uint64_t *) evicted;
    pthread_t thread;
    uint64_t wrong = 0;

    if (file < 0)
        cr_skip("no direct i/o here");
    begin(64 * MIB, NULL);
    uint64_t *words = map_registered(MIB), *source = map(MIB);
    if (!host_fault_moves()) {
        release(words, MIB);
        end();
        cr_skip("this kernel does not tell which pages are pinned");
    }
    fill(source, MIB);
    cr_assert_eq(pwrite(file, source, MIB, 0), (ssize_t)MIB);
    evicted = words;
    cr_assert_eq(pthread_create(&thread, NULL, evict_until_told, &evicted), 0);
    for (unsigned round = 0; round < 40; round++) {
        memset(words, (int)round, MIB);
        cr_assert_eq(pread(file, words, MIB, 0), (ssize_t)MIB);
        wrong += !is_filled(words, MIB);
    }
    evicted = NULL;
    pthread_join(thread, NULL);
    cr_expect_eq(wrong, 0);
    close(file);
    release(words, MIB);
    end();
}

static void *work_until_told(void *argument)
{
    _Atomic bool *stop = argument;
    uint64_t *words = (uint64_t *)(argument) + 1, seed = 7;

    while (!*stop)
        atomic_fetch_add((_Atomic uint64_t *)&words[draw(&seed) % 1000], 0);
    return NULL;
}

Test(host_block, forked_child_of_a_threaded_program_has_every_byte)
{
    struct shared {
        _Atomic bool stop;
        uint64_t words[1000];
    };

    begin(64 * MIB, NULL);
    struct shared *shared = (struct shared *)map_registered(2 * MIB);
    uint64_t *words = map_registered(6 * MIB), *protected = map_registered(MIB);
    pthread_t thread;

    fill(words, 6 * MIB);
    fill(protected, MIB);
    mprotect(protected, MIB, PROT_READ);
    cr_assert_eq(pthread_create(&thread, NULL, work_until_told, shared), 0);
    for (unsigned round = 0; round < 8; round++) {
        evict_all(words, 6 * MIB);
        evict_all(protected, MIB);
        pid_t child = fork();

        if (child == 0) {
            host_block_fork_child();
            core_forked();
            words[0]++;
            _exit(is_filled(words + 1, 0) && words[0] == word_at(0) + 1 && is_filled(protected, MIB) &&
                          words[6 * MIB / 8 - 1] == word_at(6 * MIB / 8 - 1) && host_block_pin(words, 0) == 0
                      ? 0
                      : 1);
        }
        int status;

        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    }
    shared->stop = true;
    pthread_join(thread, NULL);
    cr_expect(is_filled(words, 6 * MIB));
    release(words, 6 * MIB);
    release(protected, MIB);
    release((uint64_t *)shared, 2 * MIB);
    end();
}

/* ---- when the disk fails ------------------------------------------------------------------------------------ */

static _Atomic int write_error, read_error;
static _Atomic unsigned reads_failed;

static ssize_t pwrite_or_fail(int file, const void *memory, size_t bytes, off_t offset)
{
    if (!write_error)
        return pwrite(file, memory, bytes, offset);
    errno = write_error;
    return -1;
}

static ssize_t pread_or_fail(int file, void *memory, size_t bytes, off_t offset)
{
    if (!read_error)
        return pread(file, memory, bytes, offset);
    errno = read_error;
    reads_failed++;
    return -1;
}

Test(host_block, block_stays_when_the_disk_is_full)
{
    begin(64 * MIB, "4M");
    uint64_t *words = map_registered(16 * MIB);
    fill(words, 16 * MIB);
    cr_expect_leq(host_block_evict(words, 0), (long)(4 * MIB));
    cr_expect_geq(used(), 12 * MIB);
    cr_expect(is_filled(words, 16 * MIB));
    release(words, 16 * MIB);
    end();
}

Test(host_block, block_stays_when_a_write_fails)
{
    begin(64 * MIB, NULL);
    core.disk.pwrite = pwrite_or_fail;
    write_error = EIO;
    uint64_t *words = map_registered(4 * MIB);
    fill(words, 4 * MIB);
    cr_expect_eq(host_block_evict(words, 0), 0);
    cr_expect_eq(away(words), 0);
    cr_expect_eq(core.counters.save_failures, 1);
    cr_expect_eq(used(), 4 * MIB);
    cr_expect(is_filled(words, 4 * MIB));
    release(words, 4 * MIB);
    end();
}

static void *read_first(void *argument)
{
    return (void *)(uintptr_t) * (uint64_t *)argument;
}

Test(host_block, who_touches_what_cannot_be_read_waits_until_it_can)
{
    pthread_t thread;
    void *found;

    begin(64 * MIB, NULL);
    core.disk.pread = pread_or_fail;
    uint64_t *words = map_registered(4 * MIB);
    fill(words, 4 * MIB);
    evict_all(words, 4 * MIB);
    read_error = EIO;
    cr_expect_eq(host_block_pin(words, 0), -EIO);
    cr_expect_eq(host_block_unregister(words), -EIO);
    cr_expect_eq(away(words), 4 * MIB);
    cr_assert_eq(pthread_create(&thread, NULL, read_first, words), 0);
    for (unsigned tries = 0, before = reads_failed; reads_failed == before && tries < 10000; tries++)
        usleep(1000);
    cr_expect_eq(pthread_tryjoin_np(thread, NULL), EBUSY);
    read_error = 0;
    cr_assert_eq(pthread_join(thread, &found), 0);
    cr_expect_eq((uintptr_t)found, word_at(0));
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect(is_filled(words, 4 * MIB));
    cr_expect_eq(host_block_unpin(words, 0), 0);
    release(words, 4 * MIB);
    end();
}

static ssize_t pread_and_flip(int file, void *memory, size_t bytes, off_t offset)
{
    ssize_t length = pread(file, memory, bytes, offset);

    ((char *)memory)[100] ^= 1;
    return length;
}

Test(host_block, changed_byte_is_noticed_under_verify)
{
    begin(64 * MIB, NULL);
    spill.options.verify = true;
    uint64_t *words = map_registered(4 * MIB);
    fill(words, 4 * MIB);
    evict_all(words, 4 * MIB);
    core.disk.pread = pread_and_flip;
    cr_expect_eq(host_block_pin(words, 0), -EIO);
    core.disk.pread = pread;
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect(is_filled(words, 4 * MIB));
    cr_expect_eq(host_block_unpin(words, 0), 0);
    release(words, 4 * MIB);
    end();
}

/* ---- rules -------------------------------------------------------------------------------------------------- */

Test(host_block, pinned_and_held_blocks_stay)
{
    begin(16 * MIB, NULL);
    uint64_t *words = map_registered(4 * MIB), *large = map_registered(20 * MIB);
    fill(words, 4 * MIB);
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect_eq(host_block_pin(words + 5, 0), 0);
    cr_expect_eq(host_block_evict(words, 0), 0);
    cr_expect_eq(host_block_pin(large, 0), -ENOSPC);
    cr_expect_eq(host_block_unregister(words), -EBUSY);
    cr_expect_eq(host_block_unpin(words, 0), 0);
    cr_expect_eq(host_block_evict(words, 0), 0, "it still has a pin");
    cr_expect_eq(host_block_unpin(words, 0), 0);
    cr_expect_eq(host_block_unpin(words, 0), -EINVAL);
    evict_all(words, 4 * MIB);
    cr_expect_eq(host_block_pin(words, HOST_PIN_NOWAIT), -EAGAIN);
    cr_assert(host_block_hold(words + MIB / 8, MIB));
    cr_expect_eq(away(words), 0, "held: it is there");
    cr_expect_eq(host_block_evict(words, 0), 0);
    host_block_drop(words + MIB / 8, MIB);
    evict_all(words, 4 * MIB);
    release(words, 4 * MIB);
    release(large, 20 * MIB);
    end();
}

Test(host_block, host_memory_that_a_copy_names_stays_until_it_has_ended)
{
    struct use use;

    begin(64 * MIB, NULL);
    uint64_t *words = map_registered(12 * MIB);
    fill(words, 12 * MIB);
    evict_all(words, 12 * MIB);
    use_init(&use, false);
    use_host(&use, words, MIB);
    cr_expect_eq(away(words), 0);
    use_host(&use, words + MIB / 2, MIB);
    use_host(&use, words + MIB / 8, MIB);
    cr_expect_eq(host_block_evict(words, 0), 0);
    host_block_drop_all(&use);
    evict_all(words, 12 * MIB);
    cr_expect_eq(use.host_count, 0);
    release(words, 12 * MIB);
    end();
}

Test(host_block, range_that_the_driver_had_before_is_held)
{
    begin(64 * MIB, NULL);
    uint64_t *words = map(4 * MIB);
    cr_assert(host_block_hold(words, MIB));
    cr_assert_eq(host_block_register(words, 4 * MIB, 0, NULL), 0);
    fill(words, 4 * MIB);
    cr_expect_eq(host_block_evict(words, 0), 0);
    host_block_drop(words, MIB);
    evict_all(words, 4 * MIB);
    release(words, 4 * MIB);
    end();
}

Test(host_block, misuse_is_refused)
{
    struct host_block_info info;
    FILE *file = tmpfile();
    char local = 0;

    begin(64 * MIB, NULL);
    char *memory = (char *)map(8 * MIB);
    cr_assert_eq(ftruncate(fileno(file), (off_t)MIB), 0);
    void *mapped = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    void *shared = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_expect_eq(host_block_register(NULL, 4096, 0, NULL), -EINVAL);
    cr_expect_eq(host_block_register(memory, 0, 0, NULL), -EINVAL);
    cr_expect_eq(host_block_register(memory, SIZE_MAX, 0, NULL), -EINVAL);
    cr_expect_eq(host_block_register(mapped, MIB, 0, NULL), -EINVAL, "a file");
    cr_expect_eq(host_block_register(shared, MIB, 0, NULL), -EINVAL, "shared");
    cr_expect_eq(host_block_register(&local, 1, 0, NULL), -EINVAL, "a stack");
    cr_expect_eq(host_block_register(memory + MIB, MIB, 0, "a name"), 0);
    cr_expect_eq(host_block_register(memory + MIB, MIB, 0, NULL), -EEXIST);
    cr_expect_eq(host_block_register(memory + MIB, 2 * MIB, 0, NULL), -EINVAL, "same start");
    cr_expect_eq(host_block_register(memory, 8 * MIB, 0, NULL), -EINVAL, "around");
    cr_expect_eq(host_block_register(memory + MIB + 5, 1, 0, NULL), -EINVAL, "inside");
    cr_expect_eq(host_block_query(memory + MIB - 1, &info), -ENOENT);
    cr_expect_eq(host_block_query(memory + 2 * MIB, &info), -ENOENT);
    cr_expect_eq(host_block_query(memory + MIB + 77, &info), 0);
    cr_expect_eq(info.base, (uintptr_t)memory + MIB);
    cr_expect_eq(info.bytes, MIB);
    cr_expect_str_eq(info.name, "a name");
    cr_expect_eq(host_block_pin(memory, 0), -ENOENT);
    cr_expect_eq(host_block_unpin(memory, 0), -ENOENT);
    cr_expect_eq(host_block_touch(memory), -ENOENT);
    cr_expect_eq(host_block_evict(memory, 0), -ENOENT);
    cr_expect_eq(host_block_unregister(memory), -ENOENT);
    cr_expect_eq(host_block_unregister(memory + 2 * MIB - 1), 0);
    cr_assert_eq(munmap(memory + 4 * MIB, 4096), 0);
    cr_expect_eq(host_block_register(memory, 8 * MIB, 0, NULL), -EINVAL, "a hole");
    fclose(file);
    end();
}

Test(host_block, untouched_memory_is_zero_and_costs_nothing)
{
    begin(64 * MIB, NULL);
    uint64_t *words = map(8 * MIB);
    words[0] = 5;
    cr_assert_eq(host_block_register(words, 8 * MIB, 0, NULL), 0);
    cr_expect_leq(used(), HOST_PIECE_BYTES);
    cr_expect_eq(words[MIB / 8], 0);
    cr_expect_gt(used(), HOST_PIECE_BYTES);
    cr_expect_eq(words[0], 5);
    cr_expect_leq(host_block_evict(words, 0), (long)(2 * HOST_PIECE_BYTES));
    cr_expect_eq(words[MIB / 8], 0);
    cr_expect_eq(words[0], 5);
    release(words, 8 * MIB);
    end();
}

Test(host_block, ranges_need_not_begin_or_end_at_a_page)
{
    begin(64 * MIB, NULL);
    uint64_t *words = map(3 * MIB);
    char *from = (char *)words + 777;
    fill(words, 3 * MIB);
    cr_assert_eq(host_block_register(from, 3 * MIB - 2000, 0, NULL), 0);
    cr_assert_eq(host_block_register(words, 10, 0, NULL), 0, "less than a page");
    cr_expect_eq(host_block_evict(from, 0), (long)(3 * MIB - 2 * 4096), "whole pages only");
    cr_expect_eq(host_block_evict(words, 0), 0);
    cr_expect(is_filled(words, 3 * MIB));
    cr_expect_eq(host_block_unregister(words), 0);
    cr_expect_eq(host_block_unregister(from), 0);
    munmap(words, 3 * MIB);
    end();
}

Test(host_block, coldest_leaves_first)
{
    begin(64 * MIB, NULL);
    uint64_t *one = map_registered(2 * MIB), *two = map_registered(2 * MIB);
    fill(one, 2 * MIB);
    fill(two, 2 * MIB);
    cr_expect_eq(host_block_touch(one), 0);
    cr_expect_eq(host_block_demote(2 * MIB), 2 * MIB);
    cr_expect_eq(away(one), 0);
    cr_expect_eq(away(two), 2 * MIB);
    release(one, 2 * MIB);
    release(two, 2 * MIB);
    end();
}

Test(host_block, host_memory_that_is_wanted_elsewhere_makes_blocks_leave)
{
    begin(16 * MIB, NULL);
    uint64_t *words = map_registered(12 * MIB);
    fill(words, 12 * MIB);
    cr_expect_eq(core_host_charge(HOST_PINNED, 10 * MIB), 0);
    cr_expect_leq(used(), 16 * MIB);
    cr_expect_geq(away(words), 6 * MIB);
    cr_expect(is_filled(words, 12 * MIB));
    core_host_credit(HOST_PINNED, 10 * MIB);
    release(words, 12 * MIB);
    end();
}

Test(host_block, memory_unmapped_behind_our_back_harms_nobody)
{
    begin(64 * MIB, NULL);
    uint64_t *words = map_registered(4 * MIB);
    fill(words, 4 * MIB);
    cr_expect_eq(host_block_evict(words, 2 * MIB), (long)(2 * MIB));
    uint64_t *other =
        mmap(words, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    cr_assert_eq(other, words);
    for (uint64_t i = 0; i < 4 * MIB / 8; i++)
        other[i] = i;
    host_block_evict(words, 0);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < 4 * MIB / 8; i++)
        wrong += other[i] != i;
    cr_expect_eq(wrong, 0);
    release(words, 4 * MIB);
    end();
}

Test(host_block, freed_heap_block_is_forgotten_with_what_is_on_disk)
{
    begin(64 * MIB, NULL);
    uint64_t *words = map(4 * MIB);
    fill(words, 4 * MIB);
    cr_assert_eq(core_host_charge(HOST_HEAP, 4 * MIB), 0); /* as malloc does */
    cr_assert_eq(host_block_adopt(words, 4 * MIB), 0);
    cr_expect_eq(used_by(HOST_HEAP), 4 * MIB);
    evict_all(words, 4 * MIB);
    cr_expect_eq(used_by(HOST_HEAP), 0);
    cr_expect_not(host_block_abandon(words + 1, 4 * MIB - 8));
    cr_expect(host_block_abandon(words, 4 * MIB));
    cr_expect_not(host_block_abandon(words, 4 * MIB));
    cr_expect_eq(used_by(HOST_HEAP), 4 * MIB);
    core_host_credit(HOST_HEAP, 4 * MIB);
    words[0] = 1; /* anybody's memory again */
    munmap(words, 4 * MIB);
    end();
}

static bool is_heap(const void *ptr)
{
    return ptr != NULL;
}

Test(host_block, freed_memory_takes_the_blocks_inside_it_along)
{
    begin(64 * MIB, NULL);
    host_block_is_heap = is_heap;
    uint64_t *words = map(4 * MIB);
    fill(words, 4 * MIB);
    cr_assert_eq(core_host_charge(HOST_HEAP, 4 * MIB), 0);
    cr_assert_eq(host_block_register(words + 100, MIB, 0, NULL), 0);
    cr_assert_eq(host_block_register(words + 2 * MIB / 8, MIB, 0, NULL), 0);
    cr_expect_eq(used(), 4 * MIB, "counted once");
    evict_all(words + 2 * MIB / 8, MIB);
    cr_expect_eq(used(), 3 * MIB);
    cr_expect(host_block_abandon(words, 4 * MIB));
    cr_expect_eq(used(), 4 * MIB);
    core_host_credit(HOST_HEAP, 4 * MIB);
    munmap(words, 4 * MIB);
    end();
}

Test(host_block, without_faults_of_the_kernel_blocks_are_known_and_stay)
{
    spill_init(&spill, NULL);
    spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = 64 * MIB};
    core_host_start(&spill.options);
    pid_t child = fork();

    if (child == 0) {
        bool fine = setresuid(65534, 65534, 65534) == 0;
        uint64_t *words = map_registered(4 * MIB);

        fill(words, 4 * MIB);
        fine = fine && used() == 4 * MIB && host_block_pin(words, 0) == 0 && host_block_unpin(words, 0) == 0;
        /* Where anybody may have them this user may, too. */
        fine = fine && (host_fault_running() || host_block_evict(words, 0) == -ENOTSUP);
        fine = fine && is_filled(words, 4 * MIB) && host_block_unregister(words) == 0 && used() == 0;
        _exit(fine ? 0 : 1);
    }
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    core_finish();
    spill_finish(&spill);
}

Test(host_block, killed_process_leaves_no_file)
{
    int ready[2];
    char byte;

    spill_init(&spill, NULL);
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();

    if (child == 0) {
        spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = 64 * MIB};
        core_host_start(&spill.options);
        uint64_t *words = map_registered(4 * MIB);
        fill(words, 4 * MIB);
        (void)!write(ready[1], host_block_evict(words, 0) == (long)(4 * MIB) ? "y" : "n", 1);
        pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect_eq(byte, 'y');
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_expect_eq(spill_names(&spill), 0);
    spill_finish(&spill);
}
