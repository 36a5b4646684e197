/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_grow.c - objects that realloc makes larger.
 *
 * A text that grows step by step would be copied at each step. So one that grows again (malloc_state.h) gets an object for
 * twice as much, out of credit that the thread has anyway: another does without, and near the budget all do. A large one
 * that has to move all the same goes where ROOM_TIMES its pages lie free, and takes them by and by as long as nobody else
 * does.
 */
#include "heap/malloc_state.h"

#include <string.h>

#define TWICE_MOST_BYTES ((size_t)1 << 20)
#define ROOM_TIMES       4
#define ROOM_MOST_BYTES  ((size_t)16 << 20)

void *malloc_move(void *memory, size_t old_bytes, size_t bytes)
{
    void *moved = malloc_fast_within(bytes);

    if (moved) {
        memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
        free_fast(memory);
    }
    return moved;
}

/* ---- twice as much --------------------------------------------------------------------------------------- */

/* How much it should get now: `bytes` or more. */
static size_t bytes_for(const void *memory, size_t old_bytes, size_t bytes)
{
    const struct malloc_thread *thread = malloc_thread();
    size_t class_bytes;

    if (bytes > TWICE_MOST_BYTES / 2 || !malloc_has_grown(memory, old_bytes, bytes))
        return bytes;
    class_bytes = malloc_class_bytes(2 * bytes);
    return thread->account.counters->allocated + class_bytes <= thread->account.limit ? class_bytes : bytes;
}

/* ---- where pages lie free -------------------------------------------------------------------------------- */

/* A new object of the class with free pages behind it; NULL where there are none. After heap_take. */
static void *with_room(struct heap_account *account, size_t class_bytes)
{
    size_t room_bytes = malloc_class_bytes(ROOM_TIMES * class_bytes);
    tsdn_t *tsdn = tsd_tsdn(tsd_fetch());
    void *memory = room_bytes > ROOM_MOST_BYTES ? NULL : large_malloc(tsdn, NULL, room_bytes, false);
    edata_t *extent;

    if (!memory)
        return NULL;
    extent = emap_edata_lookup(tsdn, &arena_emap_global, memory);
    if (large_ralloc_no_move(tsdn, extent, class_bytes, class_bytes, false)) {
        large_dalloc(tsdn, extent);
        return NULL;
    }
    __atomic_store_n(&account->counters->allocated, account->counters->allocated + class_bytes,
                     __ATOMIC_RELAXED);
    return memory;
}

/* The object where it lies or a new one, which the program is to have; NULL where there is no room. In place it costs
 * only the difference; else both are held for a moment. */
static void *place(struct heap_account *account, void *memory, size_t old_bytes, size_t class_bytes)
{
    bool purged = false;
    void *moved;

    if (old_bytes >= SC_LARGE_MINCLASS) {
        if (!heap_take(account, class_bytes - old_bytes))
            return NULL;
        if (je_xallocx(memory, class_bytes, 0, 0) >= class_bytes)
            return memory;
        heap_rearm(account);
    }
    if (!heap_take(account, class_bytes))
        return NULL;
    moved = malloc_from_kept(class_bytes);
    if (!moved)
        moved = with_room(account, class_bytes);
    while (!moved && !(moved = je_malloc_default(class_bytes)) && malloc_purge(&purged))
        ;
    return moved;
}

static void *grow_large(void *memory, size_t old_bytes, size_t bytes)
{
    struct heap_account *account = malloc_begin();
    size_t class_bytes = malloc_class_bytes(bytes);
    void *moved = class_bytes ? place(account, memory, old_bytes, class_bytes) : NULL;

    malloc_end(account, false);
    if (!moved) {
        errno = ENOMEM;
        return NULL;
    }
    if (moved != memory) {
        memcpy(moved, memory, old_bytes);
        free_fast(memory);
    }
    return malloc_adopted(moved, class_bytes);
}

void *malloc_grow(void *memory, size_t old_bytes, size_t bytes)
{
    size_t more_bytes = bytes_for(memory, old_bytes, bytes);
    void *moved = NULL;

    if (more_bytes > bytes)
        moved = malloc_move(memory, old_bytes, more_bytes);
    if (!moved) {
        more_bytes = bytes;
        moved = bytes > SC_SMALL_MAXCLASS ? grow_large(memory, old_bytes, bytes)
                                          : malloc_move(memory, old_bytes, bytes);
    }
    if (moved && malloc_has_thread())
        *malloc_grown(moved) = (struct grown){moved, malloc_class_bytes(more_bytes), bytes};
    return moved;
}
