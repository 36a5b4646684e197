/* SPDX-License-Identifier: Apache-2.0 */
/* heap.c - see heap.h. */
#include "heap/heap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <utlist.h>

#include "base/cancel_guard.h"
#include "base/lock.h"
#include "engine/core.h"
#include "heap/heap_state.h"
#include "ledger/shrink.h"

/* A thread's unused credit, and what is not worth giving back. */
#define CREDIT_MOST_BYTES  ((int64_t)1 << 20)
#define CREDIT_EARLY_BYTES ((int64_t)64 << 10)
#define CREDIT_LEAST_BYTES ((int64_t)16 << 10)
/* Credit that all threads together may hold unused: a fraction of the limit, and of the room that is left. */
#define CREDIT_SHARE_OF_LIMIT 512
#define CREDIT_SHARE          4
/* The same where credit cannot be recalled: 99.9 % of a budget are to be used when the first request is refused. */
#define CREDIT_LOST_SHARE_OF_LIMIT 4096
/* Free memory may be so much of the limit over what the budget has left: to give all back at each step costs more. */
#define SLACK_SHARE_OF_LIMIT 32

static struct {
    _Atomic uint32_t threads;
    uint64_t credits_bytes;        /**< what all threads together may hold unused */
    uint64_t slack_bytes;          /**< free memory of the allocator that no room is kept for */
    _Alignas(64) struct lock lock; /**< of the list and of what ended threads left */
    struct heap_account *accounts;
    _Atomic int64_t ended; /**< sum of the nets of threads that have ended */
    struct lock recall;    /**< one at a time; before `lock` */
    bool recalls;          /**< the kernel can, or there is no limit */
} heap = {.lock = LOCK_INIT(LOCK_HEAP), .recall = LOCK_INIT(LOCK_HEAP_RECALL), .credits_bytes = UINT64_MAX};

void (*heap_trim)(uint64_t room_bytes);

/* ---- credit ---------------------------------------------------------------------------------------------- */

/* The unused credit that a thread should hold now. */
static int64_t credit_now(void)
{
    uint64_t room = heap_pool_room();
    uint32_t threads = atomic_load_explicit(&heap.threads, memory_order_relaxed);
    int64_t pool = heap_pool_bytes();

    room = room > INT64_MAX / 2 ? INT64_MAX / 2 : room;
    room += pool > 0 ? (uint64_t)pool : 0;
    room /= CREDIT_SHARE;
    room = (room < heap.credits_bytes ? room : heap.credits_bytes) / (threads ? threads : 1);
    return room < (uint64_t)CREDIT_MOST_BYTES ? (int64_t)room : CREDIT_MOST_BYTES;
}

/* Has the pool `bytes` now, with what all threads held unused? */
static bool recall(int64_t bytes)
{
    int64_t sum;

    if (!heap.recalls)
        return false;
    lock_acquire(&heap.recall);
    lock_acquire(&heap.lock);
    sum = heap_pool_bytes();
    if (sum < bytes) {
        if (sum + heap_recallable(heap.accounts) >= bytes)
            heap_pool_put(heap_recall(heap.accounts));
        sum = heap_pool_bytes();
    }
    lock_release(&heap.lock);
    lock_release(&heap.recall);
    return sum >= bytes;
}

void heap_enter_later(struct heap_account *account)
{
    do {
        __atomic_store_n(&account->inside, 0, __ATOMIC_RELEASE);
        lock_acquire(&heap.recall);
        lock_release(&heap.recall);
        __atomic_store_n(&account->inside, 1, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (__atomic_load_n(&heap_recalls, __ATOMIC_ACQUIRE));
}

static void trim(uint64_t room_bytes, uint64_t slack_bytes)
{
    if (heap_trim && room_bytes != UINT64_MAX)
        heap_trim(room_bytes + slack_bytes);
}

/* Out of the pool, which grows if it can: at least `bytes`, or 0. */
static int64_t draw(int64_t bytes)
{
    int64_t got;

    while (!(got = heap_pool_take(bytes, bytes + credit_now()))) {
        int64_t has = heap_pool_bytes();

        if (!heap_pool_grow((uint64_t)(bytes - (has < bytes ? has : 0))))
            break;
        /* Bytes that were just charged are taken out of what lies free, more often than not. */
        trim(heap_pool_room(), (uint64_t)bytes > heap.slack_bytes ? (uint64_t)bytes : heap.slack_bytes);
    }
    return got;
}

/* Until its thread has drawn something, its unused credit is for all. */
static int64_t wait_without_credit(struct heap_account *account)
{
    int64_t spare = (int64_t)(account->limit - account->counters->allocated);

    heap_grant(account, -spare);
    __atomic_store_n(&account->waits, true, __ATOMIC_RELEASE);
    heap_pool_put(spare);
    return spare;
}

/* `bytes` more than what is granted. */
static bool reserve(struct heap_account *account, int64_t bytes)
{
    unsigned asked = 0;
    int64_t got;

    if (!heap_pool_is_open()) {
        heap_pool_put(-(bytes + CREDIT_EARLY_BYTES));
        heap_grant(account, bytes + CREDIT_EARLY_BYTES);
        return true;
    }
    got = draw(bytes);
    if (!got) {
        bytes += wait_without_credit(account);
        while (!(got = draw(bytes))) {
            if (recall(bytes) || heap_room_make((uint64_t)bytes, asked++))
                continue;
            if (heap_room_pass((uint64_t)bytes)) {
                heap_pool_charged_add(bytes);
                got = bytes;
            }
            break;
        }
        __atomic_store_n(&account->waits, false, __ATOMIC_RELEASE);
    }
    heap_grant(account, got);
    return got;
}

/* Credit that is left after frees have made room may be little, and would bring the thread here again and again. */
static void top_up(struct heap_account *account, int64_t unused)
{
    int64_t credit = credit_now(), got;

    if (unused >= credit / 2)
        return;
    if (heap_pool_is_open()) {
        got = heap_pool_take(1, credit - unused);
        if (!got && heap_pool_has_ample_room() && heap_pool_grow(0))
            got = heap_pool_take(1, credit - unused);
    } else {
        got = credit - unused;
        heap_pool_put(-got);
    }
    heap_grant(account, got);
}

bool heap_take_more(struct heap_account *account, uint64_t bytes)
{
    struct cancel_guard guard;
    int64_t short_by;
    bool is_there;

    if (bytes > INT64_MAX / 4)
        return true; /* the allocator has its own word for it */
    heap_grant(account, 0);
    short_by = (int64_t)(account->counters->allocated + bytes - account->limit);
    if (short_by <= 0) {
        top_up(account, -short_by);
        return true;
    }
    cancel_guard_enter(&guard);
    is_there = reserve(account, short_by);
    if (!is_there)
        core_host_refused(bytes, "allocation");
    cancel_guard_leave(&guard);
    return is_there;
}

void heap_settle(struct heap_account *account)
{
    int64_t spare, credit;

    heap_grant(account, 0);
    spare = (int64_t)(account->limit - account->counters->allocated);
    /* Kept objects are in memory and mostly wanted again: their credit stays with them, where it can be recalled. */
    if (heap.recalls)
        spare -= account->kept;
    if (spare > CREDIT_LEAST_BYTES) {
        credit = credit_now();
        account->spare_most =
            heap.recalls || !heap_pool_is_open() ? (uint64_t)(2 * credit + CREDIT_LEAST_BYTES) : 0;
        if (spare > 2 * credit + CREDIT_LEAST_BYTES) {
            heap_grant(account, credit - spare);
            heap_pool_give(spare - credit);
        }
    }
    heap_rearm(account);
}

void heap_forgo_some(struct heap_account *account, uint64_t bytes)
{
    heap_pool_charged_add(-(int64_t)bytes);
    heap_grant(account, -(int64_t)bytes);
}

void heap_rest(struct heap_account *account)
{
    struct heap_counters *counters = account->counters;
    int64_t spare = account->granted - heap_net(account), held;

    /* Nothing is left to recall, so a recall that has the lock does not wait for us. */
    heap_grant(account, -spare);
    __atomic_store_n(&account->waits, true, __ATOMIC_RELEASE);
    lock_acquire(&heap.lock);
    held = (int64_t)(counters->allocated - counters->freed);
    atomic_fetch_add_explicit(&heap.ended, held, memory_order_relaxed);
    __atomic_store_n(&counters->allocated, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&counters->freed, 0, __ATOMIC_RELAXED);
    heap_grant(account, -held);
    lock_release(&heap.lock);
    __atomic_store_n(&account->waits, false, __ATOMIC_RELEASE);
    heap_pool_give(spare);
    atomic_fetch_sub_explicit(&heap.threads, 1, memory_order_relaxed);
}

void heap_resume(void)
{
    atomic_fetch_add_explicit(&heap.threads, 1, memory_order_relaxed);
}

/* ---- threads --------------------------------------------------------------------------------------------- */

void heap_join(struct heap_account *account, struct heap_counters *counters)
{
    account->counters = counters;
    account->set = account->theirs = counters->slow_at;
    heap_grant(account, 0);
    lock_acquire(&heap.lock);
    DL_PREPEND2(heap.accounts, account, previous, next);
    lock_release(&heap.lock);
    atomic_fetch_add_explicit(&heap.threads, 1, memory_order_relaxed);
}

/* The account's net becomes that of an ended thread, and its unused credit the pool's. */
static void fold(struct heap_account *account)
{
    int64_t net = heap_net(account);

    atomic_fetch_add_explicit(&heap.ended, net, memory_order_relaxed);
    heap_pool_give(account->granted - net);
}

void heap_leave(struct heap_account *account)
{
    lock_acquire(&heap.lock);
    DL_DELETE2(heap.accounts, account, previous, next);
    atomic_fetch_add_explicit(&heap.ended, heap_net(account), memory_order_relaxed);
    lock_release(&heap.lock);
    atomic_fetch_sub_explicit(&heap.threads, 1, memory_order_relaxed);
    heap_pool_give(account->granted - heap_net(account));
}

uint64_t heap_bytes(void)
{
    const struct heap_account *account;
    int64_t sum;

    lock_acquire(&heap.lock);
    sum = atomic_load_explicit(&heap.ended, memory_order_relaxed);
    DL_FOREACH(heap.accounts, account)
        sum += heap_net(account);
    lock_release(&heap.lock);
    return sum > 0 ? (uint64_t)sum : 0;
}

/* ---- what others ask of it (ledger/shrink.h) -------------------------------------------------------------- */

/* Bytes that are held already are charged, even if the budget has less. */
static void open_to(uint64_t limit_bytes)
{
    heap.recalls = limit_bytes == UINT64_MAX || heap_recall_start();
    if (limit_bytes != UINT64_MAX)
        heap.credits_bytes =
            limit_bytes / (heap.recalls ? CREDIT_SHARE_OF_LIMIT : CREDIT_LOST_SHARE_OF_LIMIT);
    heap.slack_bytes = limit_bytes / SLACK_SHARE_OF_LIMIT;
    heap_pool_open(limit_bytes);
}

static bool give_back(void)
{
    if (!heap_pool_is_open())
        return false;
    recall(heap_pool_bytes() + CREDIT_LEAST_BYTES);
    return heap_pool_shrink(INT64_MAX);
}

static void keep_little(uint64_t room_bytes)
{
    trim(room_bytes, heap.slack_bytes);
}

static uint64_t unused(void)
{
    int64_t bytes = heap_pool_charged() - (int64_t)heap_bytes();

    return bytes > 0 ? (uint64_t)bytes : 0;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

void heap_start(const struct options *options)
{
    static const struct shrinker heap_shrinker = {open_to, give_back, keep_little, unused};

    shrinker = &heap_shrinker;
    core_host_start(options);
}

void heap_fork_begin(void)
{
    lock_acquire(&heap.recall);
    lock_acquire(&heap.lock);
}

void heap_fork_parent(void)
{
    lock_release(&heap.lock);
    lock_release(&heap.recall);
}

void heap_fork_child(struct heap_account *mine)
{
    struct heap_account *all = heap.accounts, *account, *next;

    /* Bytes of the other threads are held by nobody that could free its thread's credit: it is as if they had ended. */
    heap.accounts = NULL;
    atomic_store_explicit(&heap.threads, 0, memory_order_relaxed);
    lock_init(&heap.lock, LOCK_HEAP);
    lock_init(&heap.recall, LOCK_HEAP_RECALL);
    DL_FOREACH_SAFE(all, account, next)
        if (account != mine)
            fold(account);
    if (mine) {
        DL_PREPEND2(heap.accounts, mine, previous, next);
        atomic_store_explicit(&heap.threads, 1, memory_order_relaxed);
    }
}
