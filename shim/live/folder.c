/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c - see folder.h. */
#include "live/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "live/page.h"

#define SYSTEM_FOLDER "/run/ebbtide"
#define DAY_NS        (UINT64_C(24) * 3600 * 1000000000)

enum {
    PLACE_SYSTEM,
    PLACE_SESSION,
    PLACE_USER,
    TIDY_STEPS = 16 /* pages that one process looks after at its start */
};

bool live_folder_path(unsigned index, const char *asked, char path[LIVE_PATH_BYTES])
{
    const char *session = index == PLACE_SESSION && !*asked ? secure_getenv("XDG_RUNTIME_DIR") : NULL;
    bool has_session = session && *session == '/';

    if (*asked)
        log_print(path, LIVE_PATH_BYTES, "%s", asked);
    else if (index == PLACE_SYSTEM)
        log_print(path, LIVE_PATH_BYTES, SYSTEM_FOLDER);
    else if (index == PLACE_SESSION)
        log_print(path, LIVE_PATH_BYTES, "%s%s", has_session ? session : "", has_session ? "/ebbtide" : "");
    else
        log_print(path, LIVE_PATH_BYTES, "/dev/shm/ebbtide-%u", (unsigned)geteuid());
    return index < (*asked ? 1 : LIVE_FOLDERS);
}

/* Nobody else may have put it there: it lies where anybody may write. */
static bool is_ours(int folder, unsigned index)
{
    struct stat st;

    if (fstat(folder, &st) < 0)
        return false;
    if (index == PLACE_SYSTEM)
        return st.st_uid == 0;
    return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int live_folder_open(unsigned index, const char *asked, bool make)
{
    char path[LIVE_PATH_BYTES];
    int folder;

    if (!live_folder_path(index, asked, path) || !*path)
        return -ENOENT;
    if (make && (*asked || index != PLACE_SYSTEM))
        mkdir(path, 0700);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (*asked ? 0 : O_NOFOLLOW));
    if (folder < 0)
        return -errno;
    if (*asked || is_ours(folder, index))
        return folder;
    close(folder);
    return -ESTALE;
}

int live_folder_for_page(const char *asked, char path[LIVE_PATH_BYTES])
{
    int error = -ENOENT;

    for (unsigned i = 0; live_folder_path(i, asked, path); i++) {
        int folder = live_folder_open(i, asked, true);

        if (folder >= 0 && faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) == 0)
            return folder;
        error = folder < 0 ? folder : -errno;
        if (folder >= 0)
            close(folder);
    }
    return error;
}

/* ---- pages in it --------------------------------------------------------------------------------------------------- */

/* PID-TIME.page. */
static bool is_page(const char *name)
{
    static const char digits[] = "0123456789";
    size_t pid = strspn(name, digits), seconds = pid && name[pid] == '-' ? strspn(name + pid + 1, digits) : 0;

    return seconds && strcmp(name + pid + 1 + seconds, LIVE_SUFFIX) == 0 && strlen(name) < LIVE_NAME_BYTES;
}

/* As the kernel has it. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

void live_folder_each(int folder, bool (*visit)(int folder, const char *name, void *arg), void *arg)
{
    _Alignas(struct entry) char buf[4096];
    bool more = lseek(folder, 0, SEEK_SET) == 0;
    long length;

    while (more && (length = syscall(SYS_getdents64, folder, buf, sizeof(buf))) > 0)
        for (long at = 0; more && at < length;) {
            const struct entry *entry = (const struct entry *)(buf + at);

            more = !is_page(entry->name) || visit(folder, entry->name, arg);
            at += entry->length;
        }
}

bool live_page_is_held(int file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

    return fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool is_held(int folder, const char *name)
{
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool held = file >= 0 && live_page_is_held(file);

    if (file >= 0)
        close(file);
    return held;
}

/* The oldest page behind a time, and how many there are. */
struct oldest {
    uint64_t behind_ns, written_ns;
    unsigned count;
    char name[LIVE_NAME_BYTES];
};

static bool look_at_age(int folder, const char *name, void *arg)
{
    struct oldest *oldest = arg;
    struct stat st;
    uint64_t written_ns;

    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    oldest->count++;
    written_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
    if (written_ns > oldest->behind_ns && (!*oldest->name || written_ns < oldest->written_ns)) {
        oldest->written_ns = written_ns;
        log_print(oldest->name, sizeof(oldest->name), "%s", name);
    }
    return true;
}

void live_folder_tidy(int folder)
{
    struct oldest oldest = {0};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (unsigned step = 0; step < TIDY_STEPS; step++) {
        uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;

        oldest.count = 0;
        *oldest.name = '\0';
        live_folder_each(folder, look_at_age, &oldest);
        if (!*oldest.name || (oldest.count <= LIVE_PAGES && oldest.written_ns + DAY_NS > now_ns))
            return;
        if (is_held(folder, oldest.name) || unlinkat(folder, oldest.name, 0) < 0)
            oldest.behind_ns = oldest.written_ns;
    }
}
