/* SPDX-License-Identifier: Apache-2.0 */
/* disk_file.c - see disk_state.h. */
#include "tier/disk_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"

enum {
    NAME_BYTES = 64,
    NAME_TRIES = 8
};

/* Where there is no O_TMPFILE: a name that nobody can guess, gone again at once. */
static int create_and_unlink(int dir)
{
    for (unsigned tries = 0; tries < NAME_TRIES; tries++) {
        char name[NAME_BYTES];
        uint64_t random;
        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return -EIO;
        log_print(name, sizeof(name), ".ebbtide-%d-%llx", (int)getpid(), (unsigned long long)random);
        int file = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file >= 0) {
            if (unlinkat(dir, name, 0) == 0)
                return file;
            int error = errno;
            close(file);
            return -error;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

static int create_nameless(int dir)
{
    /* O_EXCL: nobody can give it a name later. */
    int file = openat(dir, ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0)
        return file;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT)
        return create_and_unlink(dir);
    return -errno;
}

/* O_DIRECT belongs to an open file, not to a descriptor, so this takes a second opening. */
static int open_direct(int file)
{
    char path[NAME_BYTES];
    log_print(path, sizeof(path), "/proc/thread-self/fd/%d", file);
    return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

/* What is wrong with the directory, or NULL. */
static const char *directory_fault(int dir)
{
    struct stat stat;
    if (fstat(dir, &stat) != 0)
        return "cannot be looked at";
    if ((stat.st_mode & S_IWOTH) && !(stat.st_mode & S_ISVTX))
        return "can be written to by anybody and is not sticky";
    return NULL;
}

/* `error`: of the system, or 0. */
static int refuse(const char *path, const char *why, int error)
{
    char text[32] = "";

    if (error)
        log_print(text, sizeof(text), " (errno %d)", error);
    log_line(LOG_WARN, "spill directory %s %s%s: not used; see EBBTIDE_SPILL_DIR", path, why, text);
    return error ? -error : -EINVAL;
}

int disk_file_open(const char *path, int *out_file, int *out_direct, struct disk_space *out_space)
{
    struct statvfs space;
    struct statfs kind;
    const char *fault;
    int dir, file = -1, error = 0;

    if (path[0] != '/')
        return refuse(path, "is not an absolute path", 0);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return refuse(path, "cannot be opened", errno);
    fault = directory_fault(dir);
    if (fault)
        error = refuse(path, fault, 0);
    else if (fstatvfs(dir, &space) != 0 || fstatfs(dir, &kind) != 0)
        error = refuse(path, "does not tell its free space", errno);
    else if ((file = create_nameless(dir)) < 0)
        error = refuse(path, "has no place for a file", -file);
    close(dir);
    if (error != 0)
        return error;
    if (kind.f_type == TMPFS_MAGIC || kind.f_type == RAMFS_MAGIC)
        log_line(
            LOG_WARN,
            "spill directory %s is memory, not a disk: what goes there frees none; see EBBTIDE_SPILL_DIR",
            path);
    *out_file = file;
    *out_direct = open_direct(file);
    if (*out_direct < 0)
        log_line(LOG_DEBUG, "no direct i/o in %s (errno %d): buffered", path, errno);
    out_space->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    out_space->total_bytes = (uint64_t)space.f_blocks * space.f_frsize;
    return 0;
}
