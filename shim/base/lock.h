/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - every lock of the library, and the order in which they are taken.
 *
 * A thread takes locks in the order of the list below: while it holds one it takes none that stands above it.
 */
#ifndef EBB_LOCK_H
#define EBB_LOCK_H

#include <pthread.h>
#include <time.h>

enum lock_rank {
    LOCK_START,
    LOCK_POOLS,
    LOCK_GRAPHS,
    LOCK_MODULES,
    LOCK_IPC_OPENING,
    LOCK_IPC,
    LOCK_CAPTURE,
    LOCK_CONTEXTS,
    LOCK_HOME,
    LOCK_KERNELS,
    LOCK_DRIVER_MEMORY,
    LOCK_PATIENCE,
    LOCK_FAULTS_START,
    LOCK_HOST_BLOCKS,
    LOCK_FIGURES,
    LOCK_HEAP_ENDED,
    LOCK_HEAP_RECALL,
    LOCK_HEAP,
    LOCK_CORE,
    LOCK_SLABS,
    LOCK_MONITOR,
    LOCK_PRESSURE,
    LOCK_DISK_OPENING,
    LOCK_DISK,
    LOCK_DISK_EXECUTOR,
    LOCK_COPY_EXECUTOR,
    LOCK_UNFINISHED,
    LOCK_SYNC,
    LOCK_TABLE,
    LOCK_SERVE,
    LOCK_SLOT,
    LOCK_DESCRIPTORS,
    LOCK_HEAP_POOL
};

struct lock {
    pthread_mutex_t mutex;
};

/** Taken by many that read, or by one that writes. */
struct lock_shared {
    pthread_rwlock_t rwlock;
};

#define LOCK_INIT(rank)                                                                                      \
    {                                                                                                        \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                                   \
    }
#define LOCK_SHARED_INIT(rank)                                                                               \
    {                                                                                                        \
        .rwlock = PTHREAD_RWLOCK_INITIALIZER                                                                 \
    }
/** A writer that waits keeps new readers out. No thread reads twice. */
#define LOCK_SHARED_INIT_FOR_WRITERS(rank)                                                                   \
    {                                                                                                        \
        .rwlock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP                                          \
    }

/** Also in a forked child, where nobody is left to release it. */
static inline void lock_init(struct lock *lock, enum lock_rank rank)
{
    (void)rank;
    pthread_mutex_init(&lock->mutex, NULL);
}

static inline void lock_destroy(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_acquire(struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

static inline void lock_release(struct lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

/** 0 or EBUSY. */
static inline int lock_try(struct lock *lock)
{
    return pthread_mutex_trylock(&lock->mutex);
}

/** Release the lock until the condition is signalled. No other lock is held. */
static inline void lock_wait(pthread_cond_t *condition, struct lock *lock)
{
    pthread_cond_wait(condition, &lock->mutex);
}

/** The same, until a time of CLOCK_MONOTONIC at the latest. 0 or ETIMEDOUT. */
static inline int lock_wait_until(pthread_cond_t *condition, struct lock *lock, const struct timespec *until)
{
    return pthread_cond_clockwait(condition, &lock->mutex, CLOCK_MONOTONIC, until);
}

static inline void lock_shared_read(struct lock_shared *lock)
{
    pthread_rwlock_rdlock(&lock->rwlock);
}

static inline void lock_shared_write(struct lock_shared *lock)
{
    pthread_rwlock_wrlock(&lock->rwlock);
}

static inline void lock_shared_release(struct lock_shared *lock)
{
    pthread_rwlock_unlock(&lock->rwlock);
}

#endif
