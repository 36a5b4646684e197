/* SPDX-License-Identifier: Apache-2.0 */
/* malloc.c - the exported malloc family of C. Alignments, errno and limits are those of glibc's malloc(3). */
#include "base/compiler.h"
#include "heap/malloc_state.h"

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

/* Up to here a realloc is a malloc, a copy and a free on the fast paths: cheaper than jemalloc's own, which keeps nothing
 * of what it frees at hand. */
#define COPY_MOST_BYTES ((size_t)256 << 10)

EXPORT void *malloc(size_t bytes)
{
    return malloc_fast(bytes);
}

EXPORT void free(void *memory)
{
    free_fast(memory);
}

EXPORT void cfree(void *memory);
EXPORT void cfree(void *memory)
{
    free_fast(memory);
}

/* May the thread allocate an object of this class? With errno where it may not. */
static bool admit(struct heap_account *account, size_t class_bytes)
{
    if (class_bytes && heap_take(account, class_bytes))
        return true;
    errno = ENOMEM;
    return false;
}

static void *calloc_large(size_t bytes)
{
    struct heap_account *account;
    size_t class_bytes;
    void *memory = NULL, *kept = NULL;
    bool purged = false;

    if (malloc_is_passed())
        return malloc_next.calloc(1, bytes);
    account = malloc_begin();
    class_bytes = malloc_class_bytes(bytes);
    if (admit(account, class_bytes)) {
        memory = kept = malloc_from_kept(bytes);
        while (!memory && !(memory = je_calloc(1, bytes)) && malloc_purge(&purged))
            ;
    }
    malloc_end(account, false);
    if (kept)
        memset(kept, 0, bytes);
    return malloc_adopted(memory, class_bytes);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    size_t all;
    void *memory;

    if (__builtin_mul_overflow(count, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    if (malloc_passes)
        return malloc_next.calloc(count, bytes);
    if (all <= SC_LOOKUP_MAXCLASS) {
        memory = malloc_fast(all);
        return memory ? memset(memory, 0, all) : NULL;
    }
    heap_note_caller();
    return calloc_large(all);
}

static void *realloc_jemalloc(void *memory, size_t bytes)
{
    struct heap_account *account = malloc_begin();
    size_t class_bytes = malloc_class_bytes(bytes);
    void *moved = NULL;
    bool purged = false;

    if (admit(account, class_bytes))
        while (!(moved = je_realloc(memory, bytes)) && malloc_purge(&purged))
            ;
    malloc_end(account, true);
    return malloc_adopted(moved, class_bytes);
}

EXPORT void *realloc(void *memory, size_t bytes)
{
    size_t old_bytes;

    if (!memory)
        return malloc_fast(bytes);
    old_bytes = malloc_size_fast(memory);
    if (!old_bytes)
        return malloc_passes ? malloc_next.realloc(memory, bytes) : __libc_realloc(memory, bytes);
    if (!bytes) {
        free_fast(memory);
        return NULL;
    }
    if (malloc_passes) {
        void *moved = bytes <= old_bytes ? memory : malloc_next.malloc(bytes);

        if (moved && moved != memory) {
            memcpy(moved, memory, old_bytes);
            free_fast(memory);
        }
        return moved;
    }
    if (malloc_class_bytes(bytes) == old_bytes ||
        (bytes < old_bytes && malloc_has_grown(memory, old_bytes, bytes)))
        return memory;
    heap_note_caller();
    /* A part of a host block that is away comes back for the copy, and goes with the old object. */
    if (malloc_may_hold_blocks(old_bytes))
        return malloc_move(memory, old_bytes, bytes);
    if (bytes > old_bytes)
        return malloc_grow(memory, old_bytes, bytes);
    if (bytes <= COPY_MOST_BYTES && old_bytes <= COPY_MOST_BYTES)
        return malloc_move(memory, old_bytes, bytes);
    return realloc_jemalloc(memory, bytes);
}

EXPORT void *reallocarray(void *memory, size_t count, size_t bytes)
{
    size_t all;

    if (__builtin_mul_overflow(count, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(memory, all);
}

/* ---- aligned --------------------------------------------------------------------------------------------- */

/* `alignment` a power of two. NULL without errno. */
static void *aligned(size_t alignment, size_t bytes)
{
    struct heap_account *account;
    size_t class_bytes;
    void *memory = NULL;
    bool purged = false;

    if (malloc_is_passed())
        return malloc_next.memalign(alignment, bytes);
    if (alignment <= 16)
        return malloc_fast_within(bytes);
    if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX)
        return NULL;
    account = malloc_begin();
    class_bytes = sz_sa2u(bytes ? bytes : 1, alignment);
    if (class_bytes && class_bytes <= SC_LARGE_MAXCLASS && heap_take(account, class_bytes))
        while (!(memory = je_aligned_alloc(alignment, bytes ? bytes : 1)) && malloc_purge(&purged))
            ;
    malloc_end(account, false);
    return malloc_adopted(memory, class_bytes);
}

static void *aligned_or_errno(size_t alignment, size_t bytes)
{
    void *memory = aligned(alignment, bytes);

    if (!memory)
        errno = ENOMEM;
    return memory;
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    int error_before = errno;
    void *memory;

    if (alignment % sizeof(void *) || !alignment || alignment & (alignment - 1))
        return EINVAL;
    heap_note_caller();
    memory = aligned(alignment, bytes);
    errno = error_before;
    if (!memory)
        return ENOMEM;
    *out = memory;
    return 0;
}

/* glibc rounds an alignment that is no power of two up to one. */
EXPORT void *memalign(size_t alignment, size_t bytes)
{
    size_t power = 16;

    if (alignment > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    while (power < alignment)
        power *= 2;
    heap_note_caller();
    return aligned_or_errno(power, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

EXPORT void *valloc(size_t bytes)
{
    heap_note_caller();
    return aligned_or_errno((size_t)sysconf(_SC_PAGESIZE), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded;

    if (__builtin_add_overflow(bytes, page - 1, &rounded)) {
        errno = ENOMEM;
        return NULL;
    }
    heap_note_caller();
    return aligned_or_errno(page, rounded / page * page);
}

/* ---- questions ------------------------------------------------------------------------------------------- */

EXPORT size_t malloc_usable_size(void *memory)
{
    size_t bytes = memory ? malloc_size(memory) : 0;

    return bytes || !memory ? bytes : malloc_other_size(memory);
}

/* ---- what glibc tells of its heap, told of ours ----------------------------------------------------------- */

static size_t figure(const char *name)
{
    size_t value = 0, bytes = sizeof(value);

    return je_mallctl(name, &value, &bytes, NULL, 0) ? 0 : value;
}

/* arena: bytes from the system; uordblks: what the program holds, as the ledger has it; fordblks: the rest. */
EXPORT struct mallinfo2 mallinfo2(void)
{
    struct mallinfo2 info = {0};
    struct heap_account *account;
    uint64_t epoch = 1;

    if (malloc_passes) {
        struct mallinfo2 (*next)(void);

        *(void **)&next = dlsym(RTLD_NEXT, "mallinfo2");
        return next ? next() : info;
    }
    account = malloc_begin();
    je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    info.arena = figure("stats.mapped");
    malloc_end(account, false);
    info.uordblks = heap_bytes();
    info.arena = info.arena < info.uordblks ? info.uordblks : info.arena;
    info.fordblks = info.arena - info.uordblks;
    return info;
}

static int narrow(size_t bytes)
{
    return bytes > INT_MAX ? INT_MAX : (int)bytes;
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 wide = mallinfo2();

    return (struct mallinfo){
        .arena = narrow(wide.arena), .uordblks = narrow(wide.uordblks), .fordblks = narrow(wide.fordblks)};
}

EXPORT int malloc_trim(IGNORED size_t pad)
{
    struct heap_account *account;

    if (malloc_passes)
        return 0;
    account = malloc_begin();
    malloc_purge(&(bool){false});
    malloc_end(account, true);
    return 1;
}
