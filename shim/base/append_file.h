/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append_file.h - a file of ours that grows while the program runs.
 *
 * Shape    it is opened for each write, and no descriptor of it is kept, so that the program can close none and comes upon
 *          none. A file that has another one's place by then is not written to.
 * Owns     the path, in the caller's memory.
 * Threads  one at a time. Nothing here allocates or logs.
 */
#ifndef EBB_APPEND_FILE_H
#define EBB_APPEND_FILE_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/options.h"
#include "base/output.h"

struct append_file {
    char path[OPTIONS_PATH_BYTES];
    struct output_file identity;
    uint64_t bytes; /**< in it */
};

/**
 * Make it anew, empty, in place of a regular file of that name, which keeps what it has where somebody still reads it.
 * `%p` in the path is the process id.
 *
 * Returns  0, or a negative errno: -EINVAL for what is no regular file
 */
int append_file_make(struct append_file *file, const char *path);

/** Append all of the parts. A negative errno: nothing was; -ESTALE: the path has another file, or none. */
int append_file_write(struct append_file *file, const struct iovec *part, unsigned count);

#endif
