/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_io.h - bytes into a slot and out of it, around the page cache where the file system lets us.
 *
 * Threads  any, each with a bounce of its own.
 * Errors   negative errno of the system; -EIO when the file ends too early. A full disk is one of them
 * (-ENOSPC, -EDQUOT): nothing is done about it here. -EBADF where the program has closed the file.
 */
#ifndef EBB_DISK_IO_H
#define EBB_DISK_IO_H

#include "tier/disk.h"

/** The most that one call moves; the size of a bounce. */
#define DISK_PIECE_BYTES ((uint64_t)4 << 20)

/** Memory for what direct I/O cannot reach (memory of a driver, odd addresses). Made when first needed. */
struct disk_bounce {
    void *memory;
};

/** Where disk_is_reached. @slot, @bytes, @memory  @slot and @bytes are multiples of DISK_ALIGN_BYTES, @memory need not be; at most
 * one piece */
int disk_write(struct disk *disk, uint64_t slot, const void *memory, uint64_t bytes,
               struct disk_bounce *bounce);
int disk_read(struct disk *disk, uint64_t slot, void *memory, uint64_t bytes, struct disk_bounce *bounce);

void disk_bounce_finish(struct disk_bounce *bounce);

#endif
