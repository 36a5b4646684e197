/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_thread.c - see malloc_state.h. */
#include "heap/malloc_state.h"

#include <pthread.h>
#include <string.h>
#include <utlist.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "base/pages.h"

/* Sets of ended threads that wait for the next one, and what the cache and each thread may keep. */
#define PARKED_MOST       8
#define PARKED_BYTES_MOST ((uint64_t)1 << 20)
/* Destructors of other keys may allocate and free after ours: the third of four passes sees nearly all of them. */
#define PASSES 3

__thread tsd_t *malloc_tsd = &tsd_tls;
static THREAD_LOCAL bool has_ended;

static struct malloc_thread first_thread;

static struct {
    struct lock lock;
    struct pages_pool spare;
    struct malloc_thread *parked; /* whole, with account and cache */
    uint32_t parked_count;
} pool = {.lock = LOCK_INIT(LOCK_HEAP_POOL),
          .spare = {sizeof(first_thread), NULL, (char *)&first_thread, sizeof(first_thread)}};

static struct {
    struct lock lock;
    struct malloc_thread thread;
} ended = {.lock = LOCK_INIT(LOCK_HEAP_ENDED)};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;
static bool has_key;

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void pool_give(struct malloc_thread *thread, bool is_parked)
{
    lock_acquire(&pool.lock);
    if (is_parked)
        LL_PREPEND(pool.parked, thread);
    else
        pages_pool_give(&pool.spare, thread);
    lock_release(&pool.lock);
}

static void clear(struct malloc_thread *thread)
{
    memcpy(&thread->tsd, &tsd_tls, sizeof(thread->tsd));
    memset(&thread->account, 0, sizeof(thread->account));
    memset(&thread->kept, 0, offsetof(struct kept, object));
    memset(thread->grown, 0, sizeof(thread->grown));
    thread->earned_bytes = 0;
    thread->joined = thread->is_personal = false;
}

tsd_t *malloc_tsd_make(void)
{
    struct malloc_thread *thread;

    lock_acquire(&pool.lock);
    thread = pages_pool_take(&pool.spare);
    lock_release(&pool.lock);
    /* No memory for a page: then the ended threads' set serves, without its lock rather than not at all. */
    if (!thread)
        return &ended.thread.tsd;
    clear(thread);
    malloc_tsd = &thread->tsd;
    return malloc_tsd;
}

/* ---- parked ---------------------------------------------------------------------------------------------- */

static bool place_take(void)
{
    bool has_place = __atomic_fetch_add(&pool.parked_count, 1, __ATOMIC_RELAXED) < PARKED_MOST;

    if (!has_place)
        __atomic_fetch_sub(&pool.parked_count, 1, __ATOMIC_RELAXED);
    return has_place;
}

static struct malloc_thread *unpark(void)
{
    struct malloc_thread *thread;

    lock_acquire(&pool.lock);
    thread = pool.parked;
    if (thread)
        LL_DELETE(pool.parked, thread);
    lock_release(&pool.lock);
    if (thread) {
        __atomic_fetch_sub(&pool.parked_count, 1, __ATOMIC_RELAXED);
        heap_resume();
    }
    return thread;
}

static uint64_t cached_bytes(tsd_t *tsd)
{
    uint64_t sum = 0;

    if (!tcache_available(tsd))
        return 0;
    for (szind_t class = 0; class < nhbins; class ++)
        sum += cache_bin_ncached_get_local(&tsd_tcachep_get(tsd)->bins[class], &tcache_bin_info[class]) *
               sz_index2size(class);
    return sum;
}

/* The set's thread ends, and another begins with it as it is. */
static void tidy(struct malloc_thread *thread)
{
    heap_enter(&thread->account);
    if (thread->kept.bytes > PARKED_BYTES_MOST)
        malloc_empty_kept();
    if (cached_bytes(&thread->tsd) > PARKED_BYTES_MOST)
        tcache_flush(&thread->tsd);
    thread->earned_bytes += thread->account.counters->allocated;
    heap_rest(&thread->account);
    /* Events that jemalloc has each so many bytes count from 0 as well. */
    tsd_te_init(&thread->tsd);
    peak_event_zero(&thread->tsd);
    malloc_without_peaks(&thread->tsd);
    heap_rearm(&thread->account);
    heap_exit(&thread->account);
}

/* malloc_tsd points to it. */
static void take_down(struct malloc_thread *thread)
{
    heap_enter(&thread->account);
    malloc_empty_kept();
    tsd_cleanup(&thread->tsd);
    heap_exit(&thread->account);
    heap_leave(&thread->account);
}

void malloc_end_parked(void)
{
    tsd_t *mine = malloc_tsd;
    struct malloc_thread *thread;

    while ((thread = unpark())) {
        malloc_tsd = &thread->tsd;
        take_down(thread);
        pool_give(thread, false);
    }
    malloc_tsd = mine;
}

/* ---- begin and end --------------------------------------------------------------------------------------- */

static void leave(void *passes)
{
    uintptr_t left = (uintptr_t)passes;
    struct malloc_thread *thread = malloc_thread();
    bool is_parked;

    if (left > 1 && pthread_setspecific(leave_key, (void *)(left - 1)) == 0)
        return;
    heap_forsaken(&thread->account);
    is_parked = !thread->is_personal && place_take();
    if (is_parked)
        tidy(thread);
    else
        take_down(thread);
    has_ended = true;
    malloc_tsd = &tsd_tls;
    pool_give(thread, is_parked);
}

static void make_key(void)
{
    has_key = pthread_key_create(&leave_key, leave) == 0;
}

static void join(struct malloc_thread *thread)
{
    heap_join(&thread->account, (struct heap_counters *)tsd_thread_allocatedp_get_unsafe(&thread->tsd));
    thread->joined = true;
}

static NO_INLINE struct heap_account *begin_first(void)
{
    struct malloc_thread *thread;

    if (has_ended) {
        lock_acquire(&ended.lock);
        if (!ended.thread.joined) {
            clear(&ended.thread);
            join(&ended.thread);
        }
        malloc_tsd = &ended.thread.tsd;
        return &ended.thread.account;
    }
    thread = malloc_tsd == &tsd_tls ? unpark() : malloc_thread();
    if (thread)
        malloc_tsd = &thread->tsd;
    else
        thread = (struct malloc_thread *)malloc_tsd_make();
    if (!thread->joined)
        join(thread);
    malloc_settings_once();
    pthread_once(&key_once, make_key);
    if (has_key)
        pthread_setspecific(leave_key, (void *)(uintptr_t)PASSES);
    return &thread->account;
}

struct heap_account *malloc_begin(void)
{
    struct heap_account *account;

    lock_assert_none();
    account = likely(malloc_has_thread()) ? &malloc_thread()->account : begin_first();
    heap_enter(account);
    return account;
}

void malloc_end(struct heap_account *account, bool freed)
{
    if (freed)
        heap_settle(account);
    else
        heap_rearm(account);
    heap_exit(account);
    if (unlikely(has_ended)) {
        malloc_tsd = &tsd_tls;
        lock_release(&ended.lock);
    }
}

bool malloc_thread_ended(void)
{
    return has_ended;
}

void malloc_thread_forked(void)
{
    lock_init(&pool.lock, LOCK_HEAP_POOL);
    /* jemalloc knows their caches no more, and heap_fork_child ends their accounts. */
    pool.parked = NULL;
    pool.parked_count = 0;
    lock_init(&ended.lock, LOCK_HEAP_ENDED);
    ended.thread.joined = false;
}
