/* SPDX-License-Identifier: Apache-2.0 */
/* host_block_fault.c - accesses to what is not there: userfaultfd(2). See host_block_state.h. */
#include "host_block_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "files.h"
#include "log.h"
#include "state.h"

/* Of Linux 6.1, newer than some headers. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

/* Of Linux 6.8. */
#define FEATURE_MOVE ((uint64_t)1 << 16)
#define MOVE_MODES   ((uint64_t)3) /* do not wake, leave holes as they are */
struct move {
    uint64_t dst, src, len, mode;
    int64_t moved;
};
#define IOCTL_MOVE _IOWR(0xAA, 0x05, struct move)

enum {
    SERVERS = 2,    /* one reads from the disk while another one does */
    RETRY_MS = 100, /* until what could not be read is tried again */
    TRIES = 100,    /* as long as that */
    BROKEN_MOST =
        64, /* faults remembered for that; others wait in the kernel and are found by the next look */
};

/* They call into libc and our log only. */
#define STACK_BYTES ((size_t)256 << 10)

static struct {
    pthread_mutex_t starting;
    bool tried, moves;
    _Atomic bool running;
    int file;                       /* of the threads below, if `apart` */
    int outside;                    /* in the program's table, where it may close it */
    bool apart;                     /* they have descriptors of ours */
    struct files_identity identity; /* both are this */
    pthread_t evictor;
} faults = {.starting = PTHREAD_MUTEX_INITIALIZER, .file = -1, .outside = -1};

/* ---- the kernel's side ------------------------------------------------------------------------------------ */

/* A descriptor that gets the kernel's own faults too, or -errno. */
static int faults_open(void)
{
    struct uffdio_api api = {.api = UFFD_API};
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
    if (ioctl(file, UFFDIO_API, &api) < 0) {
        error = errno;
        close(file);
        return -error;
    }
    faults.moves = api.features & FEATURE_MOVE;
    return file;
}

/* The servers have a duplicate where the program cannot close it: it lives as long as one of them does. */
static void take_apart(void *unused)
{
    struct files_identity identity;
    int file = files_mine() ? files_from_program(faults.outside) : -1;

    (void)unused;
    if (file < 0)
        return;
    files_identify(file, &identity);
    faults.apart = identity.device == faults.identity.device && identity.inode == faults.identity.inode;
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

    if (faults.apart && files_mine())
        return ioctl(faults.file, request, arg);
    if (files_is(faults.outside, &faults.identity))
        return ioctl(faults.outside, request, arg);
    if (faults.apart)
        files_run(carry_out, &command);
    errno = command.error;
    return command.result;
}

bool host_fault_moves(void)
{
    return faults.moves;
}

int host_fault_move(uint64_t to, uint64_t from, uint64_t bytes, uint64_t *out_moved)
{
    uint64_t at = 0;
    int error = 0;

    while (at < bytes && !error) {
        struct move move = {.dst = to + at, .src = from + at, .len = bytes - at, .mode = MOVE_MODES};

        if (command(IOCTL_MOVE, &move) == 0)
            at = bytes;
        else if (move.moved > 0)
            at += (uint64_t)move.moved;
        else if (errno != EAGAIN && errno != EINTR)
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

int host_fault_fill(uint64_t to, const void *from, uint64_t bytes)
{
    uint64_t page = host_page_bytes(), at = 0;
    bool singly = false;

    while (at < bytes) {
        struct uffdio_copy copy = {.dst = to + at,
                                   .src = (uint64_t)(uintptr_t)from + at,
                                   .len = singly ? page : bytes - at,
                                   .mode = UFFDIO_COPY_MODE_DONTWAKE};
        int error = command(UFFDIO_COPY, &copy) < 0 ? errno : 0;

        if (error == EAGAIN || error == EINTR)
            at += copy.copy > 0 ? (uint64_t)copy.copy : 0;
        else if (!error || copy.copy > 0)
            at += (uint64_t)copy.copy;
        else if (error == EEXIST) /* that page is there */
            at += page;
        else if (is_given_up(error, copy.len, &singly))
            at += page;
        else if (!singly || copy.len == page)
            return -error;
    }
    return 0;
}

static int server_file(void)
{
    return faults.apart ? faults.file : faults.outside;
}

/* ---- the threads ------------------------------------------------------------------------------------------ */

/* Faults whose bytes could not be read, to be tried again. */
struct broken {
    struct fault {
        uint64_t address;
        unsigned tries;
    } fault[BROKEN_MOST];
    unsigned count;
};

/* Somebody waits for bytes that did not come. He is not to wait for ever, nor to go on with others. */
static void broken_add(struct broken *broken, uint64_t address, unsigned tries, int error)
{
    if (error == -EILSEQ || (tries == TRIES && error != -ENOMEM))
        host_block_stop(address, host_page_bytes(), error);
    for (unsigned i = 0; i < broken->count; i++)
        if (broken->fault[i].address == address)
            return;
    if (broken->count < BROKEN_MOST)
        broken->fault[broken->count++] = (struct fault){address, tries};
    else /* it faults again, until there is room */
        host_fault_wake(address, host_page_bytes());
}

/* `tries` were made before. */
static void serve(uint64_t address, unsigned tries, struct host_staging *staging, struct broken *broken)
{
    uint64_t page = address / host_page_bytes() * host_page_bytes();
    struct host_block *block;
    int rc = 0;

    host_books_lock();
    block = host_table_find(page);
    if (block && page >= block->first && page < block->end) {
        uint32_t unit = (uint32_t)((page - host_unit_address(block, 0)) / HOST_UNIT_BYTES);
        unsigned piece = (unsigned)(page % HOST_UNIT_BYTES / HOST_PIECE_BYTES);

        host_table_enter(block);
        rc = host_piece_bring(block, unit, piece, page, staging);
        host_table_leave(block);
        pthread_mutex_unlock(&host_blocks.lock);
    } else {
        pthread_mutex_unlock(&host_blocks.lock);
        host_fault_wake(page, host_page_bytes());
    }
    if (rc < 0)
        broken_add(broken, page, tries + 1, rc);
}

/* The program has closed it, and may have something else there, of which nothing may be read. */
static bool is_closed(void)
{
    if (faults.apart || files_is(faults.outside, &faults.identity))
        return false;
    if (host_block_away())
        host_block_stop(0, host_blocks.away_bytes, -EBADF);
    faults.running = false;
    return true;
}

static void serve_pending(struct host_staging *staging, struct broken *broken)
{
    struct uffd_msg message[16];
    ssize_t length;

    while ((length = read(server_file(), message, sizeof(message))) > 0)
        for (size_t i = 0; i < (size_t)length / sizeof(*message); i++)
            if (message[i].event == UFFD_EVENT_PAGEFAULT)
                serve(message[i].arg.pagefault.address, 0, staging, broken);
}

static void serve_broken(struct host_staging *staging, struct broken *broken)
{
    struct broken again = *broken;

    broken->count = 0;
    for (unsigned i = 0; i < again.count; i++)
        serve(again.fault[i].address, again.fault[i].tries, staging, broken);
}

static void *server_run(void *argument)
{
    struct host_staging *staging = argument;
    struct broken broken = {.count = 0};
    struct pollfd events = {.fd = server_file(), .events = POLLIN};

    host_fault_enter();
    pthread_setname_np(pthread_self(), "ebbtide-fault");
    while (!is_closed()) {
        int ready = poll(&events, 1, broken.count ? RETRY_MS : -1);

        if (ready > 0 && !is_closed())
            serve_pending(staging, &broken);
        else if (ready == 0)
            serve_broken(staging, &broken);
    }
    return NULL;
}

void host_fault_enter(void)
{
    if (faults.apart)
        files_enter();
}

static int thread_start(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    return faults.apart ? files_thread(out, attributes, run, arg) : pthread_create(out, attributes, run, arg);
}

static int threads_start(void)
{
    static struct host_staging staging[SERVERS];
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = 0;

    for (unsigned i = 0; i < SERVERS; i++)
        if (host_staging_init(&staging[i]) < 0)
            return -ENOMEM;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = thread_start(&faults.evictor, &attributes, host_evict_run, NULL);
    for (unsigned i = 0; i < SERVERS && !error; i++) {
        pthread_t server;

        error = thread_start(&server, &attributes, server_run, &staging[i]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

static bool faults_start(void)
{
    int rc = faults_open();

    if (rc >= 0) {
        faults.outside = rc;
        files_identify(rc, &faults.identity);
        files_run(take_apart, NULL);
        rc = host_flight_init();
        if (rc >= 0)
            rc = threads_start();
        if (rc >= 0)
            return true;
        log_line(LOG_WARN, "registered host memory stays in memory: it cannot be moved here (error %d)", -rc);
        return false;
    }
    log_line(LOG_WARN,
             "registered host memory stays in memory: faults of the kernel are not handed to us (error %d); "
             "vm.unprivileged_userfaultfd=1, access to /dev/userfaultfd or CAP_SYS_PTRACE allows it",
             -rc);
    return false;
}

bool host_fault_start(void)
{
    if (host_fault_running())
        return true;
    pthread_mutex_lock(&faults.starting);
    if (!faults.tried) {
        faults.tried = true;
        faults.running = faults_start();
    }
    pthread_mutex_unlock(&faults.starting);
    return host_fault_running();
}

bool host_fault_running(void)
{
    return atomic_load_explicit(&faults.running, memory_order_acquire);
}

bool host_thread_evicts(void)
{
    return pthread_equal(pthread_self(), faults.evictor);
}

void host_fault_forked(void)
{
    pthread_mutex_init(&faults.starting, NULL);
    faults.running = false;
    if (files_is(faults.outside, &faults.identity))
        close(faults.outside);
    faults.file = faults.outside = -1;
    faults.apart = false;
}
