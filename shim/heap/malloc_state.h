/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_state.h - what the files of the malloc family share: the way to jemalloc, to libc's malloc, and to the account
 * of the calling thread.
 *
 * jemalloc is built from its source package with the prefix je_ and linked in; its internal headers are used for three
 * things that its API has no fast way to: the bins of a thread for the fast path, the map from an address to its size
 * class, and the counters of a thread. They belong to version 5.3.0, which scripts/jemalloc fetches.
 */
#ifndef EBB_MALLOC_STATE_H
#define EBB_MALLOC_STATE_H

/* tsd_get(false) may give the template: see tsd_tls.h. */
#define MALLOC_FAST_PATHS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
/* clang-format off */
#include "jemalloc/internal/jemalloc_preamble.h" /* comes first */
#include "jemalloc/internal/jemalloc_internal_includes.h"
#include "jemalloc/internal/peak_event.h"
/* clang-format on */
#pragma GCC diagnostic pop

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "heap/heap.h"
#include "host/host_block.h"

/* jemalloc's own entries, and what its fast path falls back to. */
void *je_malloc_default(size_t bytes);
void je_free_default(void *memory);

/** Serve from malloc_next from now on; what we gave out before is still ours to free. */
extern bool malloc_passes;

/** Smaller objects hold no whole page, and so nothing of a host block. */
#define BLOCK_LEAST_BYTES ((size_t)4096)

/** EBBTIDE_HOST_CACHEABLE: objects of so many usable bytes are host blocks. At least SC_LARGE_MINCLASS. */
extern size_t malloc_cacheable_bytes;

/** Set jemalloc up, at the first call of all; and has that begun? */
void malloc_settings_once(void);
bool malloc_is_set(void);

/** Is the program built with a sanitizer, or a library that it needs? That has a malloc, stands in front of what libc and
 *  pthreads have, and may not be called before it is up. */
bool malloc_is_sanitized(void);

/** malloc_passes, or from now on: under a sanitizer nothing of ours begins, from the first call on. Not for fast paths,
 *  which find nothing then. */
bool malloc_is_passed(void);

/** The fallbacks of the fast paths. */
void *malloc_rest(size_t bytes);
void free_rest(void *memory);
/** An object of a page class of its own, `class` being jemalloc's index. */
void free_large(void *memory, unsigned class);

/** An object that the thread keeps, after malloc_begin and heap_take; NULL when it has none for so many bytes. */
void *malloc_from_kept(size_t bytes);

/** realloc to another object, of `old_bytes` usable ones. NULL with errno when there is no room; then it is as it was. */
void *malloc_move(void *memory, size_t old_bytes, size_t bytes);

/** realloc to more bytes than the `old_bytes` usable ones, which hold no host block. As malloc_move. */
void *malloc_grow(void *memory, size_t old_bytes, size_t bytes);

/** Usable bytes of an object of ours; 0 when it is not ours. */
size_t malloc_size(const void *memory);

/** May host blocks begin in an object of so many usable bytes? Then they end before it goes or grows. */
static inline bool malloc_may_hold_blocks(size_t bytes)
{
    return unlikely(bytes >= BLOCK_LEAST_BYTES) && host_block_any();
}

/** End them. Keeps errno. Returns the bytes that the account forgoes when it counts the object as freed. */
uint64_t malloc_abandon(void *memory, size_t bytes);

/** Make a host block of a new object that is large enough to be one; outside of malloc_begin and malloc_end. Gives
 *  `memory`, which may be NULL. */
void *malloc_adopt(void *memory, size_t bytes);

static inline void *malloc_adopted(void *memory, size_t bytes)
{
    return unlikely(bytes >= malloc_cacheable_bytes) ? malloc_adopt(memory, bytes) : memory;
}

/** The system has no memory: give it back what threads keep and what lies free in all arenas. Between malloc_begin and
 *  malloc_end. False, and nothing done, where `done` says that it was tried; sets it. */
bool malloc_purge(bool *done);

/** Give the system what lies free in all arenas. */
void malloc_purge_arenas(void);

/** Give the system the memory of the large objects that are kept for the thread of an account: it comes anew when they
 *  are used. */
void malloc_drop_kept(struct heap_account *account);

/** malloc_purge_arenas when it is more than this. Any thread that is not inside jemalloc; keeps errno. */
void malloc_trim_dirty(uint64_t room_bytes);

/** Usable bytes of a request; 0 when it is larger than any class. */
static inline size_t malloc_class_bytes(size_t bytes)
{
    return bytes > SC_LARGE_MAXCLASS ? 0 : sz_s2u(bytes ? bytes : 1);
}

/* libc's malloc, found by the linker: it is there before anything can be looked up. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

/** Usable bytes of an object that is not ours. */
size_t malloc_other_size(void *memory);

/** The same, quick for those of slabs that this thread has looked up lately. */
static inline size_t malloc_size_fast(const void *memory)
{
    emap_alloc_ctx_t found;

    if (likely(!emap_alloc_ctx_try_lookup_fast(tsd_get(false), &arena_emap_global, memory, &found) &&
               found.slab))
        return sz_index2size(found.szind);
    return malloc_size(memory);
}

/* Within the exported function, whose caller it notes. */
static inline void *malloc_rest_here(size_t bytes)
{
    heap_note_caller();
    return malloc_rest(bytes);
}

static inline __attribute__((always_inline)) void *malloc_fast(size_t bytes)
{
    return imalloc_fastpath(bytes, &malloc_rest_here);
}

/* The same in a function of ours, whose caller has noted whom it serves if that is to be known. */
static inline void *malloc_fast_within(size_t bytes)
{
    return imalloc_fastpath(bytes, &malloc_rest);
}

static inline void free_fast(void *memory)
{
    tsd_t *tsd = tsd_get(false);
    emap_alloc_ctx_t found;
    uint64_t freed, slow_at, bytes;

    if (unlikely(emap_alloc_ctx_try_lookup_fast(tsd, &arena_emap_global, memory, &found))) {
        free_rest(memory);
        return;
    }
    if (unlikely(!found.slab)) {
        free_large(memory, found.szind);
        return;
    }
    te_free_fastpath_ctx(tsd, &freed, &slow_at);
    bytes = sz_index2size(found.szind);
    freed += bytes;
    if (unlikely(freed >= slow_at) || malloc_may_hold_blocks(bytes) ||
        !cache_bin_dalloc_easy(&tsd_tcachep_get(tsd)->bins[found.szind], memory)) {
        free_rest(memory);
        return;
    }
    *tsd_thread_deallocatedp_get_unsafe(tsd) = freed;
}

/* ---- malloc_next.c: who serves malloc while malloc_passes, libc or what the program has brought along --------------
 *
 * The C++ operators are not ours: a program that is linked to another allocator gets them from there, and may mix them
 * with malloc as far as that allocator lets it. Such a program is left to it as a whole. */

/** libc's until malloc_next_find has found another. */
struct malloc_next {
    void *(*malloc)(size_t bytes);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *memory, size_t bytes);
    void *(*memalign)(size_t alignment, size_t bytes);
    void (*free)(void *memory);
    size_t (*usable_size)(void *memory); /* NULL: libc's, which has no other name */
    /* jemalloc's own API; NULL where the next allocator has none. */
    void *(*mallocx)(size_t bytes, int flags);
    void *(*rallocx)(void *memory, size_t bytes, int flags);
    size_t (*xallocx)(void *memory, size_t bytes, size_t extra, int flags);
    size_t (*sallocx)(const void *memory, int flags);
    size_t (*nallocx)(size_t bytes, int flags);
    void (*dallocx)(void *memory, int flags);
    void (*sdallocx)(void *memory, size_t bytes, int flags);
    int (*mallctl)(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
    int (*mallctlnametomib)(const char *name, size_t *mib, size_t *length);
    int (*mallctlbymib)(const size_t *mib, size_t length, void *old, size_t *old_bytes, void *new,
                        size_t new_bytes);
    void (*malloc_stats_print)(void (*write)(void *, const char *), void *arg, const char *options);
};
extern struct malloc_next malloc_next;

/** In the constructor: find the allocator behind ours that brings operators of its own, and take it for next. False: there
 *  is none, and libc is next. Keeps errno; no error is left for dlerror. */
bool malloc_next_find(void);

/** Does anything that is loaded, but for that allocator itself, call operators of somebody else's? After
 *  malloc_next_find. */
bool malloc_next_has_users(void);

/* ---- malloc_thread.c: what is kept for a thread --------------------------------------------------------------------
 *
 * Life     a set is made at a thread's first call that no fast path can serve, taken back in the last pass of its key
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
 * Memory   64 KiB of mmap's at a time, used again; the first thread's lies in the library. */

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
