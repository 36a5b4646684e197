/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_pages.c - when jemalloc's pages are touched: functions of it that the linker puts ours in place of (--wrap).
 *
 * A page that is touched costs a fault, most of it the way into the kernel and back. So what need not be touched is not,
 * and what certainly will be is asked for in one call.
 */
#include "heap/malloc_state.h"

#include <sys/mman.h>

/* Linux 5.14: map these pages as if each was written to. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The next slab of a class that has so many is all but sure to be filled as well; if not, a fifth of what the class has
 * lies idle. For fewer pages the call costs what it saves. */
#define SLABS_LEAST      4
#define SLAB_PAGES_LEAST 4

void __wrap_je_eset_init(eset_t *set, extent_state_t state);
edata_t *__real_je_pa_alloc(tsdn_t *tsdn, pa_shard_t *shard, size_t bytes, size_t alignment, bool is_slab,
                            szind_t class, bool zero, bool guarded, bool *deferred);
edata_t *__wrap_je_pa_alloc(tsdn_t *tsdn, pa_shard_t *shard, size_t bytes, size_t alignment, bool is_slab,
                            szind_t class, bool zero, bool guarded, bool *deferred);

/* A set in an arena that is being made: that lies in memory which is zero, and so is an empty set but for its state.
 * Writing the zeroes would touch two pages of each of the six sets of an arena. */
void __wrap_je_eset_init(eset_t *set, extent_state_t state)
{
    set->state = state;
}

/* Slabs of the class in the arena, in its first bin: a guess suffices, so without its lock. */
static size_t slabs_of(tsdn_t *tsdn, const pa_shard_t *shard, szind_t class)
{
    arena_t *arena = arena_get(tsdn, shard->ind, false);

    return arena ? arena_get_bin(arena, class, 0)->stats.curslabs : 0;
}

static void touch(void *pages, size_t bytes)
{
    static bool is_refused; /* by an older kernel, for good */
    int error = errno;

    if (!__atomic_load_n(&is_refused, __ATOMIC_RELAXED) && madvise(pages, bytes, MADV_POPULATE_WRITE))
        __atomic_store_n(&is_refused, errno == EINVAL, __ATOMIC_RELAXED);
    errno = error;
}

edata_t *__wrap_je_pa_alloc(tsdn_t *tsdn, pa_shard_t *shard, size_t bytes, size_t alignment, bool is_slab,
                            szind_t class, bool zero, bool guarded, bool *deferred)
{
    edata_t *pages =
        __real_je_pa_alloc(tsdn, shard, bytes, alignment, is_slab, class, zero, guarded, deferred);

    /* Zeroed: nobody has touched them yet. */
    if (is_slab && bytes >= SLAB_PAGES_LEAST * PAGE && pages && edata_zeroed_get(pages) &&
        slabs_of(tsdn, shard, class) >= SLABS_LEAST)
        touch(edata_base_get(pages), bytes);
    return pages;
}
