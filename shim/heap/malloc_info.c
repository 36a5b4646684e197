/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_info.c - what glibc tells of its heap, told of ours: mallinfo, mallinfo2, malloc_trim. */
#include "heap/malloc_thread.h"

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>

#include "base/compiler.h"

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

EXPORT int malloc_trim(size_t pad)
{
    struct heap_account *account;

    (void)pad;
    if (malloc_passes)
        return 0;
    account = malloc_begin();
    malloc_purge(&(bool){false});
    malloc_end(account, true);
    return 1;
}
