/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_fork.c - what is away is there in a forked child too. See host_block.h.
 *
 * A page that is missing would read as zeros in the child. Where the kernel tells of children, our thread that reads its
 * events puts what is away into them, with the lock held: nothing is brought back or overwritten meanwhile, and the child
 * waits where it comes upon a page that it has not got yet.
 *
 * Else the child's mappings do not send their faults anywhere, and it reads what is away from the files, which it is
 * lent, before fork returns in it. We wait until it has: a byte comes through a pipe then, or its end when the child died
 * first. One that does not come to it, since somebody has stopped it, is waited for no longer than PATIENCE_MS: then fork
 * returns, and what is on disk is neither given back nor written to before that child has read it. It is not charged in the child, where nothing can leave any more: that may allocate as
 * we may.
 */
#include "host/host_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/mman.h>

#include "base/fork.h"
#include "base/log.h"
#include "base/private_fds.h"
#include "ledger/state.h"

enum {
    PATIENCE_MS = 1000,
    LATE_MOST = 64
};

static int late[LATE_MOST]; /* pipes, among the descriptors of the evicting thread; with host_blocks.lock */
static unsigned late_count;

/* Of the thread that forks, from prepare to the end. */
static int told[2] = {-1, -1};
static struct disk_loan loan;
static bool lent;
static _Atomic unsigned filling; /* children at this moment */

void host_fork_prepare(void)
{
    int pipe[2] = {-1, -1};
    bool tells = !host_fault_forks() && host_fault_running();

    if (tells && pipe2(pipe, O_CLOEXEC) < 0)
        log_line(LOG_WARN,
                 "no pipe to a forked child (error %d): registered memory that is away may be wrong in it",
                 errno);
    host_books_lock();
    host_blocks.forking = true;
    while (host_blocks.busy)
        lock_wait(&host_blocks.changed, &host_blocks.lock);
    told[0] = pipe[0];
    told[1] = pipe[1];
    lent = tells && host_blocks.away_bytes;
    if (lent)
        disk_lend(&core.disk, &loan);
    /* `forking` keeps the books as they are; what the kernel tells of this child has to be read. */
    lock_release(&host_blocks.lock);
}

static void over(void)
{
    if (lent)
        disk_loan_end(&loan);
    lock_acquire(&host_blocks.lock);
    host_blocks.forking = false;
    pthread_cond_broadcast(&host_blocks.changed);
    lock_release(&host_blocks.lock);
}

/* The child has read what it needs, or is dead. */
static bool is_done(int pipe, int wait_ms)
{
    struct pollfd end = {.fd = pipe, .events = POLLIN};
    int ready;

    do {
        ready = poll(&end, 1, wait_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static void take_pipe(void *arg)
{
    int *pipe = arg;

    if (private_fds_mine())
        *pipe = private_fds_from_program(*pipe);
}

/* The child is late. Nobody is at work on a block. */
static void keep_for_child(int pipe)
{
    int own = pipe;

    private_fds_run(take_pipe, &own);
    if (own != pipe)
        close(pipe);
    lock_acquire(&host_blocks.lock);
    if (late_count < LATE_MOST)
        late[late_count++] = own;
    host_blocks.late_children++; /* of one that is not remembered: for ever */
    lock_release(&host_blocks.lock);
}

bool host_fork_late(void)
{
    bool over = false;

    lock_acquire(&host_blocks.lock);
    for (unsigned i = late_count; i-- > 0;) {
        if (!is_done(late[i], 0))
            continue;
        close(late[i]);
        late[i] = late[--late_count];
        over = --host_blocks.late_children == 0;
    }
    lock_release(&host_blocks.lock);
    return over;
}

void host_fork_parent(void)
{
    if (told[0] >= 0) {
        close(told[1]);
        if (is_done(told[0], PATIENCE_MS))
            close(told[0]);
        else
            keep_for_child(told[0]);
    }
    over();
}

/* The program may have protected the page: the kernel writes to it in our name all the same. */
static int put(int memory, uint64_t to, const char *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes;) {
        ssize_t wrote = pwrite(memory, from + at, bytes - at, (off_t)(to + at));

        if (wrote < 0 && errno != EINTR) /* nothing is mapped there in the child: nothing is lost */
            return errno == EIO ? 0 : -errno;
        at += wrote > 0 ? (uint64_t)wrote : 0;
    }
    return 0;
}

static int bring(struct host_block *block, uint32_t index, int memory, struct host_staging *staging)
{
    struct host_unit *unit = &block->unit[index];
    int error = 0;

    for (uint32_t left = unit->away; left; left &= left - 1) {
        const struct host_span span = host_span(block, index, left & -left);
        int failure = host_piece_read(block, index, left & -left, staging);

        for (uint64_t at = 0; at < span.bytes && !failure; at += host_page_bytes())
            if (!host_discard_has(unit, span.start + at))
                failure = put(memory, span.start + at, staging->piece + at, host_page_bytes());
        if (failure < 0 && !error)
            error = failure;
    }
    return error;
}

/* Nobody serves these books any more. */
void host_fork_orphan(void)
{
    for (uint32_t i = 0; i < host_block_count; i++) {
        struct host_block *block = host_blocks.row[i];

        block->busy = 0;
        for (uint32_t index = 0; index < block->unit_count; index++) {
            struct host_unit *unit = &block->unit[index];

            unit->away = unit->fresh = unit->leaving = unit->returning = 0;
            unit->slot = SLOT_NONE;
        }
    }
    host_blocks.away_bytes = 0;
    host_blocks.late_children = late_count = 0;
    host_blocks.busy = 0;
    host_blocks.forking = false;
    lock_init(&host_blocks.lock, LOCK_HOST_BLOCKS);
    pthread_cond_init(&host_blocks.changed, NULL);
    host_fault_forked();
}

static int read_all_back(void)
{
    struct host_staging staging;
    int error = host_staging_init(&staging), memory;

    if (error)
        return error;
    disk_borrow(&core.disk, &loan);
    memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    for (uint32_t i = 0; i < host_block_count && !error; i++)
        for (uint32_t index = 0; index < host_blocks.row[i]->unit_count && !error; index++)
            error = bring(host_blocks.row[i], index, memory, &staging);
    if (memory >= 0)
        close(memory);
    host_staging_finish(&staging);
    return error;
}

void host_fork_child(void)
{
    int error = lent ? read_all_back() : 0;

    if (error)
        host_piece_lost(0, host_blocks.away_bytes, error);
    if (told[0] >= 0) {
        (void)!write(told[1], "", 1);
        close(told[0]);
        close(told[1]);
    }
    host_fork_orphan();
}

FORK_HANDLERS(.turn = FORK_HOST, .prepare = host_fork_prepare, .parent = host_fork_parent,
              .child = host_fork_child);

/* ---- children that the kernel tells of -------------------------------------------------------------------------- */

static void fill_grandchildren(int file, struct host_staging *staging);

static int fill_piece(const struct host_block *block, uint32_t index, uint32_t piece, int file,
                      struct host_staging *staging)
{
    const struct host_unit *unit = &block->unit[index];
    const char *from = staging->piece;
    int error = 0;

    if (unit->leaving & piece)
        from = unit->alias + host_span(block, index, piece).start % HOST_UNIT_BYTES;
    else
        error = host_piece_read(block, index, piece, staging);
    return error ? error : host_discard_fill(file, block, index, piece, from);
}

static int fill_all(int file, struct host_staging *staging)
{
    for (uint32_t i = 0; i < host_block_count; i++) {
        const struct host_block *block = host_blocks.row[i];

        for (uint32_t index = 0; index < block->unit_count; index++) {
            uint32_t left = block->unit[index].away | block->unit[index].leaving;

            for (; left; left &= left - 1) {
                int error;

                while ((error = fill_piece(block, index, left & -left, file, staging)) == -EAGAIN)
                    fill_grandchildren(file, staging);
                if (error < 0)
                    return error;
            }
        }
    }
    return 0;
}

/* It has forked before it had everything. */
static void fill_grandchildren(int file, struct host_staging *staging)
{
    struct uffd_msg message;

    while (read(file, &message, sizeof(message)) > 0)
        if (message.event == UFFD_EVENT_FORK)
            host_fork_fill((int)message.arg.fork.ufd, staging);
}

void host_fork_fill(int file, struct host_staging *staging)
{
    int error;

    filling++;
    error = fill_all(file, staging);
    if (error < 0 && error != -ESRCH) /* whoever comes upon such a page waits, as the file stays open */
        log_line(LOG_ERROR,
                 "registered memory of the parent cannot be read back in a forked child (error %d)", -error);
    else
        close(file);
    filling--;
}

bool host_fork_told(void)
{
    return host_fault_running() && host_fault_forks();
}

void host_fork_settle(void)
{
    while (filling)
        poll(NULL, 0, 1);
}
