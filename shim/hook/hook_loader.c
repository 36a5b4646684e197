/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlsym, dlopen and dlmopen: what the stubs of hook_stub_*.S ask before they jump. And dlclose.
 *
 * glibc takes the scope of RTLD_NEXT, RTLD_DEFAULT and of a plugin's own libraries from the return address, so a
 * look-up that is none of ours leaves by a jump, with the caller's address on the stack as if we were not there: the
 * stub saves the argument registers, calls the C function, and either jumps to `target` with the registers as the C
 * function left them, the caller's return address in place, or returns `value`.
 */
#include <dlfcn.h>

#include "base/cancel_guard.h"
#include "base/loader.h"
#include "base/options.h"
#include "cuda/call_site.h"
#include "hook/hook_words.h"
#include "hook/self_test.h"

/* The arguments of a dlsym, on the stub's stack; what is changed here is what the target gets. */
struct loader_call {
    void *handle;
    const char *name;
};

/* Fits the two result registers of both ABIs. */
struct loader_route {
    void *target; /* NULL: return `value` */
    void *value;  /* of dlopen and dlmopen: the mode to pass on */
};

struct loader_route loader_dlsym(struct loader_call *call);
struct loader_route loader_dlopen(int mode);
struct loader_route loader_dlmopen(int mode);

/* A checker of memory that is linked into the program asks for libc's functions before it has them, and stands in front
 * of them: nothing of libc is called for a name that is none of ours. */
static const char *after(const char *name, const char *prefix)
{
    while (*prefix)
        if (*name++ != *prefix++)
            return NULL;
    return name;
}

static void *(*first_dlsym(void))(void *, const char *)
{
    return loader_symbol(RTLD_DEFAULT, "dlsym");
}

bool hooks_is_in_front(const void *function)
{
    return first_dlsym() != dlsym && real_is_foreign(function);
}

bool hooks_is_passed_on(const struct hook_row *row)
{
    void *handle = real_driver();
    void *function = handle ? first_dlsym()(handle, row->real->name) : row->hook;

    return function == row->hook || hooks_is_in_front(function);
}

void *hooks_replace(void *function)
{
    const struct hook_row *row = hooks_row_of(function);

    if (!row && function && real_learn(function))
        row = hooks_row_of(function); /* also when another thread has filled them meanwhile */
    return row ? row->hook : function;
}

/* The driver is asked first, and the pointer that it returned decides: name, version and flags together choose an
 * ABI, and only the driver knows which. */
void hook_loader_replace(const char *symbol, void **function)
{
    if (!function || !*function || options_of_process()->disable)
        return;
    void *hook = hooks_replace(*function);

    if (hook == *function)
        self_test_passed(symbol, hook);
    *function = hook;
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
    const struct loader_libc *libc = loader_libc();

    call->handle = libc->handle;
    return (struct loader_route){(void *)libc->dlsym, NULL};
}

static void note_unhooked(const char *name, void *function)
{
    if (real_is_driver(function))
        self_test_passed(name, function);
}

static struct loader_route route_pseudo(struct loader_call *call, const struct loader_next *loader)
{
    const struct hook_row *row = hooks_row(call->name);

    if (!row) {
        /* The answer depends on where the caller stands; the driver, if it is in sight of all, is in ours too. */
        note_unhooked(call->name, loader_symbol(RTLD_DEFAULT, call->name));
        dlerror(); /* of ours */
        return (struct loader_route){(void *)loader->dlsym, NULL};
    }
    return real_find(row->real) ? (struct loader_route){NULL, row->hook} : absent(call);
}

/* Names like those of NVIDIA's libraries. */
static struct loader_route route_cuda(struct loader_call *call, const struct loader_next *loader)
{
    struct loader_route jump = {(void *)loader->dlsym, NULL};

    if (options_of_process()->disable)
        return jump;
    if (call->handle == RTLD_DEFAULT || call->handle == RTLD_NEXT)
        return route_pseudo(call, loader);

    void *function = loader->dlsym(call->handle, call->name);
    const struct hook_row *row = hooks_row_of(function);

    if (row && row->hook == function && !real_find(row->real))
        return absent(call); /* a handle of the whole program found our own export */
    void *handed = hooks_replace(function);

    if (handed == function)
        note_unhooked(call->name, function);
    return (struct loader_route){NULL, handed};
}

struct loader_route loader_dlsym(struct loader_call *call)
{
    const struct loader_next *loader = loader_next();
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
            route.target = (void *)loader_libc()->dlsym;
    }
    return route;
}

static int open_mode(int mode)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (mode & RTLD_DEEPBIND && options_of_process()->deepbind != DEEPBIND_CLEAR &&
        !options_of_process()->disable)
        self_test_doubt("a library was opened with RTLD_DEEPBIND (EBBTIDE_DEEPBIND=keep)", NULL);
    mode = options_of_process()->deepbind == DEEPBIND_CLEAR ? mode & ~RTLD_DEEPBIND : mode;
    cancel_guard_leave(&guard);
    return mode;
}

struct loader_route loader_dlopen(int mode)
{
    return (struct loader_route){(void *)loader_next()->dlopen, (void *)(intptr_t)open_mode(mode)};
}

struct loader_route loader_dlmopen(int mode)
{
    return (struct loader_route){(void *)loader_next()->dlmopen, (void *)(intptr_t)open_mode(mode)};
}

static void forget_code(void)
{
    call_site_forget();
    real_forget_call_sites();
}

/* What is closed may go, and something else come to its addresses. Forgotten before, for whoever comes there at once; and
 * after, since its destructors may have called us. */
EXPORT int dlclose(void *handle)
{
    int result;

    forget_code();
    result = loader_next()->dlclose(handle);
    forget_code();
    return result;
}
