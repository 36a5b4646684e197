/* SPDX-License-Identifier: Apache-2.0 */
/* private_fds.c - see private_fds.h. */
#include "base/private_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"

/* Newer than some headers. */
#define CLOSE_UNSHARE 2u /* CLOSE_RANGE_UNSHARE, of Linux 5.9 */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* On the stack of who waits for it. */
struct job {
    void (*act)(void *arg);
    void *arg;
    bool done;
    struct job *next;
};

enum state {
    NONE,
    STARTING,
    READY,
    NEVER
};

static struct {
    struct lock lock;
    pthread_cond_t wanted, changed;
    enum state state;
    pid_t process; /* which it is the thread of; another one is a forked child, that has none */
    pthread_t starter;
    struct job *first;
    int self;     /* the process, in our table */
    pid_t thread; /* of ours */
} keeper = {.lock = LOCK_INIT(LOCK_DESCRIPTORS),
            .wanted = PTHREAD_COND_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER};

static THREAD_LOCAL bool mine;

int private_fds_from_program(int file)
{
    return (int)syscall(SYS_pidfd_getfd, keeper.self, file, 0);
}

int private_fds_to_program(int file)
{
    char path[64];

    log_print(path, sizeof(path), "/proc/self/task/%d/fd/%d", keeper.thread, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* For the log. */
static int borrow(int file)
{
    return mine ? private_fds_from_program(file) : file;
}

/* Leave the program's table. What it has open there is not duplicated, but for what comes in between. */
static bool leave(void)
{
    if (syscall(SYS_close_range, 0u, ~0u, CLOSE_UNSHARE) < 0)
        return false;
    for (int file = 0; file <= STDERR_FILENO; file++)
        if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            eventfd(0, EFD_CLOEXEC);
    keeper.thread = (pid_t)syscall(SYS_gettid);
    keeper.self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (keeper.self < 0)
        return false;
    int file = private_fds_from_program(STDERR_FILENO);
    bool may = file >= 0 || errno == EBADF;

    if (file >= 0)
        close(file);
    return may;
}

static void *keep(void *unused)
{
    bool ready = leave();

    lock_acquire(&keeper.lock);
    mine = ready;
    keeper.state = ready ? READY : NEVER;
    pthread_cond_broadcast(&keeper.changed);
    while (ready) {
        struct job *job = keeper.first;

        if (!job) {
            lock_wait(&keeper.wanted, &keeper.lock);
            continue;
        }
        LL_DELETE(keeper.first, job);
        lock_release(&keeper.lock);
        job->act(job->arg);
        lock_acquire(&keeper.lock);
        job->done = true;
        pthread_cond_broadcast(&keeper.changed);
    }
    lock_release(&keeper.lock);
    return unused;
}

/* In a child nobody has the lock who could give it back. */
static void look_for_fork(void)
{
    pid_t process = getpid();

    if (__atomic_load_n(&keeper.process, __ATOMIC_ACQUIRE) == process)
        return;
    if (keeper.process) {
        lock_init(&keeper.lock, LOCK_DESCRIPTORS);
        pthread_cond_init(&keeper.wanted, NULL);
        pthread_cond_init(&keeper.changed, NULL);
        keeper.state = NONE;
        keeper.first = NULL;
    }
    __atomic_store_n(&keeper.process, process, __ATOMIC_RELEASE);
}

/* Lock held, let go of meanwhile. 0, and the state is READY or NEVER; or -EDEADLK. */
static int start(void)
{
    static const struct thread thread = {
        .name = "ebbtide-files", .run = keep, .stack_bytes = THREAD_SMALL_BYTES};

    if (keeper.state == STARTING && pthread_equal(keeper.starter, pthread_self()))
        return -EDEADLK;
    if (keeper.state == NONE) {
        keeper.state = STARTING;
        keeper.starter = pthread_self();
        log_borrow = borrow;
        lock_release(&keeper.lock); /* a new thread allocates, and that may end up here again */
        int error = thread_start(&thread, NULL);
        lock_acquire(&keeper.lock);
        if (error)
            keeper.state = NEVER;
    }
    while (keeper.state == STARTING)
        lock_wait(&keeper.changed, &keeper.lock);
    return 0;
}

bool private_fds_mine(void)
{
    return mine;
}

bool private_fds_apart(void)
{
    bool apart;

    look_for_fork();
    lock_acquire(&keeper.lock);
    apart = start() == 0 && keeper.state == READY;
    lock_release(&keeper.lock);
    return apart;
}

int private_fds_run(void (*act)(void *arg), void *arg)
{
    struct job job = {.act = act, .arg = arg}, *pending = &job;
    int error = 0;
    bool here = mine;

    if (!here) {
        look_for_fork();
        lock_acquire(&keeper.lock);
        error = start();
        here = keeper.state != READY;
        if (!error && !here) {
            LL_APPEND(keeper.first, pending);
            pthread_cond_signal(&keeper.wanted);
            while (!job.done)
                lock_wait(&keeper.changed, &keeper.lock);
        }
        lock_release(&keeper.lock);
    }
    if (!error && here)
        act(arg);
    return error;
}

/* ---- threads ------------------------------------------------------------------------------------------------ */

struct creation {
    pthread_t *out;
    const pthread_attr_t *attributes;
    void *(*run)(void *);
    void *arg;
    int error;
};

static void create_thread(void *arg)
{
    struct creation *creation = arg;

    creation->error = pthread_create(creation->out, creation->attributes, creation->run, creation->arg);
}

int private_fds_thread(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    struct creation creation = {out, attributes, run, arg, 0};
    int error = private_fds_run(create_thread, &creation);

    return error < 0 ? -error : creation.error;
}

void private_fds_enter(void)
{
    mine = private_fds_apart();
}
