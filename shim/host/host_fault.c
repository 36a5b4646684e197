/* SPDX-License-Identifier: Apache-2.0 */
/* host_fault.c - accesses to what is not there: userfaultfd(2). See host_state.h. */
#include "base/compiler.h"
#include "host/host_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/output.h"
#include "base/pages.h"
#include "base/private_fds.h"

/* Of Linux 6.1, newer than some headers. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

/* Of Linux 6.8. */
#define FEATURE_MOVE  ((uint64_t)1 << 16)
#define MOVE_DONTWAKE ((uint64_t)1)
struct move {
    uint64_t dst, src, len, mode;
    int64_t moved;
};
#define IOCTL_MOVE _IOWR(0xAA, 0x05, struct move)

static struct {
    struct lock starting;
    bool tried, started, moves, forks;
    _Atomic bool *running;       /* on a page that a child of any kind finds empty */
    int file;                    /* of the threads below, if `apart` */
    int outside;                 /* in the program's table, where it may close it */
    bool apart;                  /* they have descriptors of ours */
    struct output_file identity; /* both are this */
    pthread_t evictor;
} faults = {.starting = LOCK_INIT(LOCK_FAULTS_START), .file = -1, .outside = -1};

/* ---- the kernel's side ------------------------------------------------------------------------------------ */

/* A descriptor that gets the kernel's own faults too, or -errno. */
static int faults_open(void)
{
    /* Children need CAP_SYS_PTRACE. */
    static const uint64_t wanted[] = {UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_FORK,
                                      UFFD_FEATURE_EVENT_REMOVE, 0};
    struct uffdio_api api;
    int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), error = errno;

    if (file < 0 && error == EPERM) {
        int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

        if (device >= 0) {
            file = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
            error = errno;
            close(device);
        }
    }
    if (file < 0)
        return -error;
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        api = (struct uffdio_api){.api = UFFD_API, .features = wanted[i]};
        if (host_fault_without_forks && wanted[i] & UFFD_FEATURE_EVENT_FORK)
            continue;
        if (ioctl(file, UFFDIO_API, &api) == 0) {
            faults.moves = api.features & FEATURE_MOVE;
            faults.forks = wanted[i] & UFFD_FEATURE_EVENT_FORK;
            return file;
        }
        error = errno;
    }
    close(file);
    return -error;
}

/* The servers have a duplicate where the program cannot close it: it lives as long as one of them does. */
static void take_apart(IGNORED void *unused)
{
    int file = private_fds_mine() ? private_fds_from_program(faults.outside) : -1;

    if (file < 0)
        return;
    faults.apart = output_is(file, &faults.identity);
    if (faults.apart)
        faults.file = file;
    else
        close(file);
}

struct command {
    unsigned long request;
    void *arg;
    int result, error;
};

static void carry_out(void *arg)
{
    struct command *command = arg;

    command->result = ioctl(faults.file, command->request, command->arg);
    command->error = errno;
}

/* ioctl(2) in any thread, whatever the program has closed. */
static int command(unsigned long request, void *arg)
{
    struct command command = {.request = request, .arg = arg, .result = -1, .error = EBADF};

    if (faults.apart && private_fds_mine())
        return ioctl(faults.file, request, arg);
    if (output_is(faults.outside, &faults.identity))
        return ioctl(faults.outside, request, arg);
    if (faults.apart)
        private_fds_run(carry_out, &command);
    errno = command.error;
    return command.result;
}

bool host_fault_without_forks;

bool host_fault_forks(void)
{
    return faults.forks;
}

bool host_fault_moves(void)
{
    return faults.moves;
}

/* Holes are skipped here, not by UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES. Linux 6.18 and later does not clear the error of a page
 * that had to be tried again, until "userfaultfd: reset err to be 0 when move_pages_ptes succeeded" of August 2026: the
 * call goes on at the page that it has just moved, and says EEXIST without having counted it; with that mode it goes on
 * for ever at a hole. */
int host_fault_move(uint64_t to, uint64_t from, uint64_t bytes, uint64_t *out_moved)
{
    uint64_t at = 0;
    int error = 0;

    while (at < bytes && !error) {
        struct move move = {.dst = to + at, .src = from + at, .len = bytes - at, .mode = MOVE_DONTWAKE};

        if (command(IOCTL_MOVE, &move) == 0)
            at = bytes;
        else if (move.moved > 0)
            at += (uint64_t)move.moved;
        else if (errno == ENOENT || errno == EEXIST)
            at += host_page_bytes();
        else if (errno != EINTR)
            error = errno;
    }
    *out_moved = at;
    return -error;
}

int host_fault_arm(uint64_t first, uint64_t end)
{
    struct uffdio_register range = {.range = {first, end - first}, .mode = UFFDIO_REGISTER_MODE_MISSING};

    return command(UFFDIO_REGISTER, &range) < 0 ? -errno : 0;
}

int host_fault_disarm(uint64_t first, uint64_t end)
{
    struct uffdio_range range = {first, end - first};

    return command(UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

void host_fault_wake(uint64_t first, uint64_t bytes)
{
    struct uffdio_range range = {first, bytes};

    command(UFFDIO_WAKE, &range);
}

/* The kernel fills no range that lies in two mappings, and says the same of one where nothing is mapped: only a page
 * alone tells which it was. */
static bool is_given_up(int error, uint64_t bytes, bool *singly)
{
    *singly = (error == ENOENT || error == EINVAL) && bytes > host_page_bytes();
    /* No mapping, or one that is not armed: the program has put another one there. */
    return !*singly && (error == ENOENT || error == ESRCH);
}

int host_fault_fill(int file, uint64_t to, const void *from, uint64_t bytes)
{
    uint64_t page = host_page_bytes(), at = 0;
    bool singly = false;

    while (at < bytes) {
        struct uffdio_copy copy = {.dst = to + at,
                                   .src = (uint64_t)(uintptr_t)from + at,
                                   .len = singly ? page : bytes - at,
                                   .mode = UFFDIO_COPY_MODE_DONTWAKE};
        int result = file < 0 ? command(UFFDIO_COPY, &copy) : ioctl(file, UFFDIO_COPY, &copy);
        int error = result < 0 ? errno : 0;

        if (!error || copy.copy > 0)
            at += (uint64_t)copy.copy;
        else if (error == EAGAIN)
            return -EAGAIN;
        else if (error == EINTR)
            continue;
        else if (error == EEXIST) /* that page is there */
            at += page;
        else if (is_given_up(error, copy.len, &singly))
            at += page;
        else if (!singly || copy.len == page)
            return -error;
    }
    return 0;
}

/* ---- start and end -------------------------------------------------------------------------------------------- */

int host_fault_file(void)
{
    if (faults.apart)
        return faults.file;
    if (output_is(faults.outside, &faults.identity))
        return faults.outside;
    /* The program has closed it, and may have something else there, of which nothing may be read. */
    if (host_block_away())
        host_piece_lost(0, host_blocks.away_bytes, -EBADF);
    *faults.running = false;
    return -1;
}

void host_fault_enter(void)
{
    if (faults.apart)
        private_fds_enter();
}

/* A page that is empty in a child, however that came to be. */
static bool mark_make(void)
{
    void *page = pages_take(host_page_bytes());

    if (!page)
        return false;
    madvise(page, host_page_bytes(), MADV_WIPEONFORK);
    faults.running = page;
    return true;
}

static bool faults_start(void)
{
    int file = faults_open(), error;

    if (file < 0) {
        log_line(
            LOG_WARN,
            "registered host memory stays in memory: faults of the kernel are not handed to us (error %d); "
            "vm.unprivileged_userfaultfd=1, access to /dev/userfaultfd or CAP_SYS_PTRACE allows it",
            -file);
        return false;
    }
    faults.outside = file;
    output_look(file, &faults.identity);
    private_fds_run(take_apart, NULL);
    error = mark_make() ? host_leave_init() : -ENOMEM;
    if (!error)
        error = host_serve_start(faults.apart, &faults.evictor);
    if (error)
        log_line(LOG_WARN, "registered host memory stays in memory: it cannot be moved here (error %d)",
                 -error);
    return !error;
}

bool host_fault_start(void)
{
    if (host_fault_running())
        return true;
    lock_acquire(&faults.starting);
    if (!faults.tried) {
        faults.tried = true;
        faults.started = faults_start();
        if (faults.started)
            atomic_store_explicit(faults.running, true, memory_order_release);
    }
    lock_release(&faults.starting);
    return host_fault_running();
}

bool host_fault_running(void)
{
    return faults.running && atomic_load_explicit(faults.running, memory_order_acquire);
}

bool host_fault_orphan(void)
{
    return faults.started && !host_fault_running();
}

bool host_fault_is_evictor(void)
{
    return pthread_equal(pthread_self(), faults.evictor);
}

void host_fault_forked(void)
{
    lock_init(&faults.starting, LOCK_FAULTS_START);
    faults.started = false;
    faults.running = NULL;
    if (output_is(faults.outside, &faults.identity))
        close(faults.outside);
    faults.file = faults.outside = -1;
    faults.apart = false;
}
