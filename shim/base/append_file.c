/* SPDX-License-Identifier: Apache-2.0 */
/* append_file.c - see append_file.h. */
#include "base/append_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static int make(struct append_file *file, const char *temporary)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), error = 0;

    if (fd < 0)
        return -errno;
    if (!output_look(fd, &file->identity))
        error = -EBADF;
    if (close(fd) < 0 || (!error && rename(temporary, file->path) < 0))
        error = -errno;
    if (error)
        unlink(temporary);
    return error;
}

int append_file_make(struct append_file *file, const char *path)
{
    char temporary[OPTIONS_PATH_BYTES + 32];
    struct stat st;
    int error;

    *file = (struct append_file){0};
    error = options_path(path, file->path, sizeof(file->path));
    if (error)
        return error;
    if (lstat(file->path, &st) == 0 && !S_ISREG(st.st_mode))
        return -EINVAL;
    log_print(temporary, sizeof(temporary), "%s.%d.new", file->path, (int)getpid());
    return make(file, temporary);
}

static int write_all(int fd, const struct iovec *part)
{
    const char *memory = part->iov_base;
    size_t bytes = part->iov_len;

    while (bytes) {
        ssize_t wrote = output_write(fd, memory, bytes);

        if (wrote <= 0)
            return wrote ? (int)wrote : -ENOSPC;
        memory += wrote;
        bytes -= (size_t)wrote;
    }
    return 0;
}

/* A number of a file that is gone is soon another one's: its size tells them apart. */
static bool is_ours(const struct append_file *file, int fd)
{
    struct stat st;

    return output_is(fd, &file->identity) && fstat(fd, &st) == 0 && (uint64_t)st.st_size == file->bytes;
}

static int append(struct append_file *file, int fd, const struct iovec *part, unsigned count)
{
    uint64_t bytes = file->bytes;
    int error = is_ours(file, fd) ? 0 : -ESTALE;

    for (unsigned i = 0; !error && i < count; i++) {
        error = write_all(fd, &part[i]);
        bytes += part[i].iov_len;
    }
    if (!error)
        file->bytes = bytes;
    else if (error != -ESTALE && ftruncate(fd, (off_t)file->bytes) < 0)
        error = -errno;
    return error;
}

int append_file_write(struct append_file *file, const struct iovec *part, unsigned count)
{
    int fd = open(file->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), error;

    if (fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    error = append(file, fd, part, count);
    if (close(fd) < 0 && !error)
        error = -errno;
    return error;
}
