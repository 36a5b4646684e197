/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - see output.h. */
#include "base/output.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum known {
    NOT_LOOKED,
    LOOKING,
    LOOKED
};

static struct output_file error_file;
static int known; /* enum known */

bool output_look(int fd, struct output_file *out)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    *out = (struct output_file){.device = st.st_dev, .special = st.st_rdev, .inode = st.st_ino};
    return true;
}

bool output_is(int fd, const struct output_file *file)
{
    struct output_file now;

    return output_look(fd, &now) && now.device == file->device && now.inode == file->inode &&
           now.special == file->special;
}

void output_start(void)
{
    __atomic_store_n(&known, LOOKING, __ATOMIC_RELAXED);
    error_file = (struct output_file){0};
    output_look(STDERR_FILENO, &error_file);
    __atomic_store_n(&known, LOOKED, __ATOMIC_RELEASE);
}

int output_error(void)
{
    int expected = NOT_LOOKED;

    if (__atomic_compare_exchange_n(&known, &expected, LOOKING, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
        output_start();
    /* Another thread is looking right now: this early nobody has closed anything. */
    else if (expected == LOOKING)
        return STDERR_FILENO;
    return output_is(STDERR_FILENO, &error_file) ? STDERR_FILENO : -1;
}

bool output_is_error(int fd)
{
    return __atomic_load_n(&known, __ATOMIC_ACQUIRE) != LOOKED || output_is(fd, &error_file);
}

/* A write raises them in the thread that made it. */
static const int raised[] = {SIGPIPE, SIGXFSZ};

enum {
    RAISED = sizeof(raised) / sizeof(*raised)
};

/* Of these, what was pending before: the program has blocked it, and it stays the program's. Otherwise nothing is asked,
 * for there are sandboxes in which a question is death. */
static void look_at_pending(const sigset_t *before, sigset_t *out)
{
    sigemptyset(out);
    for (int i = 0; i < RAISED; i++)
        if (sigismember(before, raised[i]) == 1) {
            sigpending(out);
            return;
        }
}

/* Take back what the write has raised. */
static void take_back(const sigset_t *pending)
{
    static const struct timespec at_once;
    sigset_t ours;

    sigemptyset(&ours);
    for (int i = 0; i < RAISED; i++)
        if (sigismember(pending, raised[i]) == 0)
            sigaddset(&ours, raised[i]);
    while (sigtimedwait(&ours, NULL, &at_once) < 0 && errno == EINTR)
        ;
}

ssize_t output_write(int fd, const void *text, size_t length)
{
    sigset_t blocked, before, pending;
    ssize_t written;

    sigemptyset(&blocked);
    for (int i = 0; i < RAISED; i++)
        sigaddset(&blocked, raised[i]);
    sigaddset(&blocked, SIGTTOU); /* where it is, a terminal lets the write pass */
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    look_at_pending(&before, &pending);
    do
        written = write(fd, text, length);
    while (written < 0 && errno == EINTR);
    if (written < 0) {
        written = -errno;
        if (written == -EPIPE || written == -EFBIG)
            take_back(&pending);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return written;
}
