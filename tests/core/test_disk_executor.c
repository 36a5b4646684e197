/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/executor.h"

#include "spill_folder.h"
#include "tier/disk_state.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct spill spill;
static struct disk disk;
static struct disk_executor executor;
static struct executors list;

static void begin(void)
{
    spill_init(&spill, "256M");
    disk_init(&disk, &spill.options);
    disk_executor_init(&executor, &disk, DISK_THREADS);
    list = (struct executors){.row = {&executor.row}, .count = 1};
}

static void end(void)
{
    disk_executor_finish(&executor);
    disk_finish(&disk);
    spill_finish(&spill);
}

static struct host_memory host_of(uint64_t bytes)
{
    void *cpu = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(cpu, MAP_FAILED);
    return (struct host_memory){.cpu = cpu, .bytes = bytes};
}

static void fill(const struct host_memory *host, uint64_t seed)
{
    uint64_t *word = host->cpu;
    for (uint64_t i = 0; i < host->bytes / 8; i++)
        word[i] = (seed + i) * 0x9e3779b97f4a7c15u;
}

static bool is_filled(const struct host_memory *host, uint64_t seed)
{
    const uint64_t *word = host->cpu;
    for (uint64_t i = 0; i < host->bytes / 8; i++)
        if (word[i] != (seed + i) * 0x9e3779b97f4a7c15u)
            return false;
    return true;
}

static struct transfer transfer_of(const struct host_memory *host, uint64_t slot, enum tier to)
{
    return (struct transfer){.from = to == TIER_DISK ? TIER_HOST : TIER_DISK,
                             .to = to,
                             .host = host,
                             .slot = slot,
                             .bytes = host->bytes};
}

static int carry(const struct host_memory *host, uint64_t slot, enum tier to)
{
    struct transfer transfer = transfer_of(host, slot, to);
    int rc = executors_submit(&list, &transfer);
    if (rc == 0)
        rc = executors_wait(&list, &transfer);
    cr_assert_eq(executor.row.busy, 0);
    return rc;
}

static uint64_t take(uint64_t bytes)
{
    uint64_t slot;
    cr_assert_eq(disk_take(&disk, bytes, &slot), 0);
    return slot;
}

/* Out and back in, with the memory wiped in between. */
static void check_round_trip(uint64_t bytes)
{
    struct host_memory host = host_of(bytes);
    uint64_t slot = take(bytes);
    fill(&host, bytes);
    cr_assert_eq(carry(&host, slot, TIER_DISK), 0);
    memset(host.cpu, 0, host.bytes);
    cr_assert_eq(carry(&host, slot, TIER_HOST), 0);
    cr_assert(is_filled(&host, bytes));
    disk_give(&disk, slot, bytes);
    cr_assert_eq(munmap(host.cpu, host.bytes), 0);
}

Test(disk_executor, bytes_come_back_as_they_went)
{
    begin();
    check_round_trip(GRANULE_BYTES);
    check_round_trip(DISK_PIECE_BYTES);
    check_round_trip(7 * GRANULE_BYTES);
    check_round_trip(16 * GRANULE_BYTES);
    end();
}

Test(disk_executor, many_transfers_are_under_way_at_once)
{
    enum {
        COUNT = 12
    };
    begin();
    struct host_memory host[COUNT];
    struct transfer transfer[COUNT];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            if (round == 0) {
                host[i] = host_of((1 + i % 5) * GRANULE_BYTES);
                fill(&host[i], i);
                transfer[i] = transfer_of(&host[i], take(host[i].bytes), TIER_DISK);
            } else {
                memset(host[i].cpu, 0, host[i].bytes);
                transfer[i] = transfer_of(&host[i], transfer[i].slot, TIER_HOST);
            }
            cr_assert_eq(executors_submit(&list, &transfer[i]), 0);
        }
        for (unsigned i = COUNT; i-- > 0;)
            cr_assert_eq(executors_wait(&list, &transfer[i]), 0);
    }
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(is_filled(&host[i], i), "transfer %u", i);
    end();
}

Test(disk_executor, carries_only_between_host_and_disk)
{
    begin();
    for (enum tier from = 0; from < TIER_COUNT; from++)
        for (enum tier to = 0; to < TIER_COUNT; to++) {
            bool is_carried =
                (from == TIER_HOST && to == TIER_DISK) || (from == TIER_DISK && to == TIER_HOST);
            struct transfer empty = {.from = from, .to = to}; /* which it does not start */
            cr_assert_eq(executors_submit(&list, &empty), is_carried ? -EINVAL : -ENOTSUP);
        }
    end();
}

Test(disk_executor, unsound_transfer_starts_nothing)
{
    begin();
    struct host_memory host = host_of(GRANULE_BYTES);
    uint64_t slot = take(GRANULE_BYTES);
    struct transfer longer = transfer_of(&host, slot, TIER_DISK);
    longer.bytes *= 2;
    cr_assert_eq(executors_submit(&list, &longer), -EINVAL);
    struct transfer odd = transfer_of(&host, slot, TIER_DISK);
    odd.bytes = 100;
    cr_assert_eq(executors_submit(&list, &odd), -EINVAL);
    cr_assert_eq(executor.row.busy, 0);
    cr_assert_eq(executor.thread_count, 0);
    end();
}

/* ---- what a disk can do to us ---- */

static atomic_uint writes;
static unsigned failing_write;
static int failing_error;

static ssize_t write_failing(int file, const void *memory, size_t bytes, off_t offset)
{
    if (atomic_fetch_add(&writes, 1) + 1 == failing_write) {
        errno = failing_error;
        return -1;
    }
    return pwrite(file, memory, bytes, offset);
}

Test(disk_executor, full_disk_is_a_result_and_nothing_else)
{
    int errors[] = {ENOSPC, EDQUOT, EIO};
    begin();
    disk.pwrite = write_failing;
    struct host_memory host = host_of(4 * DISK_PIECE_BYTES);
    uint64_t slot = take(host.bytes);
    for (unsigned i = 0; i < 3; i++) {
        failing_error = errors[i];
        failing_write = 2;
        atomic_store(&writes, 0);
        fill(&host, i);
        cr_assert_eq(carry(&host, slot, TIER_DISK), -errors[i]);
        cr_assert(is_filled(&host, i));
        cr_assert_eq(disk.used_bytes, host.bytes, "the slot is still its owner's");
    }
    failing_write = 0;
    cr_assert_eq(carry(&host, slot, TIER_DISK), 0);
    memset(host.cpu, 0, host.bytes);
    cr_assert_eq(carry(&host, slot, TIER_HOST), 0);
    cr_assert(is_filled(&host, 2));
    end();
}

static ssize_t write_short(int file, const void *memory, size_t bytes, off_t offset)
{
    if (atomic_fetch_add(&writes, 1) % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return pwrite(file, memory, bytes > DISK_ALIGN_BYTES * 100 ? DISK_ALIGN_BYTES * 100 : bytes, offset);
}

static ssize_t read_short(int file, void *memory, size_t bytes, off_t offset)
{
    return pread(file, memory, bytes > DISK_ALIGN_BYTES * 77 ? DISK_ALIGN_BYTES * 77 : bytes, offset);
}

Test(disk_executor, short_and_interrupted_calls_go_on)
{
    begin();
    disk.pwrite = write_short;
    disk.pread = read_short;
    check_round_trip(3 * DISK_PIECE_BYTES);
    end();
}

static ssize_t read_end(int file, void *memory, size_t bytes, off_t offset)
{
    (void)file, (void)memory, (void)bytes, (void)offset;
    return 0;
}

Test(disk_executor, file_that_ends_too_early_is_an_error)
{
    begin();
    disk.pread = read_end;
    struct host_memory host = host_of(GRANULE_BYTES);
    cr_assert_eq(carry(&host, take(GRANULE_BYTES), TIER_HOST), -EIO);
    end();
}

/* Stand-ins for a file system and for memory that direct I/O cannot do with. */
static atomic_uint direct_calls, buffered_calls, bounced_calls;
static const struct host_memory *unpinnable;

static ssize_t write_buffered_only(int file, const void *memory, size_t bytes, off_t offset)
{
    if (file == disk.dir[0].direct_file) {
        atomic_fetch_add(&direct_calls, 1);
        errno = EINVAL;
        return -1;
    }
    atomic_fetch_add(&buffered_calls, 1);
    return pwrite(file, memory, bytes, offset);
}

Test(disk_executor, refused_direct_io_becomes_buffered)
{
    begin();
    disk.pwrite = write_buffered_only;
    check_round_trip(8 * DISK_PIECE_BYTES);
    check_round_trip(8 * DISK_PIECE_BYTES);
    if (disk.dir[0].direct_file >= 0) {
        cr_assert_leq(atomic_load(&direct_calls), DISK_THREADS, "it is not tried again");
        cr_assert(atomic_load(&disk.dir[0].buffered));
    }
    cr_assert_eq(atomic_load(&buffered_calls), 16);
    end();
}

static bool is_unpinnable(const void *memory)
{
    return (const char *)memory >= (const char *)unpinnable->cpu &&
           (const char *)memory < (const char *)unpinnable->cpu + unpinnable->bytes;
}

static ssize_t write_pinnable(int file, const void *memory, size_t bytes, off_t offset)
{
    if (is_unpinnable(memory)) {
        errno = EFAULT;
        return -1;
    }
    atomic_fetch_add(&bounced_calls, 1);
    return pwrite(file, memory, bytes, offset);
}

static ssize_t read_pinnable(int file, void *memory, size_t bytes, off_t offset)
{
    if (is_unpinnable(memory)) {
        errno = EFAULT;
        return -1;
    }
    atomic_fetch_add(&bounced_calls, 1);
    return pread(file, memory, bytes, offset);
}

Test(disk_executor, memory_that_cannot_be_pinned_is_bounced)
{
    begin();
    disk.pwrite = write_pinnable;
    disk.pread = read_pinnable;
    struct host_memory host = host_of(3 * DISK_PIECE_BYTES);
    unpinnable = &host;
    uint64_t slot = take(host.bytes);
    if (disk.dir[0].direct_file < 0)
        cr_skip_test("no direct i/o in /var/tmp");
    fill(&host, 5);
    cr_assert_eq(carry(&host, slot, TIER_DISK), 0);
    memset(host.cpu, 0, host.bytes);
    cr_assert_eq(carry(&host, slot, TIER_HOST), 0);
    cr_assert(is_filled(&host, 5));
    cr_assert_eq(atomic_load(&bounced_calls), 6);
    end();
}

Test(disk_executor, memory_at_an_odd_address_is_bounced)
{
    begin();
    struct host_memory host = host_of(GRANULE_BYTES + DISK_ALIGN_BYTES), odd = host;
    odd.cpu = (char *)host.cpu + 8;
    odd.bytes = GRANULE_BYTES;
    uint64_t slot = take(GRANULE_BYTES);
    fill(&odd, 3);
    cr_assert_eq(carry(&odd, slot, TIER_DISK), 0);
    memset(odd.cpu, 0, odd.bytes);
    cr_assert_eq(carry(&odd, slot, TIER_HOST), 0);
    cr_assert(is_filled(&odd, 3));
    cr_assert_not(atomic_load(&disk.dir[0].buffered));
    end();
}

static atomic_bool unblocked_seen;

static ssize_t write_and_look_at_signals(int file, const void *memory, size_t bytes, off_t offset)
{
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGALRM) || !sigismember(&blocked, SIGUSR1))
        atomic_store(&unblocked_seen, true);
    return pwrite(file, memory, bytes, offset);
}

Test(disk_executor, signals_of_the_program_stay_with_its_threads)
{
    begin();
    disk.pwrite = write_and_look_at_signals;
    check_round_trip(GRANULE_BYTES);
    cr_assert_not(atomic_load(&unblocked_seen));
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    cr_assert_not(sigismember(&blocked, SIGUSR1));
    end();
}

Test(disk_executor, finish_carries_what_was_submitted)
{
    begin();
    struct host_memory host = host_of(6 * DISK_PIECE_BYTES);
    struct transfer transfer = transfer_of(&host, take(host.bytes), TIER_DISK);
    cr_assert_eq(executors_submit(&list, &transfer), 0);
    disk_executor_finish(&executor);
    cr_assert_eq(transfer.pieces_left, 0);
    cr_assert_eq(transfer.result, 0);
    disk_finish(&disk);
    spill_finish(&spill);
}
