/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_thread.c - see malloc_thread.h. */
#include "malloc_thread.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_BYTES (64 << 10)
/* Destructors of other keys may allocate and free after ours: the third of four passes sees nearly all of them. */
#define PASSES 3

__thread tsd_t *malloc_tsd = &tsd_tls;
static __thread bool has_ended __attribute__((tls_model("initial-exec")));

static struct {
    pthread_mutex_t lock;
    struct malloc_thread *spare;
    struct malloc_thread first;
    bool first_taken;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    pthread_mutex_t lock;
    struct malloc_thread thread;
} ended = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;
static bool has_key;

/* ---- memory ---------------------------------------------------------------------------------------------- */

static struct malloc_thread *pool_take(void)
{
    struct malloc_thread *thread;

    pthread_mutex_lock(&pool.lock);
    if (!pool.spare && !pool.first_taken) {
        pool.first_taken = true;
        pool.spare = &pool.first;
    }
    if (!pool.spare) {
        thread = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t i = 0; thread != MAP_FAILED && i < POOL_BYTES / sizeof *thread; i++) {
            thread[i].next = pool.spare;
            pool.spare = &thread[i];
        }
    }
    thread = pool.spare;
    if (thread)
        pool.spare = thread->next;
    pthread_mutex_unlock(&pool.lock);
    return thread;
}

static void pool_give(struct malloc_thread *thread)
{
    pthread_mutex_lock(&pool.lock);
    thread->next = pool.spare;
    pool.spare = thread;
    pthread_mutex_unlock(&pool.lock);
}

static void clear(struct malloc_thread *thread)
{
    memcpy(&thread->tsd, &tsd_tls, sizeof thread->tsd);
    memset(&thread->account, 0, sizeof thread->account);
    slots_init(&thread->slots);
    thread->joined = false;
}

tsd_t *malloc_tsd_make(void)
{
    struct malloc_thread *thread = pool_take();

    /* No memory for a page: then the ended threads' set serves, without its lock rather than not at all. */
    if (!thread)
        return &ended.thread.tsd;
    clear(thread);
    malloc_tsd = &thread->tsd;
    return malloc_tsd;
}

/* ---- begin and end --------------------------------------------------------------------------------------- */

static void leave(void *passes)
{
    uintptr_t left = (uintptr_t)passes;
    struct malloc_thread *thread = malloc_thread();

    if (left > 1 && pthread_setspecific(leave_key, (void *)(left - 1)) == 0)
        return;
    heap_enter(&thread->account);
    malloc_empty_slots();
    tsd_cleanup(&thread->tsd);
    heap_exit(&thread->account);
    heap_leave(&thread->account);
    has_ended = true;
    malloc_tsd = &tsd_tls;
    pool_give(thread);
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
        pthread_mutex_lock(&ended.lock);
        if (!ended.thread.joined) {
            clear(&ended.thread);
            join(&ended.thread);
        }
        malloc_tsd = &ended.thread.tsd;
        return &ended.thread.account;
    }
    thread = malloc_tsd == &tsd_tls ? (struct malloc_thread *)malloc_tsd_make() : malloc_thread();
    join(thread);
    malloc_settings_once();
    pthread_once(&key_once, make_key);
    if (has_key)
        pthread_setspecific(leave_key, (void *)(uintptr_t)PASSES);
    return &thread->account;
}

struct heap_account *malloc_begin(void)
{
    struct heap_account *account = likely(malloc_has_thread()) ? &malloc_thread()->account : begin_first();

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
        pthread_mutex_unlock(&ended.lock);
    }
}

bool malloc_thread_ended(void)
{
    return has_ended;
}

void malloc_thread_forked(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pthread_mutex_init(&ended.lock, NULL);
    ended.thread.joined = false; /* heap_fork_child ends its account */
}
