/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_dirty.c - memory that nobody holds and that has not been given back yet: by jemalloc, and by what threads keep.
 *
 * The ledger has what the program holds. What was freed stays in memory for seconds, for whoever asks next, in the arena
 * it was freed in: where threads of different arenas take turns that is once more what the program holds, and next to
 * others' memory that a budget keeps room for it would be too much. So it lives in what the budget has left.
 */
#include "heap/malloc_state.h"

#include <stddef.h>
#include <sys/mman.h>

static uint64_t dirty_bytes(void)
{
    uint64_t pages = 0;

    for (unsigned i = 0, count = narenas_total_get(); i < count; i++) {
        arena_t *arena = arena_get(TSDN_NULL, i, false);

        if (arena)
            pages += ecache_npages_get(&arena->pa_shard.pac.ecache_dirty) +
                     ecache_npages_get(&arena->pa_shard.pac.ecache_muzzy);
    }
    return pages * PAGE;
}

void malloc_trim_dirty(uint64_t room_bytes)
{
    static bool at_it; /* one thread does it for all */
    bool is_inside = malloc_has_thread() && malloc_thread()->account.inside;
    struct heap_account *account;
    int error = errno;

    if (dirty_bytes() <= room_bytes || __atomic_exchange_n(&at_it, true, __ATOMIC_ACQUIRE))
        return;
    account = is_inside ? NULL : malloc_begin();
    malloc_purge_arenas();
    if (account)
        malloc_end(account, false);
    __atomic_store_n(&at_it, false, __ATOMIC_RELEASE);
    errno = error;
}

/* The whole pages of an object: it need not begin with one. */
static void drop(void *object, uint64_t bytes)
{
    uintptr_t from = ALIGNMENT_CEILING((uintptr_t)object, PAGE);

    madvise((void *)from, ((uintptr_t)object + bytes - from) & ~(uintptr_t)PAGE_MASK, MADV_DONTNEED);
}

void malloc_drop_kept(struct heap_account *account)
{
    struct malloc_thread *thread =
        (struct malloc_thread *)((char *)account - offsetof(struct malloc_thread, account));
    unsigned first = sz_size2index(SC_LARGE_MINCLASS);
    int error = errno;

    if (thread->kept.is_dropped)
        return;
    for (unsigned class = 0; class < KEEP_CLASSES; class ++)
        for (unsigned i = 0; i < thread->kept.count[class]; i++)
            drop(thread->kept.object[class][i], sz_index2size(class + first));
    thread->kept.is_dropped = true;
    errno = error;
}
