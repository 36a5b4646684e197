/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_thread.h - what the malloc family keeps for a thread: jemalloc's data, the account, the objects it keeps.
 *
 * Life     made at a thread's first call that no fast path can serve, taken back in the last pass of its key
 *          destructors. What it allocates and frees after that is done with one set for all ended threads, under a lock.
 * Parked   a few sets of ended threads wait whole, with what their caches keep, for threads that begin: many short ones
 *          cost little then. Their counters begin at 0 again, as programs that ask for thread.allocated expect. They hold
 *          no unused credit.
 * Memory   64 KiB of mmap's at a time, used again; the first thread's lies in the library.
 */
#ifndef EBB_MALLOC_THREAD_H
#define EBB_MALLOC_THREAD_H

#include "heap/malloc_grow.h"
#include "heap/malloc_keep.h"
#include "heap/malloc_state.h"

struct malloc_thread {
    tsd_t tsd; /**< first: malloc_tsd points to it */
    struct heap_account account;
    struct kept kept;
    struct grown grown;
    /** Towards a cache: what threads before this one allocated with it, and each call. */
    uint64_t earned_bytes;
    bool joined; /**< the account is */
    /** The thread chose something for itself, an arena for example: it ends with the thread. */
    bool is_personal;
    struct malloc_thread *next;
};

/** The calling thread's; not before its first malloc_begin. */
static inline struct malloc_thread *malloc_thread(void)
{
    return (struct malloc_thread *)malloc_tsd;
}

/** Has malloc_begin been here? */
static inline bool malloc_has_thread(void)
{
    return malloc_tsd != &tsd_tls && malloc_thread()->joined;
}

/** Does realloc to so many bytes go on with what made the object of `old_bytes` usable ones grow before? */
static inline bool malloc_has_grown(const void *memory, size_t old_bytes, size_t bytes)
{
    return malloc_has_thread() && grown_bytes(&malloc_thread()->grown, memory, old_bytes) <= bytes;
}

/** Around every use of jemalloc but the fast paths: gives the account of the thread, or that of all ended ones. */
struct heap_account *malloc_begin(void);
/** @freed: bytes may have become free. */
void malloc_end(struct heap_account *account, bool freed);

/** Is what is used now the ended threads' set? Between the two. */
bool malloc_thread_ended(void);

/** jemalloc's approximation of a thread's peak interrupts the fast path each 64 KiB: it is made when it is asked for. */
static inline void malloc_without_peaks(tsd_t *tsd)
{
    tsd_peak_alloc_event_wait_set(tsd, UINT64_MAX / 2);
    tsd_peak_dalloc_event_wait_set(tsd, UINT64_MAX / 2);
}

/** Give what the thread keeps back to jemalloc. Between malloc_begin and malloc_end. */
void malloc_empty_kept(void);

/** The system has no memory: end the sets that wait. Not between malloc_begin and malloc_end. */
void malloc_end_parked(void);

/** In a forked child. */
void malloc_thread_forked(void);

#endif
