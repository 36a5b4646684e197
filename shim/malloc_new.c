/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_new.c - C++ new and delete, by the names that compilers give them: the library links no C++. */
#include "malloc_inner.h"

#include <dlfcn.h>
#include <malloc.h>

/* What must be done when there is no memory, new handlers and exceptions, is the C++ library's own affair. */
static NO_INLINE void *refused(const char *name, size_t bytes, size_t second, const void *third)
{
    /* Every form takes a size first; what further words a form does not have it does not read. */
    void *(*next)(size_t, size_t, const void *);

    *(void **)&next = dlsym(RTLD_NEXT, name);
    return next ? next(bytes, second, third) : NULL;
}

static void *new_slow(size_t bytes)
{
    void *memory = malloc_rest(bytes);

    return memory ? memory : refused("_Znwm", bytes, 0, NULL);
}

#define NEW(name)                                                                                            \
    EXPORT void *name(size_t bytes);                                                                         \
    EXPORT void *name(size_t bytes)                                                                          \
    {                                                                                                        \
        return imalloc_fastpath(bytes, &new_slow);                                                           \
    }
#define NEW_NOTHROW(name)                                                                                    \
    EXPORT void *name(size_t bytes, const void *nothrow);                                                    \
    EXPORT void *name(size_t bytes, const void *nothrow)                                                     \
    {                                                                                                        \
        void *memory = malloc_fast(bytes);                                                                   \
                                                                                                             \
        return memory ? memory : refused(#name, bytes, (size_t)nothrow, NULL);                               \
    }
#define NEW_ALIGNED(name)                                                                                    \
    EXPORT void *name(size_t bytes, size_t alignment);                                                       \
    EXPORT void *name(size_t bytes, size_t alignment)                                                        \
    {                                                                                                        \
        void *memory = memalign(alignment, bytes);                                                           \
                                                                                                             \
        return memory ? memory : refused(#name, bytes, alignment, NULL);                                     \
    }
#define NEW_ALIGNED_NOTHROW(name)                                                                            \
    EXPORT void *name(size_t bytes, size_t alignment, const void *nothrow);                                  \
    EXPORT void *name(size_t bytes, size_t alignment, const void *nothrow)                                   \
    {                                                                                                        \
        void *memory = memalign(alignment, bytes);                                                           \
                                                                                                             \
        return memory ? memory : refused(#name, bytes, alignment, nothrow);                                  \
    }
/* With a size, an alignment, nothrow: the object alone says all that is needed. */
#define DELETE(name)                                                                                         \
    EXPORT void name(void *memory);                                                                          \
    EXPORT void name(void *memory)                                                                           \
    {                                                                                                        \
        free_fast(memory);                                                                                   \
    }

NEW(_Znwm)
NEW(_Znam)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE(_ZdlPvm)
DELETE(_ZdaPvm)
DELETE(_ZdlPvRKSt9nothrow_t)
DELETE(_ZdaPvRKSt9nothrow_t)
DELETE(_ZdlPvSt11align_val_t)
DELETE(_ZdaPvSt11align_val_t)
DELETE(_ZdlPvmSt11align_val_t)
DELETE(_ZdaPvmSt11align_val_t)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t)
