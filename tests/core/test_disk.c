/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/disk.h"

#include "base/log.h"
#include "spill_folder.h"
#include "tier/device.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* The linker sends the core's openat here, so that a file system without O_TMPFILE can be had. */
static bool without_tmpfile;
static unsigned refused;
int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (without_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        refused++;
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_openat64(dir, path, flags, mode);
}

static struct spill spill;
static struct disk disk;

static void begin(const char *size)
{
    spill_init(&spill, size);
    disk_init(&disk, &spill.options);
}

static void end(void)
{
    disk_finish(&disk);
    spill_finish(&spill);
}

static uint64_t take(uint64_t bytes)
{
    uint64_t slot = UINT64_MAX;
    cr_assert_eq(disk_take(&disk, bytes, &slot), 0);
    return slot;
}

static struct disk_figures figures(void)
{
    struct disk_figures out;
    disk_figures(&disk, &out);
    return out;
}

struct look {
    struct stat stat;
    int of_descriptor, of_direct_file;
};

static void look_there(void *arg)
{
    struct look *look = arg;
    cr_assert_eq(fstat(disk.dir[0].file, &look->stat), 0);
    look->of_descriptor = fcntl(disk.dir[0].file, F_GETFD);
    look->of_direct_file = fcntl(disk.dir[0].direct_file, F_GETFL);
}

/* With the descriptors that it has. */
static struct look look_at_file(void)
{
    struct look look = {0};
    cr_assert_eq(private_fds_run(look_there, &look), 0);
    return look;
}

Test(disk, opens_nothing_before_its_first_use)
{
    begin("8M");
    cr_assert_eq(figures().budget_bytes, 0);
    cr_assert_eq(disk.dir[0].file, -1);
    take(GRANULE_BYTES);
    cr_assert_geq(disk.dir[0].file, 0);
    cr_assert_eq(figures().budget_bytes, 8 * MIB);
    end();
}

Test(disk, budget_is_a_limit_for_slots_and_for_the_file)
{
    begin("9M");
    uint64_t a = take(3 * GRANULE_BYTES), slot = 77;
    cr_assert_eq(disk_take(&disk, 2 * GRANULE_BYTES, &slot), -ENOSPC);
    cr_assert_eq(slot, 77);
    cr_assert_eq(disk_take(&disk, UINT64_MAX, &slot), -ENOSPC);
    uint64_t b = take(1);
    cr_assert_eq(disk_take(&disk, 1, &slot), -ENOSPC);
    cr_assert_eq(figures().used_bytes, 8 * MIB);
    disk_give(&disk, a, 3 * GRANULE_BYTES);
    cr_assert_eq(figures().used_bytes, 2 * MIB);
    disk_give(&disk, b, 1);
    cr_assert_eq(figures().used_bytes, 0);
    cr_assert_eq(figures().peak_bytes, 8 * MIB);
    struct look look = look_at_file();
    cr_assert_leq(look.stat.st_size, 9 * (off_t)MIB);
    end();
}

static void check_nameless_and_private(void)
{
    begin("8M");
    uint64_t slot = take(GRANULE_BYTES);
    struct look look = look_at_file();
    cr_assert_eq(spill_names(&spill), 0);
    cr_assert_eq(look.stat.st_mode & 0777, 0600);
    cr_assert_eq(look.stat.st_nlink, 0);
    cr_assert_neq(look.of_descriptor & FD_CLOEXEC, 0);
    cr_assert_geq(look.stat.st_size, (off_t)GRANULE_BYTES,
                  "slots are inside of the file before they are written");
    cr_assert_geq(look.stat.st_blocks * 512, (off_t)GRANULE_BYTES, "and on the disk");
    if (disk.dir[0].direct_file >= 0)
        cr_assert_neq(look.of_direct_file & O_DIRECT, 0);
    disk_give(&disk, slot, GRANULE_BYTES);
    end();
}

Test(disk, file_has_no_name_and_is_for_the_user_alone)
{
    check_nameless_and_private();
}

Test(disk, file_has_no_name_where_there_is_no_tmpfile_either)
{
    without_tmpfile = true;
    check_nameless_and_private();
    cr_assert_eq(refused, 1);
}

Test(disk, killed_process_leaves_nothing_behind)
{
    begin("64M");
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        uint64_t slot;
        int rc = disk_take(&disk, 16 * MIB, &slot);
        (void)!write(ready[1], rc == 0 ? "y" : "n", 1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(byte, 'y');
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(spill_names(&spill), 0);
    end();
}

static void check_refused(void)
{
    uint64_t slot;
    cr_assert_eq(disk_take(&disk, GRANULE_BYTES, &slot), -ENOSPC);
    cr_assert_eq(figures().budget_bytes, 0);
    cr_assert_eq(figures().used_bytes, 0);
}

Test(disk, relative_directory_is_refused)
{
    begin("8M");
    cr_assert_eq(chdir("/var"), 0);
    strcpy(spill.options.spill_dir.of[0].path, "tmp");
    check_refused();
    end();
}

Test(disk, directory_that_anybody_writes_to_is_refused_unless_sticky)
{
    begin("8M");
    cr_assert_eq(chmod(spill.path, 0777), 0);
    check_refused();
    disk_finish(&disk);
    disk_init(&disk, &spill.options);
    cr_assert_eq(chmod(spill.path, 01777), 0);
    disk_give(&disk, take(1), 1);
    end();
}

Test(disk, missing_directory_is_refused)
{
    begin("8M");
    strcat(spill.options.spill_dir.of[0].path, "/nowhere");
    check_refused();
    end();
}

Test(disk, file_is_not_a_directory)
{
    begin("8M");
    strcpy(spill.options.spill_dir.of[0].path, "/dev/null");
    check_refused();
    end();
}

Test(disk, says_that_memory_is_not_a_disk)
{
    spill_init(&spill, "8M");
    char log_path[96];
    snprintf(log_path, sizeof log_path, "%s/log", spill.path);
    cr_assert_eq(log_init(LOG_WARN, log_path), 0);
    strcpy(spill.options.spill_dir.of[0].path, "/dev/shm");
    disk_init(&disk, &spill.options);
    disk_give(&disk, take(1), 1);
    take(1);
    FILE *log = fopen(log_path, "r");
    char text[2000] = "";
    cr_assert_gt(fread(text, 1, sizeof text - 1, log), 0);
    fclose(log);
    const char *said = strstr(text, "is memory, not a disk");
    cr_assert_not_null(said);
    cr_assert_null(strstr(said + 1, "is memory, not a disk"), "once is enough");
    cr_assert_eq(unlink(log_path), 0);
    log_finish();
    end();
}

Test(disk, second_directory_takes_turns_and_what_the_first_cannot)
{
    struct spill other;
    spill_init(&other, NULL);
    begin("4M");
    spill_add(&spill, other.path, "8M");
    uint64_t a = take(GRANULE_BYTES), b = take(GRANULE_BYTES), c = take(3 * GRANULE_BYTES), slot;
    cr_assert_eq(disk_dir_of(&disk, a), &disk.dir[0]);
    cr_assert_eq(disk_dir_of(&disk, b), &disk.dir[1]);
    cr_assert_eq(disk_dir_of(&disk, c), &disk.dir[1]);
    cr_assert_eq(disk_offset_of(c), GRANULE_BYTES);
    cr_assert_eq(disk_take(&disk, 2 * GRANULE_BYTES, &slot), -ENOSPC);
    cr_assert_eq(figures().budget_bytes, 12 * MIB);
    disk_give(&disk, b, GRANULE_BYTES);
    disk_give(&disk, c, 3 * GRANULE_BYTES);
    cr_assert_eq(disk_offset_of(take(4 * GRANULE_BYTES)), 0);
    end();
    spill_finish(&other);
}

/* A disk that is full behind this offset, whatever the budget says. */
static off_t full_from;
static unsigned allocations;

static int allocate_until_full(int file, int mode, off_t offset, off_t bytes)
{
    allocations++;
    if (offset + bytes > full_from) {
        errno = ENOSPC;
        return -1;
    }
    return fallocate(file, mode, offset, bytes);
}

Test(disk, full_disk_refuses_and_changes_nothing)
{
    begin("64M");
    disk.fallocate = allocate_until_full;
    full_from = 6 * MIB;
    uint64_t a = take(2 * GRANULE_BYTES), slot = 77;
    cr_assert_eq(allocations, 2, "the generous step fails, the exact one does not");
    cr_assert_eq(disk_take(&disk, 2 * GRANULE_BYTES, &slot), -ENOSPC);
    cr_assert_eq(slot, 77);
    cr_assert_eq(figures().used_bytes, 4 * MIB);
    cr_assert_eq(figures().peak_bytes, 4 * MIB);
    uint64_t b = take(GRANULE_BYTES);
    cr_assert_eq(disk_offset_of(b), 4 * MIB);
    disk_give(&disk, a, 2 * GRANULE_BYTES);
    cr_assert_eq(take(2 * GRANULE_BYTES), a);
    end();
}

Test(disk, grows_in_steps_and_not_for_each_slot)
{
    begin("512M");
    disk.fallocate = allocate_until_full;
    full_from = INT64_MAX;
    for (unsigned i = 0; i < 32; i++)
        take(GRANULE_BYTES);
    cr_assert_eq(allocations, 1);
    cr_assert_eq(disk.dir[0].grown_bytes, 64 * MIB);
    take(GRANULE_BYTES);
    cr_assert_eq(allocations, 2);
    cr_assert_eq(disk.dir[0].grown_bytes, 128 * MIB);
    end();
}

static int allocate_never(int file, int mode, off_t offset, off_t bytes)
{
    (void)file, (void)mode, (void)offset, (void)bytes;
    errno = EOPNOTSUPP;
    return -1;
}

Test(disk, file_system_that_cannot_allocate_gets_a_longer_file)
{
    begin("8M");
    disk.fallocate = allocate_never;
    take(4 * GRANULE_BYTES);
    cr_assert_eq(look_at_file().stat.st_size, 8 * (off_t)MIB);
    end();
}

Test(disk, limit_of_the_process_on_files_is_kept)
{
    begin("64M");
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit low = {.rlim_cur = 5 * MIB, .rlim_max = limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
    uint64_t slot;
    take(2 * GRANULE_BYTES);
    cr_assert_eq(disk_take(&disk, GRANULE_BYTES, &slot), -ENOSPC);
    cr_assert_eq(figures().budget_bytes, 4 * MIB);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    end();
}

Test(disk, default_budget_is_a_share_of_what_is_free)
{
    begin(NULL);
    cr_assert_eq(options_set(&spill.options, "EBBTIDE_DISK_BUDGET", "50%"), 0);
    take(1);
    uint64_t half = figures().budget_bytes;
    cr_assert_gt(half, 0);
    disk_finish(&disk);
    cr_assert_eq(options_set(&spill.options, "EBBTIDE_DISK_BUDGET", "6M"), 0);
    disk_init(&disk, &spill.options);
    take(1);
    cr_assert_eq(figures().budget_bytes, 6 * MIB);
    end();
}

/* Everything that the program has open, but for the first three. */
static unsigned count_open(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    cr_assert(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

Test(disk, program_has_no_descriptor_of_its_files)
{
    begin("8M");
    unsigned before = count_open();
    take(1);
    if (!disk.dir[0].apart)
        cr_skip("threads have the program's descriptors here");
    cr_assert_eq(count_open(), before);
    pid_t child = fork();
    if (child == 0) {
        disk_forked(&disk);
        _exit(count_open() == before ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    end();
}

enum {
    THREADS = 4,
    THREAD_STEPS = 3000,
    GRANULES = 64
};
static atomic_uint owner[GRANULES];
static atomic_uint clashes;

static void own(uint64_t slot, unsigned granules, unsigned from, unsigned to)
{
    for (unsigned i = 0; i < granules; i++) {
        unsigned expected = from;
        if (!atomic_compare_exchange_strong(&owner[slot / GRANULE_BYTES + i], &expected, to))
            atomic_fetch_add(&clashes, 1);
    }
}

static void *take_and_give(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg, random = me;
    for (unsigned i = 0; i < THREAD_STEPS; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned granules = 1 + (random >> 16) % 8;
        uint64_t slot;
        if (disk_take(&disk, granules * GRANULE_BYTES, &slot) != 0)
            continue;
        own(slot, granules, 0, me);
        own(slot, granules, me, 0);
        disk_give(&disk, slot, granules * GRANULE_BYTES);
    }
    return NULL;
}

Test(disk, threads_never_share_a_slot)
{
    begin("128M");
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, take_and_give, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    cr_assert_eq(atomic_load(&clashes), 0);
    cr_assert_eq(figures().used_bytes, 0);
    end();
}
