/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_state.h - what the files of the disk tier have of one another, and who reads and writes a slot himself.
 */
#ifndef EBB_DISK_STATE_H
#define EBB_DISK_STATE_H

#include <stdint.h>

#include "tier/disk.h"

/* ---- disk_file.c: the nameless file of a spill directory ------------------------------------------------------ */

struct disk_space {
    uint64_t free_bytes;  /**< that this user may take */
    uint64_t total_bytes; /**< of the file system */
};

/**
 * Open a file that has no name, for this user alone. Refuses relative paths and directories that anybody can write to and
 * that are not sticky; warns on a directory that is memory.
 *
 * @out_direct  the same file for direct I/O, or -1
 * Returns      0 and the caller owns the files; negative errno, and one warning was logged
 */
int disk_file_open(const char *dir, int *out_file, int *out_direct, struct disk_space *out_space);

/* ---- disk_io.c: bytes into a slot and out of it, around the page cache where the file system lets us ------------- */

/** The most that one call moves; the size of a bounce. */
#define DISK_PIECE_BYTES ((uint64_t)4 << 20)

/** Memory for what direct I/O cannot reach (memory of a driver, odd addresses). Made when first needed; a thread's own. */
struct disk_bounce {
    void *memory;
};

/**
 * Write or read where disk_is_reached.
 *
 * @slot     as @bytes a multiple of DISK_ALIGN_BYTES, which @memory need not be; at most one piece
 * Returns   0; negative errno of the system; -EIO when the file ends too early; -EBADF where the program has closed it. A
 *           full disk is one of them (-ENOSPC, -EDQUOT): nothing is done about it here
 */
int disk_write(struct disk *disk, uint64_t slot, const void *memory, uint64_t bytes,
               struct disk_bounce *bounce);
int disk_read(struct disk *disk, uint64_t slot, void *memory, uint64_t bytes, struct disk_bounce *bounce);

void disk_bounce_finish(struct disk_bounce *bounce);

#endif
