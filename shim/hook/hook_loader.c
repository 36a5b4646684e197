/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlsym, dlopen and dlmopen: what the stubs of hook_stub_*.S ask before they jump.
 *
 * glibc takes the scope of RTLD_NEXT, RTLD_DEFAULT and of a plugin's own libraries from the return address, so a
 * look-up that is none of ours leaves by a jump, with the caller's address on the stack as if we were not there.
 */
#include "hook/hook_loader.h"
#include "base/cancel_guard.h"
#include "base/libc_version.h"
#include "base/options.h"
#include "hook/hooks.h"
#include "hook/lifecycle.h"
#include "hook/self_test.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

static struct loader_real found_loader;
/* libc's own, whoever else stands in front of it. */
static struct {
    void *handle;
    void *(*dlsym)(void *handle, const char *name);
} found_libc;
/* Set when all rows of a library that was found are filled. */
static bool is_filled[HOOK_LIBRARY_COUNT];
static void *driver_handle;
/* Where the objects lie that the rows were filled from: a driver may have another name. */
static const void *bases[HOOK_LIBRARY_COUNT];

/* The one function that came later. */
#if defined(__x86_64__)
#define DLMOPEN_VERSION "GLIBC_2.3.4"
#else
#define DLMOPEN_VERSION LIBC_VERSION
#endif

const struct loader_real *loader_real(void)
{
    if (__builtin_expect(!!__atomic_load_n(&found_loader.dlsym, __ATOMIC_ACQUIRE), 1))
        return &found_loader;
    /* Without an allocation: whoever stands in front of malloc asks dlsym for the next one. Every thread that comes here
     * finds the same; dlsym last, since it says that all is there. */
    __atomic_store_n(&found_loader.dlopen, dlvsym(RTLD_NEXT, "dlopen", LIBC_VERSION), __ATOMIC_RELAXED);
    __atomic_store_n(&found_loader.dlmopen, dlvsym(RTLD_NEXT, "dlmopen", DLMOPEN_VERSION), __ATOMIC_RELAXED);
    __atomic_store_n(&found_loader.dlsym, dlvsym(RTLD_NEXT, "dlsym", LIBC_VERSION), __ATOMIC_RELEASE);
    return &found_loader;
}

/* Opening allocates: so only for whoever asks for a function of NVIDIA's, or for dlsym itself. */
static void *(*libc_dlsym(void))(void *, const char *)
{
    void *handle;

    if (__builtin_expect(!__atomic_load_n(&found_libc.dlsym, __ATOMIC_ACQUIRE), 0)) {
        handle = loader_real()->dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        __atomic_store_n(&found_libc.handle, handle, __ATOMIC_RELAXED);
        __atomic_store_n(&found_libc.dlsym, dlvsym(handle, "dlsym", LIBC_VERSION), __ATOMIC_RELEASE);
    }
    return found_libc.dlsym;
}

/* A checker of memory that is linked into the program asks for libc's functions before it has them, and stands in front
 * of them: nothing of libc is called for a name that is none of ours. */
static const char *after(const char *name, const char *prefix)
{
    while (*prefix)
        if (*name++ != *prefix++)
            return NULL;
    return name;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Packagers put a hash of the contents between the name and what follows it: libcudart-0a1b2c3d.so.11.0. */
static int library_of(const char *path)
{
    static const char *const stem[HOOK_LIBRARY_COUNT] = {"libcuda", "libcudart", "libnvidia-ml"};
    const char *name = path ? base_name(path) : "";

    for (int i = 0; i < HOOK_LIBRARY_COUNT; i++) {
        const char *rest = after(name, stem[i]);

        if (rest && *rest == '-')
            rest += 1 + strspn(rest + 1, "0123456789abcdef");
        if (rest && after(rest, ".so"))
            return i;
    }
    return -1;
}

static int library_at(const Dl_info *info)
{
    int library = library_of(info->dli_fname);

    for (int i = 0; library < 0 && i < HOOK_LIBRARY_COUNT; i++)
        if (info->dli_fbase == __atomic_load_n(&bases[i], __ATOMIC_RELAXED))
            library = i;
    return library;
}

/* Fills the rows of one library from the object at `path`, which is kept loaded from now on. */
static void fill(enum hook_library library, const char *path)
{
    const struct loader_real *loader = loader_real();
    void *handle = loader->dlopen(path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    Dl_info info;

    if (!handle)
        return;
    for (const struct hook_row *row = hook_rows; row->name; row++) {
        void *function = row->library == library ? libc_dlsym()(handle, row->name) : NULL;

        /* An object with a NEEDED entry of ours, or a dlopen(NULL) in disguise, would give us ourselves. */
        if (!function || function == row->hook)
            continue;
        __atomic_store_n(row->real, function, __ATOMIC_RELEASE);
        if (dladdr(function, &info))
            __atomic_store_n(&bases[library], info.dli_fbase, __ATOMIC_RELAXED);
    }
    if (library == HOOK_LIBRARY_driver)
        __atomic_store_n(&driver_handle, handle, __ATOMIC_RELEASE);
    __atomic_store_n(&is_filled[library], true, __ATOMIC_RELEASE);
    dlerror(); /* names that this version lacks are no error of the program's */
}

struct search {
    enum hook_library library;
    char path[4096];
};

static int is_library(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct search *search = arg;

    (void)bytes;
    if (!info->dlpi_name || library_of(info->dlpi_name) != (int)search->library ||
        strlen(info->dlpi_name) >= sizeof search->path)
        return 0;
    strcpy(search->path, info->dlpi_name);
    return 1;
}

static void find_library(enum hook_library library)
{
    struct search search = {.library = library};

    if (dl_iterate_phdr(is_library, &search))
        fill(library, search.path);
}

bool hooks_find(const struct hook_row *row)
{
    void *function = __atomic_load_n(row->real, __ATOMIC_ACQUIRE), *none = NULL;
    struct cancel_guard guard;

    if (function)
        return true;
    cancel_guard_enter(&guard);
    find_library(row->library);
    function = __atomic_load_n(row->real, __ATOMIC_ACQUIRE);
    /* Until the library itself comes, whoever has the name stands for it. */
    if (!function && (function = hooks_elsewhere(row)))
        __atomic_compare_exchange_n(row->real, &none, function, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    cancel_guard_leave(&guard);
    return function != NULL;
}

void hooks_complete(void)
{
    const struct hook_row *start = hooks_row("cuInit");
    Dl_info info;

    if (!__atomic_load_n(&is_filled[HOOK_LIBRARY_driver], __ATOMIC_ACQUIRE))
        find_library(HOOK_LIBRARY_driver);
    /* A driver under another name. */
    if (!__atomic_load_n(&is_filled[HOOK_LIBRARY_driver], __ATOMIC_ACQUIRE) && *start->real &&
        dladdr(*start->real, &info))
        fill(HOOK_LIBRARY_driver, info.dli_fname);
}

void *loader_symbol(void *handle, const char *name)
{
    loader_real();
    return libc_dlsym()(handle, name);
}

void *hooks_bound(const char *name)
{
    return libc_dlsym()(RTLD_DEFAULT, name);
}

bool hooks_is_driver(const void *function)
{
    Dl_info info;

    return function && dladdr(function, &info) && library_at(&info) == HOOK_LIBRARY_driver;
}

bool hooks_is_ours(const void *function)
{
    extern const char __ehdr_start[] __attribute__((visibility("hidden"))); /* of the linker's making */
    Dl_info info;

    return dladdr(function, &info) && info.dli_fbase == __ehdr_start;
}

static void *(*first_dlsym(void))(void *, const char *)
{
    return libc_dlsym()(RTLD_DEFAULT, "dlsym");
}

bool hooks_is_in_front(const void *function)
{
    Dl_info info;

    return first_dlsym() != dlsym && dladdr(function, &info) &&
           library_of(info.dli_fname) != HOOK_LIBRARY_driver;
}

bool hooks_is_passed_on(const struct hook_row *row)
{
    void *handle = __atomic_load_n(&driver_handle, __ATOMIC_ACQUIRE);
    void *function = handle ? first_dlsym()(handle, row->name) : row->hook;

    return function == row->hook || hooks_is_in_front(function);
}

void *hooks_replace(void *function)
{
    const struct hook_row *row = hooks_row_of(function);
    Dl_info info;

    if (row || !function)
        return row ? row->hook : function;
    if (!dladdr(function, &info))
        return function;
    int library = library_at(&info);

    if (library < 0)
        return function;
    /* Only the first copy of a library is hooked: the pointers of a second one are not ours to answer for. */
    if (!__atomic_load_n(&is_filled[library], __ATOMIC_ACQUIRE))
        fill((enum hook_library)library, info.dli_fname);
    row = hooks_row_of(function); /* also when another thread has filled them meanwhile */
    return row ? row->hook : function;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_cuda_name(const char *name)
{
    const char *rest = after(name, "nvml");

    if (rest)
        return is_upper(*rest);
    return name[0] == 'c' && name[1] == 'u' &&
           (is_upper(name[2]) || (name[2] == 'd' && name[3] == 'a' && is_upper(name[4])));
}

/* As if we were not loaded: libc has no such symbol, and says so with this name. */
static struct loader_route absent(struct loader_call *call)
{
    void *target = (void *)libc_dlsym();

    call->handle = found_libc.handle;
    return (struct loader_route){target, NULL};
}

static void note_unhooked(const char *name, void *function)
{
    if (hooks_is_driver(function))
        self_test_passed(name, function);
}

static struct loader_route route_pseudo(struct loader_call *call, const struct loader_real *loader)
{
    const struct hook_row *row = hooks_row(call->name);

    if (!row) {
        /* The answer depends on where the caller stands; the driver, if it is in sight of all, is in ours too. */
        note_unhooked(call->name, hooks_bound(call->name));
        dlerror(); /* of ours */
        return (struct loader_route){(void *)loader->dlsym, NULL};
    }
    return hooks_find(row) ? (struct loader_route){NULL, row->hook} : absent(call);
}

/* Names like those of NVIDIA's libraries. */
static struct loader_route route_cuda(struct loader_call *call, const struct loader_real *loader)
{
    struct loader_route jump = {(void *)loader->dlsym, NULL};

    if (lifecycle_options()->disable)
        return jump;
    if (call->handle == RTLD_DEFAULT || call->handle == RTLD_NEXT)
        return route_pseudo(call, loader);

    void *function = loader->dlsym(call->handle, call->name);
    const struct hook_row *row = hooks_row_of(function);

    if (row && row->hook == function && !hooks_find(row))
        return absent(call); /* a handle of the whole program found our own export */
    void *handed = hooks_replace(function);

    if (handed == function)
        note_unhooked(call->name, function);
    return (struct loader_route){NULL, handed};
}

struct loader_route loader_dlsym(struct loader_call *call)
{
    const struct loader_real *loader = loader_real();
    struct loader_route route = {(void *)loader->dlsym, NULL};
    struct cancel_guard guard;

    if (call->name && is_cuda_name(call->name)) {
        cancel_guard_enter(&guard);
        route = route_cuda(call, loader);
        cancel_guard_leave(&guard);
    } else {
        /* Another dlsym behind us looks for the next one: it must not be sent to itself. */
        const char *rest = call->name ? after(call->name, "dlsym") : NULL;

        if (rest && !*rest)
            route.target = (void *)libc_dlsym();
    }
    return route;
}

static int open_mode(int mode)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (mode & RTLD_DEEPBIND && lifecycle_options()->deepbind != DEEPBIND_CLEAR &&
        !lifecycle_options()->disable)
        self_test_doubt("a library was opened with RTLD_DEEPBIND (EBBTIDE_DEEPBIND=keep)", NULL);
    mode = lifecycle_options()->deepbind == DEEPBIND_CLEAR ? mode & ~RTLD_DEEPBIND : mode;
    cancel_guard_leave(&guard);
    return mode;
}

struct loader_route loader_dlopen(int mode)
{
    return (struct loader_route){(void *)loader_real()->dlopen, (void *)(intptr_t)open_mode(mode)};
}

struct loader_route loader_dlmopen(int mode)
{
    return (struct loader_route){(void *)loader_real()->dlmopen, (void *)(intptr_t)open_mode(mode)};
}
