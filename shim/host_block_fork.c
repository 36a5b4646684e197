/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_block_fork.c - what is away is there in a forked child too. See host_block.h.
 *
 * The child's mappings do not send their faults anywhere, and a page that is missing would read as zeros. So the child
 * reads what is away from the files, which it has open like us, before fork returns in it, and we keep the slots as
 * they are until it has: a byte comes through a pipe then, or its end when the child died first. It is not charged in
 * the child, where nothing can leave any more: that may allocate as we may.
 */
#include "host_block_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "log.h"
#include "state.h"

/* With host_blocks.lock, which is held from prepare to the end. */
static int told[2] = {-1, -1};
static struct disk_loan loan;

void host_block_fork_prepare(void)
{
    int pipe[2] = {-1, -1};

    if (host_block_any() && pipe2(pipe, O_CLOEXEC) < 0)
        log_line(LOG_WARN,
                 "no pipe to a forked child (error %d): registered memory that is away may be wrong in it",
                 errno);
    host_books_lock();
    host_blocks.forking = true;
    while (host_blocks.busy)
        pthread_cond_wait(&host_blocks.changed, &host_blocks.lock);
    told[0] = pipe[0];
    told[1] = pipe[1];
    if (host_blocks.away_bytes)
        disk_lend(&core.disk, &loan);
}

static void over(void)
{
    if (host_blocks.away_bytes)
        disk_loan_end(&loan);
    host_blocks.forking = false;
    pthread_cond_broadcast(&host_blocks.changed);
    pthread_mutex_unlock(&host_blocks.lock);
}

void host_block_fork_parent(void)
{
    char byte;

    if (told[0] >= 0) {
        close(told[1]);
        while (read(told[0], &byte, 1) < 0 && errno == EINTR)
            ;
        close(told[0]);
    }
    over();
}

/* The program may have protected the page: the kernel writes to it in our name all the same. */
static int put(int memory, uint64_t to, const char *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes;) {
        ssize_t wrote = pwrite(memory, from + at, bytes - at, (off_t)(to + at));

        if (wrote < 0 && errno != EINTR)
            return -errno;
        at += wrote > 0 ? (uint64_t)wrote : 0;
    }
    return 0;
}

static int bring(struct host_block *block, uint32_t index, int memory, struct host_staging *staging)
{
    struct host_unit *unit = &block->unit[index];
    int error = 0;

    for (uint32_t left = unit->away; left; left &= left - 1) {
        unsigned piece = (unsigned)__builtin_ctz(left);
        uint64_t start = host_unit_address(block, index) + piece * HOST_PIECE_BYTES;
        uint64_t bytes = host_clip(block, &start, HOST_PIECE_BYTES);
        int rc = host_piece_read(block, index, piece, staging);

        if (rc == 0)
            rc = put(memory, start, staging->piece, bytes);
        if (rc < 0 && !error)
            error = rc;
    }
    unit->away = unit->fresh = 0;
    unit->slot = SLOT_NONE;
    return error;
}

void host_block_fork_child(void)
{
    struct host_staging staging = {0};

    if (host_blocks.away_bytes)
        disk_borrow(&core.disk, &loan);
    int error = host_blocks.away_bytes ? host_staging_init(&staging) : 0;
    int memory = host_blocks.away_bytes && !error ? open("/proc/self/mem", O_RDWR | O_CLOEXEC) : -1;

    for (uint32_t i = 0; i < host_block_count; i++) {
        struct host_block *block = host_blocks.row[i];

        for (uint32_t index = 0; index < block->unit_count; index++) {
            int rc = bring(block, index, memory, &staging);

            if (rc < 0 && !error)
                error = rc;
        }
    }
    host_blocks.away_bytes = 0;
    if (memory >= 0)
        close(memory);
    if (staging.piece)
        host_staging_finish(&staging);
    if (error)
        log_line(LOG_ERROR,
                 "registered memory of the parent cannot be read back in a forked child (error %d)", -error);
    host_fault_forked();
    if (told[0] >= 0) {
        (void)!write(told[1], "", 1);
        close(told[0]);
        close(told[1]);
    }
    pthread_mutex_init(&host_blocks.lock, NULL);
    pthread_cond_init(&host_blocks.changed, NULL);
    host_blocks.forking = false;
}
