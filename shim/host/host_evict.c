/* SPDX-License-Identifier: Apache-2.0 */
/* host_evict.c - the thread that sends host blocks to disk, for who asks. See host_state.h. */
#include "host/host_state.h"

#include <utlist.h>

#include "ledger/headroom.h"
#include "ledger/shrink.h"
#include "ledger/state.h"

/* What is kept free of the host budget, so that a fault rarely waits for a write. */
#define RESERVE_MOST_BYTES ((uint64_t)8 << 20)

/* Somebody waits for bytes to leave. On its stack, in the queue until it is served. */
struct request {
    uint64_t base, bytes, done;
    bool served;
    struct request *next;
};

static struct {
    pthread_cond_t wanted; /* with host_blocks.lock */
    struct request *first;
    bool reserve_short;
} evictor = {.wanted = PTHREAD_COND_INITIALIZER};

/* ---- the thread ------------------------------------------------------------------------------------------- */

/* What must leave so that `keep_bytes` of the budget are free. */
static uint64_t lacks(uint64_t keep_bytes)
{
    uint64_t limit, used;

    lock_acquire(&core.lock);
    limit = core.host_budget.limit_bytes;
    used = core.host_budget.used_bytes;
    lock_release(&core.lock);
    if (limit == BUDGET_NO_LIMIT || used + keep_bytes <= limit)
        return 0;
    return used + keep_bytes - limit;
}

/* What the reserve is, or half of it when the thread need not be woken for less, lacks. */
static uint64_t reserve_lacks(bool half)
{
    uint64_t limit = core.host_budget.limit_bytes, keep;

    keep = limit / 16 < RESERVE_MOST_BYTES ? limit / 16 : RESERVE_MOST_BYTES;
    return lacks((half ? keep / 2 : keep) + headroom_host_staging());
}

static uint64_t evict_some(uint64_t base, uint64_t bytes)
{
    if (host_blocks.late_children && host_fork_late())
        host_slot_give_kept();
    return bytes && headroom_disk_open() ? host_leave(base, bytes) : 0;
}

/* One flight for the request that waits longest, which then queues again behind the others. */
static void serve(struct request *request)
{
    uint64_t base = request->base, bytes = request->bytes - request->done, gone;

    LL_DELETE(evictor.first, request);
    lock_release(&host_blocks.lock);
    gone = evict_some(base, bytes);
    lock_acquire(&host_blocks.lock);
    request->done += gone;
    if (!gone || request->done >= request->bytes) {
        request->served = true;
        pthread_cond_broadcast(&host_blocks.changed);
        return;
    }
    LL_APPEND(evictor.first, request);
}

void *host_evict_run(void *unused)
{
    uint64_t gone;

    host_fault_enter();
    lock_acquire(&host_blocks.lock);
    for (;;) {
        if (host_blocks.forking && !host_blocks.busy) {
            lock_wait(&host_blocks.changed, &host_blocks.lock);
            continue;
        }
        if (!evictor.first && !evictor.reserve_short) {
            lock_wait(&evictor.wanted, &host_blocks.lock);
            continue;
        }
        if (evictor.first) {
            serve(evictor.first);
            continue;
        }
        evictor.reserve_short = false;
        lock_release(&host_blocks.lock);
        gone = evict_some(0, reserve_lacks(false));
        shrink_keep_little(headroom_host()); /* what comes back is not charged by an allocation */
        lock_acquire(&host_blocks.lock);
        evictor.reserve_short |= gone != 0; /* a flight may not have been enough */
    }
    return unused;
}

/* Have it make room again, if there is little, and do not wait. Lock not held. */
static void wake(void)
{
    if (!host_fault_running() || !reserve_lacks(true))
        return;
    lock_acquire(&host_blocks.lock);
    evictor.reserve_short = true;
    pthread_cond_signal(&evictor.wanted);
    lock_release(&host_blocks.lock);
}

uint64_t host_evict_ask(uint64_t base, uint64_t bytes)
{
    struct request request = {.base = base, .bytes = bytes}, *asked = &request;

    if (!bytes || !host_fault_running() || host_fault_is_evictor())
        return 0;
    lock_acquire(&host_blocks.lock);
    LL_APPEND(evictor.first, asked);
    pthread_cond_signal(&evictor.wanted);
    while (!request.served)
        lock_wait(&host_blocks.changed, &host_blocks.lock);
    lock_release(&host_blocks.lock);
    return request.done;
}

void host_evict_make_room(const struct host_block *block, uint64_t bytes, uint64_t over_bytes)
{
    enum {
        TRIES = 4 /* others may take the room that was made for us */
    };
    enum host_class class = host_block_class(block);

    host_evict_ask(0, over_bytes);
    for (unsigned tries = 0; host_share_try(class, bytes) < 0; tries++) {
        uint64_t room = headroom_host(), wanted = bytes + headroom_host_staging();

        if (tries == TRIES || !host_evict_ask(0, wanted > room ? wanted - room : bytes)) {
            host_share_force(class, bytes);
            break;
        }
    }
    wake();
}

void host_evict_excess(void)
{
    host_evict_ask(0, lacks(0));
    wake();
}

size_t host_block_demote(size_t bytes)
{
    return host_block_any() ? host_evict_ask(0, bytes) : 0;
}
