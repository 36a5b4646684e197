/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - see writer.h. */
#include "live/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "live/folder.h"
#include "live/who.h"

/* What nobody has written to for a day could be taken for the page of a dead process, where locks are not seen. */
#define TOUCH_NS (UINT64_C(3600) * 1000000000)

static struct {
    struct live_page *at; /* NULL: there is none. Stored to by the kernel alone */
    uint64_t now_number, look_number[LIVE_DEVICES];
    struct live_now_copy now;   /* the next update */
    struct live_look_copy look; /* likewise */
    uint64_t touched_ns;
    char path[LIVE_PATH_BYTES + LIVE_NAME_BYTES];
} page;

bool live_writer_is_open(void)
{
    return __atomic_load_n(&page.at, __ATOMIC_RELAXED) != NULL;
}

void live_writer_leave(void)
{
    __atomic_store_n(&page.at, NULL, __ATOMIC_RELAXED);
}

/* In a child that nothing told of its fork the process's number is another, and nothing is mapped there. */
static void store(void *at, const void *from, size_t bytes)
{
    struct iovec ours = {(void *)(uintptr_t)from, bytes}, theirs = {at, bytes};
    int error = errno;

    if (process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0) != (ssize_t)bytes)
        live_writer_leave();
    errno = error;
}

static void make_now(const struct live_now *now)
{
    memcpy(&page.now.now, now, live_now_bytes(now->devices));
    live_seal_now(&page.now, ++page.now_number);
}

void live_writer_now(const struct live_now *now)
{
    struct live_page *at = __atomic_load_n(&page.at, __ATOMIC_ACQUIRE);

    if (!at)
        return;
    make_now(now);
    store(&at->now[page.now_number & 1], &page.now,
          offsetof(struct live_now_copy, now) + live_now_bytes(now->devices));
}

void live_writer_look(uint32_t ordinal, const struct live_look *look)
{
    struct live_page *at = __atomic_load_n(&page.at, __ATOMIC_ACQUIRE);

    if (!at)
        return;
    page.look.look = *look;
    live_seal_look(&page.look, ++page.look_number[ordinal]);
    store(&at->look[ordinal][page.look_number[ordinal] & 1], &page.look, sizeof(page.look));
    if (look->duration_ns - page.touched_ns >= TOUCH_NS) {
        page.touched_ns = look->duration_ns;
        utimensat(AT_FDCWD, page.path, NULL, AT_SYMLINK_NOFOLLOW);
    }
}

void live_writer_remove(void)
{
    if (!live_writer_is_open())
        return;
    live_writer_leave();
    unlink(page.path);
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

/* Its room is taken at once: a full file system is an error here, and nowhere later. */
static int fill(int file, uint32_t devices, const struct live_head *head)
{
    size_t bytes = offsetof(struct live_now_copy, now) + live_now_bytes(page.now.now.devices);
    off_t at = (off_t)(offsetof(struct live_page, now) + sizeof(page.now) * (page.now_number & 1));
    struct rlimit limit;
    int error;

    /* Past its limit a file that grows is a signal. */
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur < live_page_bytes(devices))
        return -EFBIG;
    error = posix_fallocate(file, 0, (off_t)live_page_bytes(devices));
    if (error)
        return -error;
    if (pwrite(file, head, sizeof(*head), 0) != (ssize_t)sizeof(*head) ||
        pwrite(file, &page.now, bytes, at) != (ssize_t)bytes)
        return -EIO;
    return 0;
}

/* The lock lives as long as the mapping. */
static int hold(int file, uint32_t devices, struct live_page **out)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    size_t bytes = live_page_bytes(devices);
    void *at;

    if (fcntl(file, F_OFD_SETLK, &lock) < 0)
        return -errno;
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED)
        return -errno;
    *out = at;
    return madvise(at, bytes, MADV_DONTFORK) < 0 ? -errno : 0;
}

static int make(int folder, bool shared, const char *name, const struct live_head *head,
                struct live_page **out)
{
    char temporary[LIVE_NAME_BYTES + 8];
    int file, error;

    log_print(temporary, sizeof(temporary), "%s.new", name);
    file = openat(folder, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return -errno;
    error = fchmod(file, shared ? 0640 : 0600) < 0 ? -errno : fill(file, head->devices, head);
    if (!error)
        error = hold(file, head->devices, out);
    if (!error && renameat(folder, temporary, folder, name) < 0)
        error = -errno;
    close(file);
    if (error)
        unlinkat(folder, temporary, 0);
    if (error && *out)
        munmap(*out, live_page_bytes(head->devices));
    return error;
}

int live_writer_open(const char *asked, bool shared, uint32_t devices, const struct live_now *now)
{
    struct live_page *at = NULL;
    struct live_head head;
    char folder_path[LIVE_PATH_BYTES], name[LIVE_NAME_BYTES];
    int folder = live_folder_for_page(asked, folder_path), error;

    if (folder < 0)
        return folder;
    live_folder_tidy(folder);
    memset(&head, 0, sizeof(head));
    head.devices = devices;
    head.started_s = (uint64_t)time(NULL);
    live_who(&head.who);
    live_boot(head.boot);
    live_seal_head(&head);
    make_now(now);
    log_print(name, sizeof(name), "%d-%llu" LIVE_SUFFIX, (int)head.who.pid,
              (unsigned long long)head.started_s);
    log_print(page.path, sizeof(page.path), "%s/%s", folder_path, name);
    error = make(folder, shared, name, &head, &at);
    close(folder);
    if (!error)
        __atomic_store_n(&page.at, at, __ATOMIC_RELEASE);
    return error;
}
