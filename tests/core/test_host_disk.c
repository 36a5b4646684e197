/* SPDX-License-Identifier: Apache-2.0 */
/* test_host_disk.c - registered host memory, and a disk or a kernel that does not do what it should. */
#include "host/host_state.h"
#include "host_world.h"
#include "ledger/state.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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

Test(host_disk, block_stays_when_the_disk_is_full)
{
    host_world_begin(64 * MIB, "4M");
    uint64_t *words = range_map_registered(16 * MIB);
    range_fill(words, 16 * MIB);
    cr_expect_leq(host_block_evict(words, 0), (long)(4 * MIB));
    cr_expect_geq(host_used(), 12 * MIB);
    cr_expect(range_is_filled(words, 16 * MIB));
    range_release(words, 16 * MIB);
    host_world_end();
}

enum {
    SMALL = 100
};

/* A piece each, or two: 33 and more to 2 MiB of the disk. */
Test(host_disk, small_blocks_share_what_the_disk_hands_out)
{
    host_world_begin(64 * MIB, "12M");
    char *memory = (char *)range_map((SMALL * 3 + 1) * HOST_PIECE_BYTES), *first = memory;
    uint64_t *block[SMALL];

    first += -(uintptr_t)memory % HOST_PIECE_BYTES;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < SMALL; i++) {
            uint64_t bytes = (1 + i % 2) * HOST_PIECE_BYTES;

            block[i] = (uint64_t *)(first + i * 3 * HOST_PIECE_BYTES);
            cr_assert_eq(host_block_register(block[i], bytes, 0, NULL), 0);
            range_fill(block[i], bytes);
            block[i][0] = i + 1;
            range_evict(block[i], bytes);
        }
        for (unsigned i = round; i < SMALL; i += 2) { /* places become free among others */
            cr_expect_eq(block[i][0], i + 1);
            range_evict(block[i], (1 + i % 2) * HOST_PIECE_BYTES);
        }
        for (unsigned i = 0; i < SMALL; i++) {
            cr_expect_eq(block[i][0], i + 1);
            block[i][0] = range_word(0);
            cr_expect(range_is_filled(block[i], (1 + i % 2) * HOST_PIECE_BYTES));
            cr_expect_eq(host_block_unregister(block[i]), 0);
        }
        cr_expect_eq(host_disk_used(), 0);
    }
    munmap(memory, (SMALL * 3 + 1) * HOST_PIECE_BYTES);
    host_world_end();
}

Test(host_disk, block_stays_when_a_write_fails)
{
    host_world_begin(64 * MIB, NULL);
    core.disk.pwrite = pwrite_or_fail;
    write_error = EIO;
    uint64_t *words = range_map_registered(4 * MIB);
    range_fill(words, 4 * MIB);
    cr_expect_eq(host_block_evict(words, 0), 0);
    cr_expect_eq(range_away(words), 0);
    cr_expect_eq(core.counters.save_failures, 1);
    cr_expect_eq(host_used(), 4 * MIB);
    cr_expect(range_is_filled(words, 4 * MIB));
    range_release(words, 4 * MIB);
    host_world_end();
}

static void *read_first(void *argument)
{
    return (void *)(uintptr_t) * (uint64_t *)argument;
}

Test(host_disk, who_touches_what_cannot_be_read_waits_until_it_can)
{
    pthread_t thread;
    void *found;

    host_world_begin(64 * MIB, NULL);
    core.disk.pread = pread_or_fail;
    uint64_t *words = range_map_registered(4 * MIB);
    range_fill(words, 4 * MIB);
    range_evict(words, 4 * MIB);
    read_error = EIO;
    cr_expect_eq(host_block_pin(words, 0), -EIO);
    cr_expect_eq(host_block_unregister(words), -EIO);
    cr_expect_eq(range_away(words), 4 * MIB);
    cr_assert_eq(pthread_create(&thread, NULL, read_first, words), 0);
    for (unsigned tries = 0, before = reads_failed; reads_failed == before && tries < 10000; tries++)
        usleep(1000);
    cr_expect_eq(pthread_tryjoin_np(thread, NULL), EBUSY);
    read_error = 0;
    cr_assert_eq(pthread_join(thread, &found), 0);
    cr_expect_eq((uintptr_t)found, range_word(0));
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect(range_is_filled(words, 4 * MIB));
    cr_expect_eq(host_block_unpin(words), 0);
    range_release(words, 4 * MIB);
    host_world_end();
}

static ssize_t pread_and_flip(int file, void *memory, size_t bytes, off_t offset)
{
    ssize_t length = pread(file, memory, bytes, offset);

    ((char *)memory)[100] ^= 1;
    return length;
}

Test(host_disk, changed_byte_is_noticed_under_verify)
{
    host_world_begin(64 * MIB, NULL);
    host_spill.options.verify = true;
    uint64_t *words = range_map_registered(4 * MIB);
    range_fill(words, 4 * MIB);
    range_evict(words, 4 * MIB);
    core.disk.pread = pread_and_flip;
    cr_expect_eq(host_block_pin(words, 0), -EIO);
    core.disk.pread = pread;
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect(range_is_filled(words, 4 * MIB));
    cr_expect_eq(host_block_unpin(words), 0);
    range_release(words, 4 * MIB);
    host_world_end();
}

Test(host_disk, without_faults_of_the_kernel_blocks_are_known_and_stay)
{
    spill_init(&host_spill, NULL);
    host_spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = 64 * MIB};
    core_host_start(&host_spill.options);
    pid_t child = fork();

    if (child == 0) {
        bool fine = setresuid(65534, 65534, 65534) == 0;
        uint64_t *words = range_map_registered(4 * MIB);

        range_fill(words, 4 * MIB);
        fine =
            fine && host_used() == 4 * MIB && host_block_pin(words, 0) == 0 && host_block_unpin(words) == 0;
        /* Where anybody may have them this user may, too. */
        fine = fine && (host_fault_running() || host_block_evict(words, 0) == -ENOTSUP);
        fine =
            fine && range_is_filled(words, 4 * MIB) && host_block_unregister(words) == 0 && host_used() == 0;
        _exit(fine ? 0 : 1);
    }
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    core_finish();
    spill_finish(&host_spill);
}

Test(host_disk, killed_process_leaves_no_file)
{
    int ready[2];
    char byte;

    spill_init(&host_spill, NULL);
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();

    if (child == 0) {
        host_spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = 64 * MIB};
        core_host_start(&host_spill.options);
        uint64_t *words = range_map_registered(4 * MIB);
        range_fill(words, 4 * MIB);
        (void)!write(ready[1], host_block_evict(words, 0) == (long)(4 * MIB) ? "y" : "n", 1);
        pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect_eq(byte, 'y');
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_expect_eq(spill_names(&host_spill), 0);
    spill_finish(&host_spill);
}
