/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.c - see real.h.
 *
 * There is one driver in a process, and it has a name of its own. Runtimes there may be several, under any name: packagers
 * rename the one that they bring along, and some libraries define its functions themselves and forward them. So what
 * a call of the runtime goes on to is asked for each place that it comes from, and remembered.
 */
#include "cuda/real.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>

#include "base/compiler.h"
#include "base/loader.h"
#include "base/table.h"

struct real real;

const struct real_row real_rows[] = {
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    {#name, REAL_##library, (void **)&real.name},
#define CALL_ROW(library, name) {#name, REAL_##library, (void **)&real.name},
#include "hook/hook_table.def"
    {NULL, REAL_driver, NULL},
};

static void *known(const struct real_row *row)
{
    return __atomic_load_n(row->function, __ATOMIC_ACQUIRE);
}

/* ---- the libraries by their names --------------------------------------------------------------------------- */

/* Set when all rows of a library that was found are filled. */
static atomic_bool is_filled[REAL_LIBRARIES];
static void *_Atomic driver_handle;
/* Where the objects lie that the rows were filled from: a driver may have another name. */
static const void *_Atomic bases[REAL_LIBRARIES];

/* Packagers put a hash of the contents between the name and what follows it: libcudart-0a1b2c3d.so.11.0. */
static int library_of(const char *path)
{
    static const char *const stem[REAL_LIBRARIES] = {"libcuda", "libcudart", "libnvidia-ml"};
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path ? path : "";

    for (int i = 0; i < REAL_LIBRARIES; i++) {
        const char *rest = name + strlen(stem[i]);

        if (strncmp(name, stem[i], strlen(stem[i])) != 0)
            continue;
        if (*rest == '-')
            rest += 1 + strspn(rest + 1, "0123456789abcdef");
        if (strncmp(rest, ".so", 3) == 0)
            return i;
    }
    return -1;
}

static int library_at(const Dl_info *info)
{
    int library = library_of(info->dli_fname);

    for (int i = 0; library < 0 && i < REAL_LIBRARIES; i++)
        if (info->dli_fbase == atomic_load_explicit(&bases[i], memory_order_relaxed))
            library = i;
    return library;
}

/* Fills the rows of one library from the object at `path`, which is kept loaded from now on. */
static void fill(enum real_library library, const char *path)
{
    void *handle = loader_next()->dlopen(path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    const void *base = NULL;
    Dl_info info;

    if (!handle)
        return;
    for (const struct real_row *row = real_rows; row->name; row++) {
        void *function = row->library == library ? loader_symbol(handle, row->name) : NULL;

        /* An object with a NEEDED entry of ours, or a dlopen(NULL) in disguise, would give us ourselves. */
        if (!function || loader_is_ours(function))
            continue;
        __atomic_store_n(row->function, function, __ATOMIC_RELEASE);
        if (!base && dladdr(function, &info)) /* all lie in one object */
            base = info.dli_fbase;
    }
    atomic_store_explicit(&bases[library], base, memory_order_relaxed);
    if (library == REAL_driver)
        atomic_store_explicit(&driver_handle, handle, memory_order_release);
    atomic_store_explicit(&is_filled[library], true, memory_order_release);
    dlerror(); /* names that this version lacks are no error of the program's */
}

struct sought {
    enum real_library library;
    char path[4096];
};

static int is_sought(struct dl_phdr_info *info, IGNORED size_t bytes, void *arg)
{
    struct sought *sought = arg;

    if (!info->dlpi_name || library_of(info->dlpi_name) != (int)sought->library ||
        strlen(info->dlpi_name) >= sizeof(sought->path))
        return 0;
    strcpy(sought->path, info->dlpi_name);
    return 1;
}

static void find_library(enum real_library library)
{
    struct sought sought = {.library = library};

    if (dl_iterate_phdr(is_sought, &sought))
        fill(library, sought.path);
}

void real_complete(void)
{
    const struct real_row *start = REAL_ROW(cuInit);
    Dl_info info;

    if (!atomic_load_explicit(&is_filled[REAL_driver], memory_order_acquire))
        find_library(REAL_driver);
    /* A driver under another name. */
    if (!atomic_load_explicit(&is_filled[REAL_driver], memory_order_acquire) && known(start) &&
        dladdr(known(start), &info))
        fill(REAL_driver, info.dli_fname);
}

bool real_learn(const void *function)
{
    Dl_info info;
    int library = dladdr(function, &info) ? library_at(&info) : -1;

    if (library < 0)
        return false;
    /* Only the first copy of a library is hooked: the pointers of a second one are not ours to answer for. */
    if (!atomic_load_explicit(&is_filled[library], memory_order_acquire))
        fill((enum real_library)library, info.dli_fname);
    return true;
}

bool real_is_driver(const void *function)
{
    Dl_info info;

    return function && dladdr(function, &info) && library_at(&info) == REAL_driver;
}

bool real_is_foreign(const void *function)
{
    Dl_info info;

    return dladdr(function, &info) && library_of(info.dli_fname) != REAL_driver;
}

void *real_driver(void)
{
    return atomic_load_explicit(&driver_handle, memory_order_acquire);
}

/* ---- by the place that a call comes from --------------------------------------------------------------------- */

/* Call sites are only added, so that no place has one's address and another's function; one that finds no place is asked for
 * again. */
enum {
    CALL_SITES = 1024,
    TRIES = 8,
    ROW_BITS = 10 /* of a key; the rest is the address, which has 52 bits at most */
};

_Static_assert(REAL_INDEX_COUNT <= 1 << ROW_BITS, "a row's place fits into a key");

struct call_site {
    _Atomic uint64_t key; /* 0: free */
    void *_Atomic next;   /* NULL: not written yet, or forgotten */
};

static struct call_site call_sites[CALL_SITES];
static THREAD_LOCAL struct real_call *innermost;

static uint64_t key_of(const struct real_row *row, const void *call_site)
{
    return (uint64_t)(uintptr_t)call_site << ROW_BITS | (uint64_t)(row - real_rows);
}

static void *recall(uint64_t key)
{
    uint64_t at = table_hash(key);

    for (unsigned i = 0; i < TRIES; i++) {
        const struct call_site *place = &call_sites[(at + i) % CALL_SITES];
        uint64_t found = atomic_load_explicit(&place->key, memory_order_relaxed);

        if (found == key)
            return atomic_load_explicit(&place->next, memory_order_acquire);
        if (!found)
            return NULL;
    }
    return NULL;
}

static void remember(uint64_t key, void *next)
{
    uint64_t at = table_hash(key);

    for (unsigned i = 0; i < TRIES; i++) {
        struct call_site *place = &call_sites[(at + i) % CALL_SITES];
        uint64_t free = 0;

        if (atomic_compare_exchange_strong_explicit(&place->key, &free, key, memory_order_relaxed,
                                                    memory_order_relaxed) ||
            free == key) {
            atomic_store_explicit(&place->next, next, memory_order_release);
            return;
        }
    }
}

void real_forget_call_sites(void)
{
    for (unsigned i = 0; i < CALL_SITES; i++)
        atomic_store_explicit(&call_sites[i].next, NULL, memory_order_relaxed);
}

/* A function of this thread that has called us back: it wants the one after it. */
static bool is_under_way(const void *function)
{
    for (const struct real_call *call = innermost; call; call = call->outer)
        if (call->next == function)
            return true;
    return false;
}

/* Somebody else's, and a definition: in a program that is not position-independent a reference has an address, too. */
static bool is_next(const void *function)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    return function && !loader_is_ours(function) && !is_under_way(function) &&
           (!dladdr1(function, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
            symbol->st_shndx != SHN_UNDEF);
}

/* The function that the object at `path`, or one that it needs, has for the name. The program itself has no path. */
static void *in_object(const char *path, const char *name)
{
    void *handle = loader_next()->dlopen(path[0] ? path : NULL, RTLD_LAZY | RTLD_NOLOAD);
    void *function = handle ? loader_symbol(handle, name) : NULL;

    if (handle)
        loader_next()->dlclose(handle);
    return is_next(function) ? function : NULL;
}

struct walk {
    unsigned skipped, wanted; /* objects */
    unsigned long long added; /* objects, since the process began */
    char path[4096];
};

static int take(struct dl_phdr_info *info, IGNORED size_t bytes, void *arg)
{
    struct walk *walk = arg;

    walk->added = info->dlpi_adds;
    if (walk->skipped++ < walk->wanted)
        return 0;
    walk->path[0] = '\0';
    if (info->dlpi_name && strlen(info->dlpi_name) < sizeof(walk->path))
        strcpy(walk->path, info->dlpi_name);
    return 1;
}

/* One object after another, since nothing may be asked of the loader while it walks over them. */
static void *in_any_object(const struct real_row *row)
{
    static _Atomic(unsigned long long) searched[REAL_INDEX_COUNT]; /* in vain, when so many had been added */
    _Atomic(unsigned long long) *before = &searched[row - real_rows];
    struct walk walk = {.wanted = 0};
    void *function = NULL;

    dl_iterate_phdr(take, &walk);
    if (!innermost && walk.added == atomic_load_explicit(before, memory_order_relaxed))
        return NULL;
    do {
        function = in_object(walk.path, row->name);
        walk.skipped = 0;
        walk.wanted++;
    } while (!function && dl_iterate_phdr(take, &walk));
    if (!function && !innermost)
        atomic_store_explicit(before, walk.added, memory_order_relaxed);
    return function;
}

/* The function is remembered for good, so its object stays. */
static void keep_loaded(const void *function)
{
    Dl_info info;

    if (function && dladdr(function, &info) && info.dli_fname)
        loader_next()->dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* The function of that name that comes next to us, or that any object exports: NULL when nobody has it. */
static void *elsewhere(const struct real_row *row)
{
    void *function = loader_symbol(RTLD_NEXT, row->name);

    function = is_next(function) ? function : in_any_object(row);
    keep_loaded(function);
    dlerror(); /* that somebody has no such name is no error of the program's */
    return function;
}

bool real_find(const struct real_row *row)
{
    void *function = known(row), *none = NULL;
    struct cancel_guard guard;

    if (function)
        return true;
    cancel_guard_enter(&guard);
    find_library(row->library);
    function = known(row);
    /* Until the library itself comes, whoever has the name stands for it. */
    if (!function && (function = elsewhere(row)))
        __atomic_compare_exchange_n(row->function, &none, function, false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED);
    cancel_guard_leave(&guard);
    return function != NULL;
}

/* The libraries that the caller is linked to go first: theirs is the version that it was built for. */
static void *next_of(const struct real_row *row, const void *call_site)
{
    void *function = NULL;
    Dl_info info;

    if (dladdr(call_site, &info) && info.dli_fname)
        function = in_object(info.dli_fname, row->name);
    if (function == loader_symbol(RTLD_DEFAULT, row->name))
        function = NULL; /* it stands in front of us, and has called on */
    if (!function && is_next(loader_symbol(RTLD_NEXT, row->name)))
        function = loader_symbol(RTLD_NEXT, row->name);
    if (!function && real_find(row) && is_next(known(row)))
        function = known(row);
    if (!function)
        function = in_any_object(row);
    keep_loaded(function);
    dlerror();
    return function;
}

void *real_enter(struct real_call *call, const struct real_row *row, const void *call_site)
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

void real_leave(const struct real_call *call)
{
    innermost = call->outer;
    cancel_guard_leave(&call->guard);
}
