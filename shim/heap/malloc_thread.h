/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_thread.h - what the malloc family keeps for a thread: jemalloc's data, the account, the objects it keeps.
 *
 * Life     made at a thread's first call that no fast path can serve, taken back in the last pass of its key
 *          destructors. What it allocates and frees after that is done with one set for all ended threads, under a lock.
 * Parked   a few sets of ended threads wait whole, with what their caches keep, for threads that begin: many short ones
 *          cost little then. Their counters begin at 0 again, as programs that ask for thread.allocated expect. They hold
 *          no unused credit.
 * Kept     large objects that the thread has freed, for its next requests of the same class, from 16 KiB to 4 MiB: they
 *          count as freed by the program.
 * Grown    objects that realloc made larger a short while ago: texts and tables that are being written. One that grows
 *          again gets room for twice as much, and stays where it is until that is used up; one that grows once, or never,
 *          pays nothing for it. One that was freed since may be remembered still: what follows from that is only how much
 *          room the next object of this size at this address gets.
 * Memory   64 KiB of mmap's at a time, used again; the first thread's lies in the library.
 */
#ifndef EBB_MALLOC_THREAD_H
#define EBB_MALLOC_THREAD_H

#include "heap/malloc_state.h"

enum {
    KEEP_CLASSES = 33,
    KEEP_DEPTH = 16, /**< objects of a class */
    KEEP_BYTES_MOST = 16 << 20,
    GROWN_MOST = 8
};

struct malloc_thread {
    tsd_t tsd; /**< first: malloc_tsd points to it */
    struct heap_account account;
    struct kept {
        uint64_t bytes;
        bool is_dropped; /**< the memory of all that it has was given back, and nothing came since */
        uint8_t count[KEEP_CLASSES];
        void *object[KEEP_CLASSES][KEEP_DEPTH];
    } kept;
    struct grown {
        const void *memory;
        size_t usable_bytes, bytes; /**< `bytes`: that were asked for when it grew */
    } grown[GROWN_MOST];
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

/** NULL when there is none of this class. */
static inline void *keep_take(struct kept *kept, unsigned class, uint64_t bytes)
{
    if (!kept->count[class])
        return NULL;
    kept->bytes -= bytes;
    return kept->object[class][--kept->count[class]];
}

/** False when there is no room. */
static inline bool keep_put(struct kept *kept, unsigned class, uint64_t bytes, void *object)
{
    if (kept->count[class] == KEEP_DEPTH || kept->bytes + bytes > KEEP_BYTES_MOST)
        return false;
    kept->bytes += bytes;
    kept->is_dropped = false;
    kept->object[class][kept->count[class]++] = object;
    return true;
}

/** Where this thread remembers that an object grew. After malloc_has_thread. */
static inline struct grown *malloc_grown(const void *memory)
{
    uintptr_t address = (uintptr_t)memory;

    return &malloc_thread()->grown[(address >> 4 ^ address >> 7 ^ address >> 12) % GROWN_MOST];
}

/** Does realloc to so many bytes go on with what made the object of `old_bytes` usable ones grow before? */
static inline bool malloc_has_grown(const void *memory, size_t old_bytes, size_t bytes)
{
    const struct grown *grown = malloc_has_thread() ? malloc_grown(memory) : NULL;

    return grown && grown->memory == memory && grown->usable_bytes == old_bytes && grown->bytes <= bytes;
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
