/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - the library's locks, and the one order in which a thread takes them.
 *
 * Order    lock.def, one row a lock. It is checked at run time in debug builds (-Dbuildtype=debug) and under the
 *          sanitizers (-Db_sanitize), which scripts/test runs the suites unit, core and fuzz with; meson.build defines
 *          EBB_LOCK_CHECKS for them. In all other builds a lock is its mutex, and no more.
 * Checked  a lock that is taken while one of its rank or of a later one is held; one that is released and not held; a wait
 *          or what takes its time (lock_assert_none) while a short lock is held. A line on standard error then names
 *          the ranks, and the process aborts.
 * Threads  a thread's held locks are a list in its static storage: no call here allocates, and all may be called inside
 *          malloc, in signal handlers that take only what the thread they interrupt does not hold, and around fork. A
 *          forked child has its thread's list, and takes out of it what it makes anew with lock_init.
 * Without  a rank are flags that nobody waits for, and a pthread_once that makes a key.
 */
#ifndef EBB_LOCK_H
#define EBB_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

enum lock_rank {
#define LOCK(name, kind) LOCK_##name,
#include "base/lock.def"
#undef LOCK
};

/** The rank of a lock, as its holder's list has it. By itself that of something that is held like a lock. */
struct lock_tag {
#ifdef EBB_LOCK_CHECKS
    enum lock_rank rank;
    bool reads_again; /**< a thread that reads it may do so once more, wherever it stands */
#endif
};

#ifdef EBB_LOCK_CHECKS
#define LOCK_TAG(rank_)                                                                                      \
    {                                                                                                        \
        .rank = (rank_)                                                                                      \
    }
#define LOCK_TAG_AGAIN(rank_)                                                                                \
    {                                                                                                        \
        .rank = (rank_), .reads_again = true                                                                 \
    }
/** May the thread take it now? Then it has it, from lock_hold to lock_let_go. */
void lock_order(const struct lock_tag *tag);
void lock_order_read(const struct lock_tag *tag);
void lock_hold(const struct lock_tag *tag);
void lock_let_go(const struct lock_tag *tag);
/** The thread has it no more, if it had. */
void lock_forget(const struct lock_tag *tag);
/** In front of what takes its time: the thread holds no short lock. */
void lock_assert_none(void);
#else
#define LOCK_TAG(rank)                                                                                       \
    {                                                                                                        \
    }
#define LOCK_TAG_AGAIN(rank) LOCK_TAG(rank)
#define lock_order(tag)      ((void)(tag))
#define lock_order_read(tag) ((void)(tag))
#define lock_hold(tag)       ((void)(tag))
#define lock_let_go(tag)     ((void)(tag))
#define lock_forget(tag)     ((void)(tag))
#define lock_assert_none()   ((void)0)
#endif

struct lock {
    pthread_mutex_t mutex;
    struct lock_tag tag;
};

/** Taken by many that read, or by one that writes. A thread may read again what it reads. */
struct lock_shared {
    pthread_rwlock_t rwlock;
    struct lock_tag tag;
};

#define LOCK_INIT(rank)                                                                                      \
    {                                                                                                        \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .tag = LOCK_TAG(rank)                                            \
    }
#define LOCK_SHARED_INIT(rank)                                                                               \
    {                                                                                                        \
        .rwlock = PTHREAD_RWLOCK_INITIALIZER, .tag = LOCK_TAG_AGAIN(rank)                                    \
    }
/** A writer that waits keeps new readers out, and no thread reads twice. */
#define LOCK_SHARED_INIT_FOR_WRITERS(rank)                                                                   \
    {                                                                                                        \
        .rwlock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP, .tag = LOCK_TAG(rank)                   \
    }

/** Also in a forked child, where nobody is left to release it. */
static inline void lock_init(struct lock *lock, enum lock_rank rank)
{
    (void)rank;
    lock_forget(&lock->tag);
    lock->tag = (struct lock_tag)LOCK_TAG(rank);
    pthread_mutex_init(&lock->mutex, NULL);
}

static inline void lock_destroy(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_acquire(struct lock *lock)
{
    lock_order(&lock->tag);
    pthread_mutex_lock(&lock->mutex);
    lock_hold(&lock->tag);
}

static inline void lock_release(struct lock *lock)
{
    lock_let_go(&lock->tag);
    pthread_mutex_unlock(&lock->mutex);
}

/** 0 or EBUSY. In any order, since it waits for nobody. */
static inline int lock_try(struct lock *lock)
{
    int error = pthread_mutex_trylock(&lock->mutex);

    if (!error)
        lock_hold(&lock->tag);
    return error;
}

/** Let go of the lock until the condition is told, or until a time of CLOCK_MONOTONIC at the latest. 0 or ETIMEDOUT. */
#ifdef EBB_LOCK_CHECKS
int lock_wait_until(pthread_cond_t *condition, struct lock *lock, const struct timespec *until);
#else
static inline int lock_wait_until(pthread_cond_t *condition, struct lock *lock, const struct timespec *until)
{
    return until ? pthread_cond_clockwait(condition, &lock->mutex, CLOCK_MONOTONIC, until)
                 : pthread_cond_wait(condition, &lock->mutex);
}
#endif

static inline void lock_wait(pthread_cond_t *condition, struct lock *lock)
{
    lock_wait_until(condition, lock, NULL);
}

static inline void lock_shared_read(struct lock_shared *lock)
{
    lock_order_read(&lock->tag);
    pthread_rwlock_rdlock(&lock->rwlock);
    lock_hold(&lock->tag);
}

static inline void lock_shared_write(struct lock_shared *lock)
{
    lock_order(&lock->tag);
    pthread_rwlock_wrlock(&lock->rwlock);
    lock_hold(&lock->tag);
}

static inline void lock_shared_release(struct lock_shared *lock)
{
    lock_let_go(&lock->tag);
    pthread_rwlock_unlock(&lock->rwlock);
}

#endif
