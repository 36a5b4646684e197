/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_serve.c - the threads that serve faults, and the one that tells them. See host_state.h.
 *
 * One thread reads what the kernel has to say, and waits for nothing but the lock: a program that gives pages up, or
 * forks, goes on once it has read that. It does so with the lock held: what is known of a page when a piece is put in
 * its place is what the program has done to it. Faults go to the servers, who may wait for the disk and for others to
 * leave.
 */
#include "host/host_state.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>

#include "base/private_fds.h"
#include "base/thread.h"
#include "ledger/state.h"

enum {
    SERVERS = 2,    /* one reads from the disk while another one does */
    RETRY_MS = 100, /* until what could not be read is tried again */
    TRIES = 100,    /* as long as that */
    BROKEN_MOST = 64,
    WAITING_MOST = 1024 /* faults; more of them fault again */
};

static struct {
    struct lock lock; /* a leaf */
    pthread_cond_t more;
    uint64_t address[WAITING_MOST];
    unsigned first, count;
} waiting = {.lock = LOCK_INIT(LOCK_SERVE), .more = PTHREAD_COND_INITIALIZER};

static struct host_staging staging[SERVERS + 1]; /* the last one is the reader's */

/* ---- the reader --------------------------------------------------------------------------------------------- */

static void wait_for_server(uint64_t address)
{
    bool full;

    lock_acquire(&waiting.lock);
    full = waiting.count == WAITING_MOST;
    if (!full)
        waiting.address[(waiting.first + waiting.count++) % WAITING_MOST] = address;
    pthread_cond_signal(&waiting.more);
    lock_release(&waiting.lock);
    if (full)
        host_fault_wake(address / host_page_bytes() * host_page_bytes(), host_page_bytes());
}

/* The program gives pages up: it finds them empty, wherever the old ones are. */
static void give_up(uint64_t start, uint64_t end)
{
    uint64_t page = host_page_bytes();

    for (uint32_t i = host_table_above(start); i < host_block_count; i++) {
        struct host_block *block = host_blocks.row[i];
        uint64_t from = start;

        if (block->base >= end)
            break;
        if (from < block->first)
            from = block->first;
        for (; from < end && from < block->end; from += page)
            host_discard_mark(&block->unit[(from - host_unit_address(block, 0)) / HOST_UNIT_BYTES], from,
                              true);
    }
}

void host_serve_events(void)
{
    struct uffd_msg message[16];
    int file = host_fault_file();
    ssize_t length;

    while (file >= 0 && (length = read(file, message, sizeof(message))) > 0)
        for (size_t i = 0; i < (size_t)length / sizeof(*message); i++)
            switch (message[i].event) {
            case UFFD_EVENT_PAGEFAULT:
                wait_for_server(message[i].arg.pagefault.address);
                break;
            case UFFD_EVENT_REMOVE:
                give_up(message[i].arg.remove.start, message[i].arg.remove.end);
                break;
            case UFFD_EVENT_FORK:
                host_fork_fill((int)message[i].arg.fork.ufd, &staging[SERVERS]);
                break;
            default:
                break;
            }
}

static void *reader_run(void *unused)
{
    struct pollfd events = {.events = POLLIN};

    host_fault_enter();
    while ((events.fd = host_fault_file()) >= 0) {
        if (poll(&events, 1, -1) < 0)
            continue;
        lock_acquire(&host_blocks.lock);
        host_serve_events();
        lock_release(&host_blocks.lock);
    }
    return unused;
}

/* Where the program can close the file it lives as long as somebody waits for it: else what is away would be gone before
 * anybody could say so. Nothing is waited for. */
static void *holder_run(void *unused)
{
    struct pollfd nothing = {.fd = host_fault_file()};

    while (poll(&nothing, 1, -1) < 0)
        ;
    return unused;
}

/* ---- the servers ---------------------------------------------------------------------------------------------- */

/* Faults whose bytes could not be read, to be tried again; others wait in the kernel and are found by the next look. */
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
        host_piece_lost(address, host_page_bytes(), error);
    for (unsigned i = 0; i < broken->count; i++)
        if (broken->fault[i].address == address)
            return;
    if (broken->count < BROKEN_MOST)
        broken->fault[broken->count++] = (struct fault){address, tries};
    else /* it faults again, until there is room */
        host_fault_wake(address, host_page_bytes());
}

/* `tries` were made before. */
static void serve(uint64_t address, unsigned tries, struct host_staging *mine, struct broken *broken)
{
    uint64_t page = address / host_page_bytes() * host_page_bytes();
    struct host_block *block;
    int error = 0;

    host_books_lock();
    block = host_table_find(page);
    if (block && page >= block->first && page < block->end) {
        uint32_t unit = (uint32_t)((page - host_unit_address(block, 0)) / HOST_UNIT_BYTES);
        uint32_t piece = UINT32_C(1) << page % HOST_UNIT_BYTES / HOST_PIECE_BYTES;

        host_table_enter(block);
        error = host_piece_bring(block, unit, piece, page, mine);
        host_table_leave(block);
        lock_release(&host_blocks.lock);
    } else {
        lock_release(&host_blocks.lock);
        host_fault_wake(page, host_page_bytes());
    }
    if (error < 0)
        broken_add(broken, page, tries + 1, error);
}

static void serve_broken(struct host_staging *mine, struct broken *broken)
{
    struct broken again = *broken;

    broken->count = 0;
    for (unsigned i = 0; i < again.count; i++)
        serve(again.fault[i].address, again.fault[i].tries, mine, broken);
}

/* The next fault. False: it is time to try again what could not be read. */
static bool next_fault(const struct broken *broken, uint64_t *out_address)
{
    const struct timespec until = core_until(RETRY_MS * UINT64_C(1000000));
    int error = 0;
    bool any;

    lock_acquire(&waiting.lock);
    while (!waiting.count && error != ETIMEDOUT) {
        if (broken->count)
            error = lock_wait_until(&waiting.more, &waiting.lock, &until);
        else
            lock_wait(&waiting.more, &waiting.lock);
    }
    any = waiting.count != 0;
    if (any) {
        *out_address = waiting.address[waiting.first];
        waiting.first = (waiting.first + 1) % WAITING_MOST;
        waiting.count--;
    }
    lock_release(&waiting.lock);
    return any;
}

static void *server_run(void *argument)
{
    struct host_staging *mine = argument;
    struct broken broken = {.count = 0};
    uint64_t address;

    host_fault_enter();
    for (;;) {
        if (next_fault(&broken, &address))
            serve(address, 0, mine, &broken);
        else
            serve_broken(mine, &broken);
    }
    return NULL;
}

int host_serve_start(bool apart, pthread_t *out_evictor)
{
    /* The evictor, the servers, the reader, and the holder, of which a thread with descriptors of our own needs none. */
    static struct thread threads[SERVERS + 3];
    unsigned count = 0;
    int error = 0;

    for (unsigned i = 0; i <= SERVERS; i++)
        if (host_staging_init(&staging[i]) < 0)
            return -ENOMEM;
    threads[count++] = (struct thread){.name = "ebbtide-ebb", .run = host_evict_run};
    for (unsigned i = 0; i < SERVERS; i++)
        threads[count++] = (struct thread){.name = "ebbtide-fault", .run = server_run, .arg = &staging[i]};
    threads[count++] = (struct thread){.name = "ebbtide-fault", .run = reader_run};
    if (!apart)
        threads[count++] = (struct thread){.name = "ebbtide-fault", .run = holder_run};
    for (unsigned i = 0; i < count && !error; i++) {
        threads[i].stack_bytes = THREAD_SMALL_BYTES;
        threads[i].create = apart ? private_fds_thread : NULL;
        error = thread_start(&threads[i], i ? NULL : out_evictor);
    }
    return error;
}
