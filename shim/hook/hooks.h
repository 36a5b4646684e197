/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.h - the functions of NVIDIA's libraries: the real ones, ours, and the way from one to the other.
 *
 * Shape    hook_table.def makes `real` (typed pointers to the real functions), the table of rows, a body hook_NAME
 *          for every row, and the exported functions.
 * Bodies   a body is called with the real function to call and the program's arguments, only while blocks are
 *          managed (bodies of class loader: always). What it does not know it passes on untouched, NULL included.
 * Threads  any. `real` is filled without a lock by whoever is first, since that may happen inside dlopen; all
 *          threads write the same values. Entries stay valid: a library that was found is never unloaded.
 */
#ifndef EBB_HOOKS_H
#define EBB_HOOKS_H

/* Exact names: no macro of the header turns cuMemAlloc into cuMemAlloc_v2. */
#ifndef __CUDA_API_VERSION_INTERNAL
#define __CUDA_API_VERSION_INTERNAL
#endif
#include <cuda.h>
#include <cuda_runtime_api.h>

#include "base/cancel_guard.h"
#include "cuda/nvml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Programs go on using what NVIDIA deprecates, so we go on standing in front of it. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Exported by libcuda, declared nowhere. */
extern __typeof__(cuGetProcAddress_v2) cuGetProcAddress_v2_ptsz;

enum hook_library {
    HOOK_LIBRARY_driver,
    HOOK_LIBRARY_runtime,
    HOOK_LIBRARY_nvml,
    HOOK_LIBRARY_COUNT
};

enum hook_class {
    HOOK_CLASS_loader,
    HOOK_CLASS_allocate,
    HOOK_CLASS_free,
    HOOK_CLASS_use,
    HOOK_CLASS_query,
    HOOK_CLASS_lifecycle,
    HOOK_CLASS_mark,
    HOOK_CLASS_call /**< not hooked */
};

struct real {
#define ROW(library, class, result, name, body, parameters, arguments) __typeof__(name) *name;
#define CALL_ROW(library, name)                                        __typeof__(name) *name;
#include "hook/hook_table.def"
};

/** The real functions. NULL: not found yet, or not in this driver. */
extern struct real real;

struct hook_row {
    const char *name;
    enum hook_library library;
    enum hook_class class;
    void *hook;  /**< our exported function; NULL for HOOK_CLASS_call */
    void **real; /**< its place in `real` */
};

/** Every row, ended by one whose name is NULL. */
extern const struct hook_row hook_rows[];

/** The place of each row in it. */
enum {
#define ROW(library, class, result, name, body, parameters, arguments) HOOK_INDEX_##name,
#define CALL_ROW(library, name)                                        HOOK_INDEX_##name,
#include "hook/hook_table.def"
    HOOK_INDEX_COUNT
};
#define HOOKS_ROW(name) (&hook_rows[HOOK_INDEX_##name])

/** Blocks are managed: between a successful core_start and core_finish, and not in a forked child. */
extern bool hooks_managing;

/** Find the libraries that are loaded and fill `real`; a function that is in none of them is looked for in all objects,
 *  whatever they are called. Loads nothing. Returns whether the row's function is known. */
bool hooks_find(const struct hook_row *row);

/** The function of that name that comes next to us, or that any object exports: NULL when nobody has it. */
void *hooks_elsewhere(const struct hook_row *row);

/** A call of the runtime on its way through us; on the caller's stack. */
struct hook_call {
    struct cancel_guard guard; /**< nothing unwinds the stack with the call on it */
    void *next;                /**< the function that it goes on to */
    struct hook_call *outer;   /**< of this thread */
};

/**
 * What a call of the runtime that came from `call_site` goes on to: what the caller is linked to, else what comes next to
 * us, else what any object exports. A function that forwards to one of the same name gets that one, and not itself.
 * Returns  the function, which stays loaded; NULL: nobody has it. hooks_leave either way
 */
void *hooks_enter(struct hook_call *call, const struct hook_row *row, const void *call_site);
void hooks_leave(const struct hook_call *call);

/** Fill all rows of the driver, before anybody asks whether it has an entry: another thread may be in the middle of
 *  it, with the row that led here filled already. */
void hooks_complete(void);

/** The row of an exact name, or NULL; never one of HOOK_CLASS_call. */
const struct hook_row *hooks_row(const char *name);

/** The row whose real function, or whose hook, this is; or NULL. */
const struct hook_row *hooks_row_of(const void *function);

/**
 * What to hand out in place of a pointer that a library returned.
 *
 * Looks at which library it lies in, and fills `real` when that is the first one seen.
 * Returns  our hook where the pointer is a real function that we hook, else the pointer itself
 */
void *hooks_replace(void *function);

/** For the self-test (self_test.h). What a linked program's reference to `name` is bound to. */
void *hooks_bound(const char *name);
/** True when this lies in a copy of the driver. */
bool hooks_is_driver(const void *function);
/** True when this lies in this library, as what a runtime answers does: it was given our entries, and hands them on. */
bool hooks_is_ours(const void *function);
/** True when another library answers dlsym before us, and this is a function that it may have put before ours: one
 *  of another library than the driver. */
bool hooks_is_in_front(const void *function);
/** What the first dlsym of the process answers for the row's name in the driver is our hook, or a function of another
 *  library that stands in front of us. */
bool hooks_is_passed_on(const struct hook_row *row);

/** Real dlsym and dlopen, in front of which we stand. Set up on first use. */
struct loader_real {
    void *(*dlsym)(void *handle, const char *name);
    void *(*dlopen)(const char *file, int mode);
    void *(*dlmopen)(long list, const char *file, int mode);
};
const struct loader_real *loader_real(void);

/** The driver's word for one of our errors; 0 is CUDA_SUCCESS. The only such mapping. */
CUresult hooks_result(int error);

/* The bodies. Those of class allocate also get the address that the program called from. */
#define HOOK_LEAD_loader
#define HOOK_LEAD_allocate const void *call_site,
#define HOOK_LEAD_free
#define HOOK_LEAD_use
#define HOOK_LEAD_query
#define HOOK_LEAD_lifecycle
#define HOOK_BARE(...) __VA_ARGS__
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    result hook_##body(__typeof__(name) *next, HOOK_LEAD_##class HOOK_BARE parameters);
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands)
#define MARK_ROW(name, parameters, arguments)
#include "hook/hook_table.def"

#endif
