/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_next.h - who serves malloc while malloc_passes: libc, or the allocator that the program has brought along.
 *
 * The C++ operators are not ours: a program that is linked to another allocator gets them from there, and may mix them
 * with malloc as far as that allocator lets it. Such a program is left to it as a whole.
 *
 * Threads  any, after malloc_next_find; that is called in the constructor.
 */
#ifndef EBB_MALLOC_NEXT_H
#define EBB_MALLOC_NEXT_H

#include <stdbool.h>
#include <stddef.h>

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

/** Find the allocator behind ours that brings operators of its own, and take it for next. False: there is none, and libc
 *  is next. Keeps errno; no error is left for dlerror. */
bool malloc_next_find(void);

/** Does anything that is loaded, but for that allocator itself, call operators of somebody else's? After
 *  malloc_next_find. */
bool malloc_next_has_users(void);

#endif
