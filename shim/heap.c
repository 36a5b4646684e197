/* SPDX-License-Identifier: Apache-2.0 */
/* heap.c - see heap.h. */
#include "heap.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core.h"
#include "heap_recall.h"
#include "options.h"

/* A thread's unused credit, and what is not worth giving back. */
#define CREDIT_MOST_BYTES  ((int64_t)1 << 20)
#define CREDIT_EARLY_BYTES ((int64_t)64 << 10)
#define CREDIT_LEAST_BYTES ((int64_t)16 << 10)
/* What all threads together may hold unused: a fraction of the limit, and of the room that is left. */
#define CREDIT_SHARE_OF_LIMIT 512
#define CREDIT_SHARE          4
/* The same where credit cannot be recalled: 99.9 % of a budget are to be used when the first request is refused. */
#define CREDIT_LOST_SHARE_OF_LIMIT 4096
/* So much is admitted before the host's budget starts, where that can wait. Little: a program that will lock itself in
 * and forbid files to be opened has more than this by then. */
#define START_BYTES ((int64_t)128 << 10)
/* The pool's lots. */
#define LOT_LEAST_BYTES    ((uint64_t)64 << 10)
#define LOT_MOST_BYTES     ((uint64_t)16 << 20)
#define LOT_SHARE_OF_LIMIT 1024

static struct {
    _Alignas(64) _Atomic int64_t
        pool;              /**< charged to the budget and granted to nobody; below 0 before heap_open */
    _Atomic int64_t early; /**< granted before heap_open for nothing but that a thread is busy */
    _Atomic int64_t lots;  /**< charged to the budget */
    _Atomic uint64_t room; /**< of the budget, when it was last asked */
    _Atomic uint32_t threads;
    _Atomic bool open;
    const struct options *options; /**< NULL: nothing is counted */
    uint64_t lot_bytes;
    uint64_t credits_bytes;            /**< what all threads together may hold unused */
    _Alignas(64) pthread_mutex_t lock; /**< of the list and of what ended threads left */
    struct heap_account *accounts;
    _Atomic int64_t ended;  /**< sum of the nets of threads that have ended */
    pthread_mutex_t recall; /**< one at a time; before `lock` */
    bool recalls;           /**< the kernel can, or there is no limit */
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .recall = PTHREAD_MUTEX_INITIALIZER,
          .room = UINT64_MAX,
          .lot_bytes = LOT_MOST_BYTES,
          .credits_bytes = UINT64_MAX};

static bool is_open(void)
{
    return atomic_load_explicit(&heap.open, memory_order_acquire);
}

/* The unused credit that a thread should hold now. */
static int64_t credit_now(void)
{
    uint64_t room = atomic_load_explicit(&heap.room, memory_order_relaxed);
    uint32_t threads = atomic_load_explicit(&heap.threads, memory_order_relaxed);
    int64_t pool = atomic_load_explicit(&heap.pool, memory_order_relaxed);

    room = room > INT64_MAX / 2 ? INT64_MAX / 2 : room;
    room += pool > 0 ? (uint64_t)pool : 0;
    room /= CREDIT_SHARE;
    room = (room < heap.credits_bytes ? room : heap.credits_bytes) / (threads ? threads : 1);
    return room < (uint64_t)CREDIT_MOST_BYTES ? (int64_t)room : CREDIT_MOST_BYTES;
}

/* Between `least` and `most` bytes out of the pool, all that it has up to that; 0 when it has less than `least`. */
static int64_t pool_take(int64_t least, int64_t most)
{
    int64_t has = atomic_load_explicit(&heap.pool, memory_order_relaxed), take;

    do {
        take = has < most ? has : most;
        if (take < least)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&heap.pool, &has, has - take, memory_order_relaxed,
                                                    memory_order_relaxed));
    return take;
}

/* Give the budget so much out of the pool, or what there is. */
static bool pool_shrink(int64_t most)
{
    int64_t has = pool_take(1, most);

    if (!has)
        return false;
    atomic_fetch_sub_explicit(&heap.lots, has, memory_order_relaxed);
    core_host_credit(HOST_HEAP, (uint64_t)has);
    atomic_fetch_add_explicit(&heap.room, (uint64_t)has, memory_order_relaxed);
    return true;
}

static void pool_give(int64_t bytes)
{
    int64_t lot = (int64_t)heap.lot_bytes, has;

    has = atomic_fetch_add_explicit(&heap.pool, bytes, memory_order_relaxed) + bytes;
    if (has > 4 * lot && atomic_load_explicit(&heap.open, memory_order_relaxed))
        pool_shrink(has - 2 * lot);
}

/* Charge a lot, or only `bytes` where there is no room for one. */
static bool pool_grow(uint64_t bytes)
{
    uint64_t room = UINT64_MAX, lot = bytes + heap.lot_bytes;
    int error = core_heap_charge(lot, &room);

    if (error) {
        lot = bytes;
        error = core_heap_charge(lot, &room);
    }
    atomic_store_explicit(&heap.room, room, memory_order_relaxed);
    if (error)
        return false;
    atomic_fetch_add_explicit(&heap.lots, (int64_t)lot, memory_order_relaxed);
    atomic_fetch_add_explicit(&heap.pool, (int64_t)lot, memory_order_relaxed);
    return true;
}

/* ---- credit ---------------------------------------------------------------------------------------------- */

/* Has the pool `bytes` now, with what all threads held unused? */
static bool recall(int64_t bytes)
{
    int64_t sum;

    if (!heap.recalls)
        return false;
    pthread_mutex_lock(&heap.recall);
    pthread_mutex_lock(&heap.lock);
    sum = atomic_load_explicit(&heap.pool, memory_order_relaxed);
    if (sum < bytes) {
        if (sum + heap_recallable(heap.accounts) >= bytes)
            atomic_fetch_add_explicit(&heap.pool, heap_recall(heap.accounts), memory_order_relaxed);
        sum = atomic_load_explicit(&heap.pool, memory_order_relaxed);
    }
    pthread_mutex_unlock(&heap.lock);
    pthread_mutex_unlock(&heap.recall);
    return sum >= bytes;
}

void heap_enter_later(struct heap_account *account)
{
    do {
        __atomic_store_n(&account->inside, 0, __ATOMIC_RELEASE);
        pthread_mutex_lock(&heap.recall);
        pthread_mutex_unlock(&heap.recall);
        __atomic_store_n(&account->inside, 1, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (__atomic_load_n(&heap_recalls, __ATOMIC_ACQUIRE));
}

bool heap_give_back(void)
{
    if (!is_open())
        return false;
    recall(atomic_load_explicit(&heap.pool, memory_order_relaxed) + CREDIT_LEAST_BYTES);
    return pool_shrink(INT64_MAX);
}

/* Out of the pool, which grows if it can: at least `bytes`, or 0. */
static int64_t draw(int64_t bytes)
{
    int64_t got;

    while (!(got = pool_take(bytes, bytes + credit_now()))) {
        int64_t has = atomic_load_explicit(&heap.pool, memory_order_relaxed);

        if (!pool_grow((uint64_t)(bytes - (has < bytes ? has : 0))))
            break;
    }
    return got;
}

/* Until its thread has drawn something, its unused credit is for all. */
static int64_t wait_without_credit(struct heap_account *account)
{
    int64_t spare = (int64_t)(account->limit - account->counters->allocated);

    heap_grant(account, -spare);
    __atomic_store_n(&account->waits, true, __ATOMIC_RELEASE);
    atomic_fetch_add_explicit(&heap.pool, spare, memory_order_relaxed);
    return spare;
}

static void start(void)
{
    int error = errno;

    if (heap.options)
        core_host_start(heap.options);
    errno = error;
}

/* `bytes` more than what is granted. */
static bool reserve(struct heap_account *account, int64_t bytes)
{
    unsigned asked = 0;
    int64_t got;

    if (!is_open() && atomic_load_explicit(&heap.pool, memory_order_relaxed) +
                              atomic_load_explicit(&heap.early, memory_order_relaxed) - bytes <
                          -START_BYTES)
        start();
    if (!is_open()) {
        atomic_fetch_sub_explicit(&heap.pool, bytes + CREDIT_EARLY_BYTES, memory_order_relaxed);
        heap_grant(account, bytes + CREDIT_EARLY_BYTES);
        return true;
    }
    got = draw(bytes);
    if (!got) {
        bytes += wait_without_credit(account);
        while (!(got = draw(bytes))) {
            if (recall(bytes) || core_heap_make_room((uint64_t)bytes, asked++))
                continue;
            if (core_heap_pass((uint64_t)bytes)) {
                atomic_fetch_add_explicit(&heap.lots, bytes, memory_order_relaxed);
                got = bytes;
            }
            break;
        }
        __atomic_store_n(&account->waits, false, __ATOMIC_RELEASE);
    }
    heap_grant(account, got);
    return got;
}

/* What is left unused after frees have made room may be little, and would bring the thread here again and again. */
static void top_up(struct heap_account *account, int64_t unused)
{
    int64_t credit = credit_now(), got;

    if (unused >= credit / 2)
        return;
    if (is_open()) {
        got = pool_take(1, credit - unused);
        if (!got && atomic_load_explicit(&heap.room, memory_order_relaxed) > 4 * heap.lot_bytes &&
            pool_grow(0))
            got = pool_take(1, credit - unused);
    } else {
        got = credit - unused;
        atomic_fetch_add_explicit(&heap.early, got, memory_order_relaxed);
        atomic_fetch_sub_explicit(&heap.pool, got, memory_order_relaxed);
    }
    heap_grant(account, got);
}

bool heap_take_more(struct heap_account *account, uint64_t bytes)
{
    int64_t short_by;

    if (bytes > INT64_MAX / 4)
        return true; /* the allocator has its own word for it */
    heap_grant(account, 0);
    short_by = (int64_t)(account->counters->allocated + bytes - account->limit);
    if (short_by <= 0) {
        top_up(account, -short_by);
        return true;
    }
    if (reserve(account, short_by))
        return true;
    core_heap_refused(bytes);
    return false;
}

void heap_settle(struct heap_account *account)
{
    int64_t spare, credit;

    heap_grant(account, 0);
    spare = (int64_t)(account->limit - account->counters->allocated);
    /* What slots keep is in memory and mostly wanted again: its credit stays with it, where it can be recalled. */
    if (heap.recalls)
        spare -= account->kept;
    if (spare > CREDIT_LEAST_BYTES) {
        credit = credit_now();
        account->spare_most = heap.recalls || !is_open() ? (uint64_t)(2 * credit + CREDIT_LEAST_BYTES) : 0;
        if (spare > 2 * credit + CREDIT_LEAST_BYTES) {
            heap_grant(account, credit - spare);
            pool_give(spare - credit);
        }
    }
    heap_rearm(account);
}

void heap_forgo_some(struct heap_account *account, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&heap.lots, (int64_t)bytes, memory_order_relaxed);
    heap_grant(account, -(int64_t)bytes);
}

void heap_rest(struct heap_account *account)
{
    int64_t spare = account->granted - heap_net(account);

    heap_grant(account, -spare);
    heap_rearm(account);
    pool_give(spare);
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
    pthread_mutex_lock(&heap.lock);
    account->previous = NULL;
    account->next = heap.accounts;
    if (account->next)
        account->next->previous = account;
    heap.accounts = account;
    pthread_mutex_unlock(&heap.lock);
    atomic_fetch_add_explicit(&heap.threads, 1, memory_order_relaxed);
}

static void unlink_account(struct heap_account *account)
{
    if (account->next)
        account->next->previous = account->previous;
    if (account->previous)
        account->previous->next = account->next;
    else
        heap.accounts = account->next;
}

/* Its net becomes that of an ended thread, and its unused credit the pool's. */
static void fold(struct heap_account *account)
{
    int64_t net = heap_net(account);

    atomic_fetch_add_explicit(&heap.ended, net, memory_order_relaxed);
    pool_give(account->granted - net);
}

void heap_leave(struct heap_account *account)
{
    pthread_mutex_lock(&heap.lock);
    unlink_account(account);
    atomic_fetch_add_explicit(&heap.ended, heap_net(account), memory_order_relaxed);
    pthread_mutex_unlock(&heap.lock);
    atomic_fetch_sub_explicit(&heap.threads, 1, memory_order_relaxed);
    pool_give(account->granted - heap_net(account));
}

uint64_t heap_bytes(void)
{
    int64_t sum;

    pthread_mutex_lock(&heap.lock);
    sum = atomic_load_explicit(&heap.ended, memory_order_relaxed);
    for (const struct heap_account *account = heap.accounts; account; account = account->next)
        sum += heap_net(account);
    pthread_mutex_unlock(&heap.lock);
    return sum > 0 ? (uint64_t)sum : 0;
}

uint64_t heap_unused(void)
{
    int64_t unused = atomic_load_explicit(&heap.lots, memory_order_relaxed) - (int64_t)heap_bytes();

    return unused > 0 ? (uint64_t)unused : 0;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

void heap_start(const struct options *options)
{
    bool can_wait = options->host_budget.kind != SIZE_BYTES && options->host_cacheable_bytes == UINT64_MAX &&
                    !options->stats && !options->stats_json_path[0];

    heap.options = options;
    if (!can_wait)
        core_host_start(options);
}

void heap_open(uint64_t limit_bytes)
{
    int64_t has;

    if (!heap.options)
        return;
    if (limit_bytes / LOT_SHARE_OF_LIMIT < LOT_MOST_BYTES)
        heap.lot_bytes = limit_bytes / LOT_SHARE_OF_LIMIT;
    heap.recalls = limit_bytes == UINT64_MAX || heap_recall_start();
    if (limit_bytes != UINT64_MAX)
        heap.credits_bytes =
            limit_bytes / (heap.recalls ? CREDIT_SHARE_OF_LIMIT : CREDIT_LOST_SHARE_OF_LIMIT);
    if (heap.lot_bytes < LOT_LEAST_BYTES)
        heap.lot_bytes = LOT_LEAST_BYTES;
    atomic_store_explicit(&heap.open, true, memory_order_release);
    /* What was granted before may be more than the budget: it stays, and nothing more is admitted until it shrinks. */
    has = atomic_load_explicit(&heap.pool, memory_order_relaxed);
    if (has < 0)
        pool_grow((uint64_t)-has);
}

void heap_fork_begin(void)
{
    pthread_mutex_lock(&heap.recall);
    pthread_mutex_lock(&heap.lock);
}

void heap_fork_parent(void)
{
    pthread_mutex_unlock(&heap.lock);
    pthread_mutex_unlock(&heap.recall);
}

void heap_fork_child(struct heap_account *mine)
{
    struct heap_account *account = heap.accounts, *next;

    /* What the other threads held is held by nobody that could free its thread's credit: it is as if they had ended. */
    heap.accounts = NULL;
    atomic_store_explicit(&heap.threads, 0, memory_order_relaxed);
    pthread_mutex_init(&heap.lock, NULL);
    pthread_mutex_init(&heap.recall, NULL);
    for (; account; account = next) {
        next = account->next;
        if (account != mine)
            fold(account);
    }
    if (mine) {
        mine->next = mine->previous = NULL;
        heap.accounts = mine;
        atomic_store_explicit(&heap.threads, 1, memory_order_relaxed);
    }
}
