/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - the disk tier's store: slots in files that nobody else can see.
 *
 * Shape    one file without a name in each spill directory, opened at the first use, handed out in runs of granules. It
 *          disappears with the process, however that ends. A slot is one number: the directory in its top byte, the
 *          offset in bytes below; 0 is a slot like any other.
 * Owns     the files and the records of what is taken. Grows a file before anybody may write to the new part.
 * Threads  any. A leaf lock, held for the books only: files are opened and grown without it.
 * Errors   negative errno, see each function. A directory that cannot be used costs one warning and is left out.
 */
#ifndef EBB_DISK_H
#define EBB_DISK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/extent.h"
#include "base/lock.h"
#include "base/options.h"
#include "base/output.h"
#include "base/private_fds.h"

/** Address, offset and length of direct I/O are multiples of this. */
#define DISK_ALIGN_BYTES 4096

#define DISK_OFFSET_BITS 56

struct disk_dir {
    int file;        /**< -1: not to be used; of threads with our descriptors, if `apart` */
    int direct_file; /**< the same file, opened O_DIRECT; -1 where that is not to be had */
    bool apart;      /**< these are descriptors of ours (private_fds.h); else the program can close them, */
    struct output_file identity; /**< and they must still be this file, */
    void *hold;           /**< which lives as long as a page of it is mapped: no other one has its number */
    atomic_bool buffered; /**< direct I/O was refused later on: use `file` */
    bool growing;         /**< someone grows the file just now */
    uint64_t grown_bytes; /**< the file is this long, and on disk */
    struct extents slots; /**< as many granules as the budget has */
    void *records;        /**< of slots */
    size_t records_bytes;
};

struct disk {
    const struct options *options;
    struct lock opening; /**< held while the files are opened, once */
    atomic_bool open;
    struct lock lock; /**< for all below, and in the directories for what says no other */
    pthread_cond_t grown;
    struct disk_dir dir[OPTIONS_DIRS];
    uint64_t used_bytes;
    uint64_t peak_bytes;
    uint64_t used_peak_bytes; /**< the most since somebody set it back */
    /* The system; tests put failures here before the first use. */
    ssize_t (*pread)(int file, void *memory, size_t bytes, off_t offset);
    ssize_t (*pwrite)(int file, const void *memory, size_t bytes, off_t offset);
    int (*fallocate)(int file, int mode, off_t offset, off_t bytes);
};

struct disk_figures {
    uint64_t budget_bytes; /**< of all directories; 0 before the first use */
    uint64_t used_bytes;
    uint64_t peak_bytes;
};

/** @options  live until disk_finish. Opens nothing. */
void disk_init(struct disk *disk, const struct options *options);

/** Close the files; what is in them is gone. Nobody else uses the disk any more. */
void disk_finish(struct disk *disk);

/** In a forked child: close the files, which belong to the parent. Async-signal-safe; the disk is of no use after. */
void disk_forked(struct disk *disk);

/** Descriptors for a child that is about to be forked, in the caller's table: it has none of `apart`. */
struct disk_loan {
    int file[OPTIONS_DIRS]; /**< -1: none */
};
void disk_lend(const struct disk *disk, struct disk_loan *out);
void disk_loan_end(struct disk_loan *loan);
/** In the child, before disk_forked: reads go through these. */
void disk_borrow(struct disk *disk, const struct disk_loan *loan);

/**
 * Take a slot; the files are opened if this is the first.
 *
 * @bytes    > 0; rounded up to whole granules
 * Returns   0, and the slot can be written without the file growing; -ENOSPC when no directory has room in its budget or
 *           on its disk
 */
int disk_take(struct disk *disk, uint64_t bytes, uint64_t *out_slot);

/** Give a slot back with the bytes it was taken with. Its I/O has ended. */
void disk_give(struct disk *disk, uint64_t slot, uint64_t bytes);

void disk_figures(struct disk *disk, struct disk_figures *out);

/** The most that was used since the last `restart`; afterwards it is at least so much. */
uint64_t disk_peak(struct disk *disk, bool restart, uint64_t at_least_bytes);

static inline struct disk_dir *disk_dir_of(struct disk *disk, uint64_t slot)
{
    return &disk->dir[slot >> DISK_OFFSET_BITS];
}

/** Is a descriptor of the directory still that file? The program may have closed it, and opened a file of its own under the
 *  number. */
static inline bool disk_dir_has(const struct disk_dir *dir, int file)
{
    return dir->apart || output_is(file, &dir->identity);
}

/** May the calling thread read and write there, with its descriptors? */
static inline bool disk_is_reached(struct disk *disk, uint64_t slot)
{
    return !disk_dir_of(disk, slot)->apart || private_fds_mine();
}

static inline uint64_t disk_offset_of(uint64_t slot)
{
    return slot & ((UINT64_C(1) << DISK_OFFSET_BITS) - 1);
}

#endif
