/* SPDX-License-Identifier: Apache-2.0 */
/* async_freed.c - memory that was freed in the order of a stream, until it is used or given back. See async.h. */
#include <utlist.h>

#include "base/table.h"
#include "cuda/async.h"
#include "cuda/async_state.h"
#include "engine/core.h"

enum {
    BUCKETS = 1024,
    LOOKED_AT = 64, /* in a bucket, so that the lock is never held for long */
    ASKED = 4       /* orders, by one allocation */
};

static struct async_freed *buckets[BUCKETS];

atomic_uint async_freed_count;
static atomic_uint without_pool;

bool async_freed_without_pool(void)
{
    return atomic_load_explicit(&without_pool, memory_order_relaxed) != 0;
}

/* By the pool and the size: only the whole of a block is ever reused. */
static struct async_freed **bucket_of(const struct async_pool *pool, uint64_t bytes)
{
    return &buckets[table_hash(real_key(pool) + bytes) % BUCKETS];
}

void async_freed_add(struct async_freed *freed)
{
    struct async_freed **bucket = bucket_of(freed->pool, freed->bytes);

    DL_PREPEND(*bucket, freed);
    DL_APPEND2(freed->order->freed, freed, older, newer);
    atomic_fetch_add_explicit(&async_freed_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&without_pool, !freed->pool, memory_order_relaxed);
}

void async_freed_remove(struct async_freed *freed)
{
    struct async_freed **bucket = bucket_of(freed->pool, freed->bytes);

    DL_DELETE(*bucket, freed);
    DL_DELETE2(freed->order->freed, freed, older, newer);
    atomic_fetch_sub_explicit(&async_freed_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&without_pool, !freed->pool, memory_order_relaxed);
    async_order_give(freed);
}

static void unclaim(struct async_freed *freed)
{
    lock_acquire(&async_lock);
    freed->is_claimed = false;
    lock_release(&async_lock);
}

/* ---- reuse ------------------------------------------------------------------------------------------------------ */

static bool fits(const struct async_freed *freed, const struct async_wanted *wanted)
{
    return freed->pool == wanted->pool && freed->bytes == wanted->bytes && !freed->is_claimed &&
           !freed->is_spoiled;
}

/* Claim what was freed in the same order, the latest first. NULL: nothing. */
static struct async_freed *claim_same(const struct async_wanted *wanted)
{
    struct async_freed *freed;
    unsigned looked_at = 0;

    lock_acquire(&async_lock);
    DL_FOREACH(*bucket_of(wanted->pool, wanted->bytes), freed) {
        if (fits(freed, wanted) && freed->order == wanted->order)
            break;
        if (++looked_at == LOOKED_AT) {
            freed = NULL;
            break;
        }
    }
    if (freed)
        freed->is_claimed = true;
    lock_release(&async_lock);
    return freed;
}

/* Claim the oldest that the order comes behind; `waited`: by which the host has come behind it. */
static struct async_freed *claim_behind(const struct async_wanted *wanted, bool *out_waited)
{
    struct async_freed *head, *freed;
    struct async_past past = {0};
    unsigned looked_at = 0;

    lock_acquire(&async_lock);
    if (wanted->pool->reuse[REUSE_FOLLOW])
        async_follow_past(wanted->order, async_time(), &past);
    head = *bucket_of(wanted->pool, wanted->bytes);
    for (freed = head ? head->prev : NULL; freed; freed = freed == head ? NULL : freed->prev) {
        *out_waited = freed->time <= freed->order->waited;
        if (fits(freed, wanted) && freed->order != wanted->order &&
            (*out_waited || async_follow_has(&past, freed)))
            break;
        if (++looked_at == LOOKED_AT) {
            freed = NULL;
            break;
        }
    }
    if (freed)
        freed->is_claimed = true;
    lock_release(&async_lock);
    return freed;
}

/* Claim the oldest of each of some other orders. */
static unsigned claim_others(const struct async_wanted *wanted, struct async_freed **out)
{
    struct async_freed *head, *freed;
    unsigned looked_at = 0, count = 0;

    lock_acquire(&async_lock);
    head = *bucket_of(wanted->pool, wanted->bytes);
    for (freed = head ? head->prev : NULL; freed && count < ASKED && looked_at++ < LOOKED_AT;
         freed = freed == head ? NULL : freed->prev) {
        bool is_new = fits(freed, wanted) && freed->order != wanted->order;

        for (unsigned i = 0; i < count; i++)
            is_new = is_new && out[i]->order != freed->order;
        if (!is_new)
            continue;
        freed->is_claimed = true;
        out[count++] = freed;
    }
    lock_release(&async_lock);
    return count;
}

/* Make a block of what was claimed. False: it cannot be one, and waits to be given back. */
static bool take(struct async_freed *freed, const struct async_wanted *wanted, CUdeviceptr *out)
{
    CUdeviceptr address = freed->address;
    bool taken = core_take_ordered(address, freed->id, &wanted->memory) == 0;

    lock_acquire(&async_lock);
    freed->is_claimed = false;
    freed->is_spoiled = !taken;
    if (taken) {
        async_pool_count(freed->pool, (int64_t)freed->bytes, 0);
        async_freed_remove(freed);
    }
    lock_release(&async_lock);
    if (taken)
        *out = address;
    return taken;
}

static bool has_passed(const struct async_freed *freed, IGNORED const struct async_wanted *wanted)
{
    return async_order_passed(freed);
}

static bool wait_for(const struct async_freed *freed, const struct async_wanted *wanted)
{
    CUstreamCaptureMode mode = quiet_begin();
    CUresult result = real.cuStreamWaitEvent(wanted->stream, freed->event, 0);

    quiet_end(mode);
    return result == CUDA_SUCCESS;
}

/* The stream waits for the free. What tells no more than that a whole stream has ended is not waited for: it may have been
 * given work since that waits for us. */
static bool depends(const struct async_freed *freed, const struct async_wanted *wanted)
{
    if (!freed->is_marked || !real.cuStreamWaitEvent || async_order_passed(freed))
        return freed->is_marked && async_order_passed(freed);
    return wait_for(freed, wanted);
}

/* What the stream comes behind, or the host. In words of the driver's a dependency that is there costs nothing, and what we have seen
 * of the program's may not be all. */
static bool take_behind(const struct async_wanted *wanted, CUdeviceptr *out)
{
    struct async_freed *freed;
    bool waited;

    while ((freed = claim_behind(wanted, &waited))) {
        if (!waited && freed->is_marked && !wait_for(freed, wanted)) {
            unclaim(freed);
            return false;
        }
        if (take(freed, wanted, out))
            return true;
    }
    return false;
}

/* Take the first of what others have freed that may be used. */
static bool take_other(const struct async_wanted *wanted,
                       bool (*may_use)(const struct async_freed *freed, const struct async_wanted *wanted),
                       CUdeviceptr *out)
{
    struct async_freed *claimed[ASKED];
    unsigned count = claim_others(wanted, claimed);
    bool taken = false;

    for (unsigned i = 0; i < count; i++)
        if (!taken && may_use(claimed[i], wanted))
            taken = take(claimed[i], wanted, out);
        else
            unclaim(claimed[i]);
    return taken;
}

bool async_freed_reuse(const struct async_wanted *wanted, CUdeviceptr *out)
{
    struct async_freed *freed;

    if (!atomic_load_explicit(&async_freed_count, memory_order_relaxed))
        return false;
    while ((freed = claim_same(wanted)))
        if (take(freed, wanted, out))
            return true;
    return take_behind(wanted, out) ||
           (wanted->pool->reuse[REUSE_COMPLETED] && take_other(wanted, has_passed, out));
}

bool async_freed_depend(const struct async_wanted *wanted, CUdeviceptr *out)
{
    return atomic_load_explicit(&async_freed_count, memory_order_relaxed) &&
           wanted->pool->reuse[REUSE_DEPEND] && take_other(wanted, depends, out);
}

/* ---- given back ------------------------------------------------------------------------------------------------- */

/* Claim the oldest of an order, or NULL. */
static struct async_freed *claim_oldest(uint64_t order_id, async_freed_is_fn may_go, const void *arg)
{
    struct async_order *order;
    struct async_freed *freed = NULL;

    lock_acquire(&async_lock);
    order = async_order_after(order_id - 1);
    if (order && order->id == order_id)
        DL_FOREACH2(order->freed, freed, newer)
        {
            if (!freed->is_claimed && may_go(freed, arg))
                break;
        }
    if (freed)
        freed->is_claimed = true;
    lock_release(&async_lock);
    return freed;
}

/* Out of the lists, as it was. What the pool held of it, it holds no more. */
static struct async_freed end(struct async_freed *freed)
{
    const struct async_freed was = *freed;

    lock_acquire(&async_lock);
    async_pool_count(freed->pool, 0, -(int64_t)freed->bytes);
    async_freed_remove(freed);
    lock_release(&async_lock);
    return was;
}

static uint64_t next_order(uint64_t id)
{
    const struct async_order *order;

    lock_acquire(&async_lock);
    order = async_order_after(id);
    id = order ? order->id : 0;
    lock_release(&async_lock);
    return id;
}

uint64_t async_freed_give(async_freed_is_fn may_go, const void *arg, uint64_t bytes)
{
    uint64_t given_bytes = 0, id = 0;

    if (!atomic_load_explicit(&async_freed_count, memory_order_relaxed))
        return 0;
    while (given_bytes < bytes && (id = next_order(id))) {
        struct async_freed *freed;

        while (given_bytes < bytes && (freed = claim_oldest(id, may_go, arg))) {
            if (!async_order_passed(freed)) {
                unclaim(freed);
                break;
            }
            const struct async_freed was = end(freed);

            given_bytes += core_give_ordered(was.address, was.id);
        }
    }
    return given_bytes;
}

void async_freed_defer(async_freed_is_fn may_go, const void *arg)
{
    struct async_freed *freed;

    for (uint64_t id = 0; (id = next_order(id));)
        while ((freed = claim_oldest(id, may_go, arg))) {
            const struct async_freed was = end(freed);

            core_defer_ordered(was.address, was.id);
        }
}
