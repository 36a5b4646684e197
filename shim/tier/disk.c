/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - see disk.h. */
#include "tier/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pages.h"
#include "base/size.h"
#include "tier/device.h"
#include "tier/disk_state.h"

/* Growing takes time and locks inside the file system: rarely, but never so much that a small user fills the disk. */
#define STEP_LEAST_BYTES ((uint64_t)64 << 20)
#define STEP_MOST_BYTES  ((uint64_t)256 << 20)

static void dir_reset(struct disk_dir *dir)
{
    memset(dir, 0, sizeof(*dir));
    dir->file = dir->direct_file = -1;
}

void disk_init(struct disk *disk, const struct options *options)
{
    memset(disk, 0, sizeof(*disk));
    disk->options = options;
    lock_init(&disk->opening, LOCK_DISK_OPENING);
    lock_init(&disk->lock, LOCK_DISK);
    pthread_cond_init(&disk->grown, NULL);
    for (unsigned i = 0; i < OPTIONS_DIRS; i++)
        dir_reset(&disk->dir[i]);
    disk->pread = pread;
    disk->pwrite = pwrite;
    disk->fallocate = fallocate;
}

static void dir_close(struct disk_dir *dir)
{
    if (disk_dir_has(dir, dir->file))
        close(dir->file);
    if (disk_dir_has(dir, dir->direct_file))
        close(dir->direct_file);
    if (dir->hold)
        munmap(dir->hold, DISK_ALIGN_BYTES);
    dir->hold = NULL;
    dir->file = dir->direct_file = -1;
}

static void close_all(void *arg)
{
    struct disk *disk = arg;
    for (unsigned i = 0; i < OPTIONS_DIRS; i++)
        if (disk->dir[i].file >= 0)
            dir_close(&disk->dir[i]);
}

void disk_finish(struct disk *disk)
{
    if (atomic_load(&disk->open))
        private_fds_run(close_all, disk);
    for (unsigned i = 0; i < OPTIONS_DIRS; i++) {
        struct disk_dir *dir = &disk->dir[i];
        pages_give(dir->records, dir->records_bytes);
        dir_reset(dir);
    }
    pthread_cond_destroy(&disk->grown);
    lock_destroy(&disk->lock);
    lock_destroy(&disk->opening);
}

void disk_forked(struct disk *disk)
{
    for (unsigned i = 0; i < OPTIONS_DIRS; i++)
        if (!disk->dir[i].apart)
            dir_close(&disk->dir[i]);
}

void disk_lend(const struct disk *disk, struct disk_loan *out)
{
    for (unsigned i = 0; i < OPTIONS_DIRS; i++) {
        const struct disk_dir *dir = &disk->dir[i];
        out->file[i] = dir->apart && dir->file >= 0 ? private_fds_to_program(dir->file) : -1;
    }
}

void disk_loan_end(struct disk_loan *loan)
{
    for (unsigned i = 0; i < OPTIONS_DIRS; i++) {
        if (loan->file[i] >= 0)
            close(loan->file[i]);
        loan->file[i] = -1;
    }
}

void disk_borrow(struct disk *disk, const struct disk_loan *loan)
{
    for (unsigned i = 0; i < OPTIONS_DIRS; i++) {
        struct disk_dir *dir = &disk->dir[i];
        if (!dir->apart)
            continue;
        dir->file = loan->file[i];
        dir->direct_file = -1;
        dir->apart = false;
    }
}

/* Whole granules that a directory may fill. */
static uint32_t dir_granules(const struct size_spec *budget, const struct disk_space *space)
{
    uint64_t bytes = size_resolve(budget, space->free_bytes);
    if (bytes == SIZE_UNLIMITED)
        bytes = space->total_bytes;
    /* Past the limit of the process a file does not fail to grow: the process gets SIGXFSZ. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < bytes)
        bytes = limit.rlim_cur;
    uint64_t granules = bytes / GRANULE_BYTES;
    return granules < EXTENT_MAX ? (uint32_t)granules : EXTENT_MAX;
}

/* A file system gives the number of a file that is gone to the next one, which may be the program's. */
static void *hold(int file)
{
    void *page = mmap(NULL, DISK_ALIGN_BYTES, PROT_NONE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED)
        return NULL;
    madvise(page, DISK_ALIGN_BYTES, MADV_DONTFORK); /* no child keeps the file */
    return page;
}

static void dir_open(struct disk_dir *dir, const struct spill_dir *option, const struct size_spec *budget)
{
    struct disk_space space;
    int file, direct_file;
    if (disk_file_open(option->path, &file, &direct_file, &space) != 0)
        return;
    dir->file = file;
    dir->direct_file = direct_file;
    dir->apart = private_fds_mine();
    output_look(file, &dir->identity);
    if (!dir->apart)
        dir->hold = hold(file);
    uint32_t granules = dir_granules(option->has_budget ? &option->budget : budget, &space);
    dir->records_bytes = extent_bytes_needed(granules);
    if (dir->records_bytes == 0)
        return;
    dir->records = pages_reserve(dir->records_bytes);
    if (!dir->records) {
        log_line(LOG_WARN, "no address space for the records of spill directory %s: not used", option->path);
        dir_close(dir);
        return;
    }
    extent_init(&dir->slots, dir->records, granules);
    log_line(LOG_INFO, "spilling to %s, up to %s", option->path, size_text(granules * GRANULE_BYTES).text);
}

static void open_all(void *arg)
{
    struct disk *disk = arg;
    const struct options *options = disk->options;
    for (unsigned i = 0; i < options->spill_dir.count; i++)
        dir_open(&disk->dir[i], &options->spill_dir.of[i], &options->disk_budget);
}

static void disk_open(struct disk *disk)
{
    if (atomic_load_explicit(&disk->open, memory_order_acquire))
        return;
    /* Like pthread_once: everyone who comes now needs the result, and nobody else takes this lock. */
    lock_acquire(&disk->opening);
    if (!atomic_load_explicit(&disk->open, memory_order_relaxed) && private_fds_run(open_all, disk) == 0)
        atomic_store_explicit(&disk->open, true, memory_order_release);
    lock_release(&disk->opening);
}

/* The directory with the least in it of those not yet tried, or NULL. Wants the lock. */
static struct disk_dir *dir_choose(struct disk *disk, unsigned tried)
{
    struct disk_dir *least = NULL;
    for (unsigned i = 0; i < OPTIONS_DIRS; i++) {
        struct disk_dir *dir = &disk->dir[i];
        if (dir->file >= 0 && !(tried >> i & 1) && (!least || dir->slots.taken < least->slots.taken))
            least = dir;
    }
    return least;
}

struct growth {
    const struct disk *disk;
    const struct disk_dir *dir;
    uint64_t from_bytes, to_bytes;
    int result;
};

static void grow(void *arg)
{
    struct growth *growth = arg;
    int file = growth->dir->file, error;
    off_t from = (off_t)growth->from_bytes, to = (off_t)growth->to_bytes;

    growth->result = -EBADF;
    if (!disk_dir_has(growth->dir, file))
        return;
    do {
        error = growth->disk->fallocate(file, 0, from, to - from);
    } while (error != 0 && errno == EINTR);
    /* The disk may then be found full by a write, which is handled there. */
    if (error != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        error = ftruncate(file, to);
    growth->result = error == 0 ? 0 : -errno;
}

/* Make the file longer and its new part real. Without the lock; `growing` keeps others away. */
static int file_grow(const struct disk *disk, const struct disk_dir *dir, uint64_t from_bytes,
                     uint64_t to_bytes)
{
    struct growth growth = {.disk = disk, .dir = dir, .from_bytes = from_bytes, .to_bytes = to_bytes};
    int error = private_fds_run(grow, &growth);
    return error ? error : growth.result;
}

/* See that the file reaches to `end_bytes`. Wants the lock, and lets go of it meanwhile. */
static int dir_grow(struct disk *disk, struct disk_dir *dir, uint64_t end_bytes)
{
    while (dir->growing && dir->grown_bytes < end_bytes)
        lock_wait(&disk->grown, &disk->lock);
    if (dir->grown_bytes >= end_bytes)
        return 0;
    uint64_t from_bytes = dir->grown_bytes;
    uint64_t limit_bytes = dir->slots.count * GRANULE_BYTES;
    uint64_t step_bytes = from_bytes < STEP_LEAST_BYTES ? STEP_LEAST_BYTES : from_bytes;
    if (step_bytes > STEP_MOST_BYTES)
        step_bytes = STEP_MOST_BYTES;
    uint64_t to_bytes = step_bytes < limit_bytes - from_bytes ? from_bytes + step_bytes : limit_bytes;
    if (to_bytes < end_bytes)
        to_bytes = end_bytes;
    dir->growing = true;
    lock_release(&disk->lock);

    int error = file_grow(disk, dir, from_bytes, to_bytes);
    if (error != 0 && to_bytes > end_bytes) {
        to_bytes = end_bytes;
        error = file_grow(disk, dir, from_bytes, to_bytes);
    }

    lock_acquire(&disk->lock);
    if (error == 0)
        dir->grown_bytes = to_bytes;
    dir->growing = false;
    pthread_cond_broadcast(&disk->grown);
    return error;
}

/* Wants the lock, and lets go of it meanwhile. */
static int dir_take(struct disk *disk, struct disk_dir *dir, uint32_t granules, uint32_t *out_first)
{
    uint32_t first;
    if (extent_take(&dir->slots, granules, &first) != 0)
        return -ENOSPC;
    int error = dir_grow(disk, dir, (first + (uint64_t)granules) * GRANULE_BYTES);
    if (error != 0) {
        extent_give(&dir->slots, first, granules);
        return error;
    }
    *out_first = first;
    return 0;
}

static uint64_t granules_of(uint64_t bytes)
{
    return bytes / GRANULE_BYTES + (bytes % GRANULE_BYTES != 0);
}

int disk_take(struct disk *disk, uint64_t bytes, uint64_t *out_slot)
{
    uint64_t granules = granules_of(bytes);
    if (granules == 0 || granules > EXTENT_MAX)
        return -ENOSPC;
    disk_open(disk);
    int error = -ENOSPC, failure = 0;
    unsigned tried = 0;
    struct disk_dir *dir;
    lock_acquire(&disk->lock);
    while (error != 0 && (dir = dir_choose(disk, tried))) {
        uint32_t first;
        error = dir_take(disk, dir, (uint32_t)granules, &first);
        tried |= 1u << (dir - disk->dir);
        if (error != 0) {
            failure = error;
            continue;
        }
        disk->used_bytes += granules * GRANULE_BYTES;
        if (disk->used_bytes > disk->peak_bytes)
            disk->peak_bytes = disk->used_bytes;
        if (disk->used_bytes > disk->used_peak_bytes)
            disk->used_peak_bytes = disk->used_bytes;
        *out_slot = (uint64_t)(dir - disk->dir) << DISK_OFFSET_BITS | first * GRANULE_BYTES;
    }
    lock_release(&disk->lock);
    if (error != 0 && failure != 0 && failure != -ENOSPC)
        log_line(LOG_DEBUG, "spill file cannot grow (errno %d)", -failure);
    return error == 0 ? 0 : -ENOSPC;
}

void disk_give(struct disk *disk, uint64_t slot, uint64_t bytes)
{
    uint64_t granules = granules_of(bytes);
    struct disk_dir *dir = disk_dir_of(disk, slot);
    lock_acquire(&disk->lock);
    extent_give(&dir->slots, (uint32_t)(disk_offset_of(slot) / GRANULE_BYTES), (uint32_t)granules);
    disk->used_bytes -= granules * GRANULE_BYTES;
    lock_release(&disk->lock);
}

void disk_figures(struct disk *disk, struct disk_figures *out)
{
    lock_acquire(&disk->lock);
    *out = (struct disk_figures){.used_bytes = disk->used_bytes, .peak_bytes = disk->peak_bytes};
    if (atomic_load_explicit(&disk->open, memory_order_acquire))
        for (unsigned i = 0; i < OPTIONS_DIRS; i++)
            out->budget_bytes += disk->dir[i].slots.count * GRANULE_BYTES;
    lock_release(&disk->lock);
}

uint64_t disk_peak(struct disk *disk, bool restart, uint64_t at_least_bytes)
{
    uint64_t peak_bytes;

    lock_acquire(&disk->lock);
    peak_bytes = disk->used_peak_bytes;
    if (restart)
        disk->used_peak_bytes = disk->used_bytes;
    if (disk->used_peak_bytes < at_least_bytes)
        disk->used_peak_bytes = at_least_bytes;
    lock_release(&disk->lock);
    return peak_bytes;
}
