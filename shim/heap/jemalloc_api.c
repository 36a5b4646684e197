/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jemalloc_api.c - jemalloc's own API, from the copy that serves malloc: a program that is linked to libjemalloc must not
 * end up with two heaps. The prototypes are those of jemalloc(3), whose header has them under our copy's names. What is left
 * to libjemalloc altogether (malloc_next.c) has its objects there.
 */
#include "base/compiler.h"
#include "heap/malloc_state.h"

#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* A program that is left to its own jemalloc: that has the object, or is to have it. */
static bool is_next(void)
{
    return malloc_passes && malloc_next.mallocx;
}

static bool is_of_next(const void *memory)
{
    return is_next() && !malloc_size(memory);
}

/* May an object of `bytes` usable bytes be allocated? These functions say no with NULL alone. */
static bool admit(struct heap_account *account, size_t bytes)
{
    heap_caller = NULL; /* the driver calls none of them */
    return bytes && heap_take(account, bytes);
}

EXPORT void *mallocx(size_t bytes, int flags)
{
    struct heap_account *account;
    size_t class_bytes;
    void *memory = NULL;
    bool purged = false;

    if (is_next())
        return malloc_next.mallocx(bytes, flags);
    account = malloc_begin();
    class_bytes = je_nallocx(bytes, flags);
    if (admit(account, class_bytes))
        while (!(memory = je_mallocx(bytes, flags)) && malloc_purge(&purged))
            ;
    malloc_end(account, false);
    return malloc_adopted(memory, class_bytes);
}

/* The end of the object, and of its host blocks. */
static struct heap_account *begin_free(void *memory)
{
    size_t bytes = host_block_any() ? malloc_size(memory) : 0;
    uint64_t absent_bytes = malloc_may_hold_blocks(bytes) ? malloc_abandon(memory, bytes) : 0;
    struct heap_account *account = malloc_begin();

    heap_forgo(account, absent_bytes);
    return account;
}

EXPORT void dallocx(void *memory, int flags)
{
    struct heap_account *account;

    if (is_of_next(memory)) {
        malloc_next.dallocx(memory, flags);
        return;
    }
    account = begin_free(memory);
    je_dallocx(memory, flags);
    malloc_end(account, true);
}

/* A part of a host block that is away comes back for the copy, and goes with the old object. */
static void *move_blocks(void *memory, size_t old_bytes, size_t bytes, int flags)
{
    void *moved = mallocx(bytes, flags);

    if (moved) {
        memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
        dallocx(memory, flags);
    }
    return moved;
}

EXPORT void *rallocx(void *memory, size_t bytes, int flags)
{
    size_t old_bytes = malloc_size(memory), class_bytes;
    struct heap_account *account;
    void *moved = NULL;
    bool purged = false;

    if (is_of_next(memory))
        return malloc_next.rallocx(memory, bytes, flags);
    if (malloc_may_hold_blocks(old_bytes))
        return move_blocks(memory, old_bytes, bytes, flags);
    account = malloc_begin();
    class_bytes = je_nallocx(bytes, flags);
    if (admit(account, class_bytes))
        while (!(moved = je_rallocx(memory, bytes, flags)) && malloc_purge(&purged))
            ;
    malloc_end(account, true);
    return malloc_adopted(moved, class_bytes);
}

EXPORT size_t xallocx(void *memory, size_t bytes, size_t extra, int flags)
{
    size_t most = bytes + extra < bytes ? SIZE_MAX : bytes + extra, got = malloc_size(memory);
    struct heap_account *account;

    if (is_of_next(memory))
        return malloc_next.xallocx(memory, bytes, extra, flags);
    if (malloc_may_hold_blocks(got))
        return got;
    account = malloc_begin();
    most = most > SC_LARGE_MAXCLASS ? SC_LARGE_MAXCLASS : most;
    got = admit(account, je_nallocx(most, flags)) ? je_xallocx(memory, bytes, extra, flags)
                                                  : je_sallocx(memory, flags);
    malloc_end(account, true);
    return got;
}

EXPORT size_t sallocx(const void *memory, int flags)
{
    return is_of_next(memory) ? malloc_next.sallocx(memory, flags) : malloc_size(memory);
}

EXPORT size_t nallocx(size_t bytes, int flags)
{
    struct heap_account *account;
    size_t class_bytes;

    if (is_next())
        return malloc_next.nallocx(bytes, flags);
    account = malloc_begin();
    class_bytes = je_nallocx(bytes, flags);
    malloc_end(account, false);
    return class_bytes;
}

EXPORT void sdallocx(void *memory, size_t bytes, int flags)
{
    struct heap_account *account;

    if (is_of_next(memory)) {
        malloc_next.sdallocx(memory, bytes, flags);
        return;
    }
    account = begin_free(memory);
    je_sdallocx(memory, bytes, flags);
    malloc_end(account, true);
}

/* A setting may be the thread's alone: another one does not begin with it. */
static void chosen(const void *new)
{
    malloc_thread()->is_personal |= new != NULL;
}

EXPORT int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
{
    struct heap_account *account;
    int error;

    if (is_next())
        return malloc_next.mallctl(name, old, old_bytes, new, new_bytes);
    account = malloc_begin();
    error = je_mallctl(name, old, old_bytes, new, new_bytes);
    chosen(new);
    malloc_end(account, false);
    return error;
}

EXPORT int mallctlnametomib(const char *name, size_t *mib, size_t *length)
{
    struct heap_account *account;
    int error;

    if (is_next())
        return malloc_next.mallctlnametomib(name, mib, length);
    account = malloc_begin();
    error = je_mallctlnametomib(name, mib, length);
    malloc_end(account, false);
    return error;
}

EXPORT int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_bytes, void *new,
                        size_t new_bytes)
{
    struct heap_account *account;
    int error;

    if (is_next())
        return malloc_next.mallctlbymib(mib, length, old, old_bytes, new, new_bytes);
    account = malloc_begin();
    error = je_mallctlbymib(mib, length, old, old_bytes, new, new_bytes);
    chosen(new);
    malloc_end(account, false);
    return error;
}

EXPORT void malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *options)
{
    struct heap_account *account;

    if (is_next()) {
        malloc_next.malloc_stats_print(write, arg, options);
        return;
    }
    account = malloc_begin();
    je_malloc_stats_print(write, arg, options);
    malloc_end(account, false);
}
