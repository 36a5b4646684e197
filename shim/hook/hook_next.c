/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a call would have gone without us.
 *
 * There is one driver in a process, and it has a name of its own. Runtimes there may be several, under any name: packagers
 * rename the one that they bring along, and some libraries define its functions themselves and forward them. So what
 * a call of the runtime goes on to is asked for each place that it comes from, and remembered.
 */
#include "base/table.h"
#include "hook/hook_loader.h"
#include "hook/hooks.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* Sites are only added: a place that is taken keeps its function, and what finds no place is asked for again. */
enum {
    SITES = 1024,
    TRIES = 8,
    ROW_BITS = 10 /* of a key; the rest is the address, which has 52 bits at most */
};

_Static_assert(HOOK_INDEX_COUNT <= 1 << ROW_BITS, "a row's place fits into a key");

struct site {
    uint64_t key; /* 0: free */
    void *next;   /* NULL: not written yet */
};

static struct site sites[SITES];
static __thread struct hook_call *innermost __attribute__((tls_model("initial-exec")));

static uint64_t key_of(const struct hook_row *row, const void *call_site)
{
    return (uint64_t)(uintptr_t)call_site << ROW_BITS | (uint64_t)(row - hook_rows);
}

static void *recall(uint64_t key)
{
    uint64_t at = table_hash(key);

    for (unsigned i = 0; i < TRIES; i++) {
        const struct site *site = &sites[(at + i) % SITES];
        uint64_t found = __atomic_load_n(&site->key, __ATOMIC_RELAXED);

        if (found == key)
            return __atomic_load_n(&site->next, __ATOMIC_ACQUIRE);
        if (!found)
            return NULL;
    }
    return NULL;
}

static void remember(uint64_t key, void *next)
{
    uint64_t at = table_hash(key);

    for (unsigned i = 0; i < TRIES; i++) {
        struct site *site = &sites[(at + i) % SITES];
        uint64_t free = 0;

        if (__atomic_compare_exchange_n(&site->key, &free, key, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
            free == key) {
            __atomic_store_n(&site->next, next, __ATOMIC_RELEASE);
            return;
        }
    }
}

/* A function of this thread that has called us back: it wants the one after it. */
static bool is_under_way(const void *function)
{
    for (const struct hook_call *call = innermost; call; call = call->outer)
        if (call->next == function)
            return true;
    return false;
}

/* Somebody else's, and a definition: in a program that is not position-independent a reference has an address, too. */
static bool is_next(const void *function)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    return function && !hooks_is_ours(function) && !is_under_way(function) &&
           (!dladdr1(function, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
            symbol->st_shndx != SHN_UNDEF);
}

/* What the object at `path`, or one that it needs, has for the name. The program itself has no path. */
static void *in_object(const char *path, const char *name)
{
    void *handle = loader_real()->dlopen(path[0] ? path : NULL, RTLD_LAZY | RTLD_NOLOAD);
    void *function = handle ? loader_symbol(handle, name) : NULL;

    if (handle)
        dlclose(handle);
    return is_next(function) ? function : NULL;
}

struct walk {
    unsigned skipped, wanted; /* objects */
    unsigned long long added; /* objects, since the process began */
    char path[4096];
};

static int take(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct walk *walk = arg;

    (void)bytes;
    walk->added = info->dlpi_adds;
    if (walk->skipped++ < walk->wanted)
        return 0;
    walk->path[0] = '\0';
    if (info->dlpi_name && strlen(info->dlpi_name) < sizeof walk->path)
        strcpy(walk->path, info->dlpi_name);
    return 1;
}

/* One object after another, since nothing may be asked of the loader while it walks over them. */
static void *in_any_object(const struct hook_row *row)
{
    static unsigned long long searched[HOOK_INDEX_COUNT]; /* in vain, when so many had been added */
    unsigned long long *before = &searched[row - hook_rows];
    struct walk walk = {.wanted = 0};
    void *function = NULL;

    dl_iterate_phdr(take, &walk);
    if (!innermost && walk.added == __atomic_load_n(before, __ATOMIC_RELAXED))
        return NULL;
    do {
        function = in_object(walk.path, row->name);
        walk.skipped = 0;
        walk.wanted++;
    } while (!function && dl_iterate_phdr(take, &walk));
    if (!function && !innermost)
        __atomic_store_n(before, walk.added, __ATOMIC_RELAXED);
    return function;
}

void *hooks_elsewhere(const struct hook_row *row)
{
    void *function = loader_symbol(RTLD_NEXT, row->name);

    function = is_next(function) ? function : in_any_object(row);
    dlerror(); /* that somebody has no such name is no error of the program's */
    return function;
}

/* The libraries that the caller is linked to go first: theirs is the version that it was built for. */
static void *next_of(const struct hook_row *row, const void *call_site)
{
    void *function = NULL;
    Dl_info info;

    if (dladdr(call_site, &info) && info.dli_fname)
        function = in_object(info.dli_fname, row->name);
    if (function == hooks_bound(row->name))
        function = NULL; /* it stands in front of us, and has called on */
    if (!function && is_next(loader_symbol(RTLD_NEXT, row->name)))
        function = loader_symbol(RTLD_NEXT, row->name);
    if (!function && hooks_find(row) && is_next(*row->real))
        function = *row->real;
    if (!function)
        function = in_any_object(row);
    /* Remembered for good, so it stays. */
    if (function && dladdr(function, &info) && info.dli_fname)
        loader_real()->dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    dlerror();
    return function;
}

void *hooks_enter(struct hook_call *call, const struct hook_row *row, const void *call_site)
{
    uint64_t key = key_of(row, call_site);
    void *next = recall(key);

    cancel_guard_enter(&call->guard);
    if (!next || is_under_way(next)) {
        next = next_of(row, call_site);
        if (next)
            remember(key, next);
    }
    call->next = next;
    call->outer = innermost;
    innermost = call;
    return next;
}

void hooks_leave(const struct hook_call *call)
{
    innermost = call->outer;
    cancel_guard_leave(&call->guard);
}
