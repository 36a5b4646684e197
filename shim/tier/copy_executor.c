/* SPDX-License-Identifier: Apache-2.0 */
/* copy_executor.c - copies by the device. See executor.h. */
#include "tier/executor.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <utlist.h>

/* How far a transfer is, in its pieces_left. */
enum {
    ENDED,
    WAITED_FOR, /* a synchronisation that covers it is going on */
    STARTED
};

/* Those that go the same way as a transfer, of its device. */
static struct transfer **started(struct copy_executor *executor, const struct transfer *transfer)
{
    return &executor->started[transfer->ordinal][transfer->to == TIER_DEVICE];
}

static int submit(struct executor *self, struct transfer *transfer)
{
    struct copy_executor *executor = (struct copy_executor *)self;
    struct device *device = executor->device;
    if (transfer->ordinal >= DEVICE_MAX || transfer->bytes == 0 || !transfer->host ||
        transfer->bytes > transfer->host->bytes)
        return -EINVAL;
    uint64_t alias = transfer->host->alias;
    uint64_t to = transfer->to == TIER_HOST ? alias : transfer->device_address;
    uint64_t from = transfer->from == TIER_HOST ? alias : transfer->device_address;
    int error = device->copy(device, transfer->ordinal, to, from, transfer->bytes);
    if (error != 0)
        return error;
    transfer->result = 0;
    transfer->pieces_left = STARTED;
    atomic_fetch_add_explicit(&executor->row.busy, 1, memory_order_relaxed);
    lock_acquire(&executor->lock);
    LL_PREPEND(*started(executor, transfer), transfer);
    lock_release(&executor->lock);
    return 0;
}

/* Wait for everything that was started on its device and goes its way. Wants the lock, and lets go of it meanwhile. */
static void batch_wait(struct copy_executor *executor, const struct transfer *first)
{
    unsigned ordinal = first->ordinal, way = first->to == TIER_DEVICE ? WAY_IN : WAY_OUT;
    struct transfer *batch = *started(executor, first), *transfer, *next;

    *started(executor, first) = NULL;
    LL_FOREACH(batch, transfer)
        transfer->pieces_left = WAITED_FOR;
    lock_release(&executor->lock);
    int error = executor->device->copied(executor->device, ordinal, way);
    lock_acquire(&executor->lock);
    LL_FOREACH_SAFE(batch, transfer, next) {
        transfer->result = error;
        transfer->pieces_left = ENDED;
        atomic_fetch_sub_explicit(&executor->row.busy, 1, memory_order_relaxed);
    }
    pthread_cond_broadcast(&executor->ended);
}

static int wait_for(struct executor *self, struct transfer *transfer)
{
    struct copy_executor *executor = (struct copy_executor *)self;
    lock_acquire(&executor->lock);
    if (transfer->pieces_left == STARTED)
        batch_wait(executor, transfer);
    while (transfer->pieces_left != ENDED)
        lock_wait(&executor->ended, &executor->lock);
    int result = transfer->result;
    lock_release(&executor->lock);
    return result;
}

void copy_executor_init(struct copy_executor *executor, struct device *device)
{
    memset(executor, 0, sizeof(*executor));
    executor->row = (struct executor){.ends = {TIER_DEVICE, TIER_HOST}, .submit = submit, .wait = wait_for};
    executor->device = device;
    lock_init(&executor->lock, LOCK_COPY_EXECUTOR);
    pthread_cond_init(&executor->ended, NULL);
}

void copy_executor_finish(struct copy_executor *executor)
{
    for (unsigned i = 0; i < DEVICE_MAX; i++)
        assert(!executor->started[i][0] && !executor->started[i][1]);
    pthread_cond_destroy(&executor->ended);
    lock_destroy(&executor->lock);
}
