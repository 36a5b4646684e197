/* SPDX-License-Identifier: Apache-2.0 */
/* disk_executor.c - threads that write and read. See executor.h. */
#include "tier/executor.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/private_fds.h"
#include "tier/disk_state.h"

static unsigned pieces_of(const struct transfer *transfer)
{
    return (unsigned)((transfer->bytes + DISK_PIECE_BYTES - 1) / DISK_PIECE_BYTES);
}

static int piece_carry(struct disk *disk, const struct transfer *transfer, unsigned piece,
                       struct disk_bounce *bounce)
{
    uint64_t at = piece * DISK_PIECE_BYTES;
    uint64_t bytes = transfer->bytes - at < DISK_PIECE_BYTES ? transfer->bytes - at : DISK_PIECE_BYTES;
    char *memory = (char *)transfer->host->cpu + at;
    if (transfer->to == TIER_DISK)
        return disk_write(disk, transfer->slot + at, memory, bytes, bounce);
    return disk_read(disk, transfer->slot + at, memory, bytes, bounce);
}

/* A piece has ended, or will never begin. Wants the lock. Once no piece is left the transfer is its owner's again. */
static void piece_end(struct disk_executor *executor, struct transfer *transfer, int error)
{
    if (error != 0 && transfer->result == 0)
        transfer->result = error;
    if (--transfer->pieces_left > 0)
        return;
    atomic_fetch_sub_explicit(&executor->row.busy, 1, memory_order_relaxed);
    pthread_cond_broadcast(&executor->ended);
}

/* The next piece of the queue, which is not empty. Wants the lock. */
static struct transfer *piece_begin(struct disk_executor *executor, unsigned *out_piece)
{
    struct transfer *transfer = executor->first;
    *out_piece = executor->begun++;
    if (executor->begun == pieces_of(transfer)) {
        DL_DELETE(executor->first, transfer);
        executor->begun = 0;
    }
    return transfer;
}

static void *work(void *arg)
{
    struct disk_executor *executor = arg;
    struct disk_bounce bounce = {0};
    private_fds_enter();
    lock_acquire(&executor->lock);
    for (;;) {
        while (!executor->first && !executor->stopping)
            lock_wait(&executor->work, &executor->lock);
        if (!executor->first)
            break;
        unsigned piece;
        struct transfer *transfer = piece_begin(executor, &piece);
        int error = transfer->result;
        if (error == 0) {
            lock_release(&executor->lock);
            error = piece_carry(executor->disk, transfer, piece, &bounce);
            lock_acquire(&executor->lock);
        }
        piece_end(executor, transfer, error);
    }
    lock_release(&executor->lock);
    disk_bounce_finish(&bounce);
    return NULL;
}

/* Nobody will carry what is queued. Wants the lock. */
static void queue_fail(struct disk_executor *executor, int error)
{
    while (executor->first) {
        unsigned piece;
        piece_end(executor, piece_begin(executor, &piece), error);
    }
}

/* Without the lock, since a new thread allocates, and that may end up here again. */
static void threads_start(struct disk_executor *executor)
{
    unsigned count = 0;
    int error = 0;

    executor->worker = (struct thread){.name = "ebbtide-disk",
                                       .run = work,
                                       .arg = executor,
                                       .stack_bytes = THREAD_SMALL_BYTES,
                                       .create = private_fds_thread};
    while (count < executor->wanted &&
           (error = thread_start(&executor->worker, &executor->thread[count])) == 0)
        count++;
    lock_acquire(&executor->lock);
    executor->thread_count = count;
    if (count == 0) {
        executor->started = false;
        queue_fail(executor, error);
    }
    lock_release(&executor->lock);
    if (count < executor->wanted)
        log_line(LOG_WARN, "only %u of %u threads for the disk could be made (errno %d)", count,
                 executor->wanted, -error);
}

static bool is_sound(const struct transfer *transfer)
{
    return transfer->bytes > 0 && transfer->bytes % DISK_ALIGN_BYTES == 0 &&
           transfer->slot % DISK_ALIGN_BYTES == 0 && transfer->host && transfer->host->cpu &&
           transfer->bytes <= transfer->host->bytes;
}

static int submit(struct executor *self, struct transfer *transfer)
{
    struct disk_executor *executor = (struct disk_executor *)self;
    if (!is_sound(transfer))
        return -EINVAL;
    transfer->result = 0;
    transfer->pieces_left = pieces_of(transfer);
    atomic_fetch_add_explicit(&executor->row.busy, 1, memory_order_relaxed);
    lock_acquire(&executor->lock);
    DL_APPEND(executor->first, transfer);
    bool start = !executor->started;
    executor->started = true;
    pthread_cond_broadcast(&executor->work);
    lock_release(&executor->lock);
    /* Without any thread the transfer ends with the reason, and the caller learns it from wait. */
    if (start)
        threads_start(executor);
    return 0;
}

static int wait_for(struct executor *self, struct transfer *transfer)
{
    struct disk_executor *executor = (struct disk_executor *)self;
    lock_acquire(&executor->lock);
    while (transfer->pieces_left > 0)
        lock_wait(&executor->ended, &executor->lock);
    int result = transfer->result;
    lock_release(&executor->lock);
    return result;
}

void disk_executor_init(struct disk_executor *executor, struct disk *disk, unsigned threads)
{
    assert(threads >= 1 && threads <= DISK_THREADS_MAX);
    memset(executor, 0, sizeof(*executor));
    executor->row = (struct executor){.ends = {TIER_HOST, TIER_DISK}, .submit = submit, .wait = wait_for};
    executor->disk = disk;
    executor->wanted = threads;
    lock_init(&executor->lock, LOCK_DISK_EXECUTOR);
    pthread_cond_init(&executor->work, NULL);
    pthread_cond_init(&executor->ended, NULL);
}

void disk_executor_finish(struct disk_executor *executor)
{
    lock_acquire(&executor->lock);
    executor->stopping = true;
    pthread_cond_broadcast(&executor->work);
    lock_release(&executor->lock);
    for (unsigned i = 0; i < executor->thread_count; i++)
        pthread_join(executor->thread[i], NULL);
    pthread_cond_destroy(&executor->ended);
    pthread_cond_destroy(&executor->work);
    lock_destroy(&executor->lock);
}
