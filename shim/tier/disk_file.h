/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_file.h - make the nameless file of a spill directory.
 */
#ifndef EBB_DISK_FILE_H
#define EBB_DISK_FILE_H

#include <stdint.h>

struct disk_space {
    uint64_t free_bytes;  /**< that this user may take */
    uint64_t total_bytes; /**< of the file system */
};

/**
 * Open a file that has no name, for this user alone. Refuses relative paths and directories that anybody can
 * write to and that are not sticky; warns on a directory that is memory.
 *
 * @out_direct  the same file for direct I/O, or -1
 * Returns      0 and the caller owns the files; negative errno, and one warning was logged
 */
int disk_file_open(const char *dir, int *out_file, int *out_direct, struct disk_space *out_space);

#endif
