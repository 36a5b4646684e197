/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.h - the real functions of NVIDIA's libraries, and how they are found.
 *
 * Shape    hook_table.def makes `real` (typed pointers to the functions) and its table of rows.
 * Threads  any. `real` is filled without a lock by whoever is first, since that may happen inside dlopen; all
 *          threads write the same values. Entries stay valid: a library that was found is never unloaded.
 */
#ifndef EBB_REAL_H
#define EBB_REAL_H

/* Exact names: no macro of the header turns cuMemAlloc into cuMemAlloc_v2. */
#ifndef __CUDA_API_VERSION_INTERNAL
#define __CUDA_API_VERSION_INTERNAL
#endif
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel_guard.h"
#include "cuda/nvml.h"

/* Programs go on using what NVIDIA deprecates, so we go on standing in front of it. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Exported by libcuda, declared nowhere. */
extern __typeof__(cuGetProcAddress_v2) cuGetProcAddress_v2_ptsz;

enum real_library {
    REAL_driver,
    REAL_runtime,
    REAL_nvml,
    REAL_LIBRARIES
};

struct real {
#define ROW(library, class, result, name, body, parameters, arguments) __typeof__(name) *name;
#define CALL_ROW(library, name)                                        __typeof__(name) *name;
#include "hook/hook_table.def"
};

/** The real functions. NULL: not found yet, or not in this driver. Hidden, so that no call goes through the GOT. */
extern struct real real __attribute__((visibility("hidden")));

struct real_row {
    const char *name;
    enum real_library library;
    void **function; /**< its place in `real` */
};

/** Every row, ended by one whose name is NULL. */
extern const struct real_row real_rows[] __attribute__((visibility("hidden")));

/** The place of each row in it. */
enum {
#define ROW(library, class, result, name, body, parameters, arguments) REAL_INDEX_##name,
#define CALL_ROW(library, name)                                        REAL_INDEX_##name,
#include "hook/hook_table.def"
    REAL_INDEX_COUNT
};
#define REAL_ROW(name) (&real_rows[REAL_INDEX_##name])

/** A handle of the driver's as a key of tables. */
static inline uint64_t real_key(const void *handle)
{
    return (uint64_t)(uintptr_t)handle;
}

/** Find the libraries that are loaded and fill `real`; a function that is in none of them is looked for in all objects,
 *  whatever they are called. Loads nothing. Returns whether the row's function is known. */
bool real_find(const struct real_row *row);

/** Fill all rows of the driver, before anybody asks whether it has an entry: another thread may be in the middle of
 *  it, with the row that led here filled already. */
void real_complete(void);

/** Fill the rows of the library that the function lies in, when it is the first one of NVIDIA's of its kind. False: it is
 *  in none of them. */
bool real_learn(const void *function);

/** True when this lies in a copy of the driver. */
bool real_is_driver(const void *function);
/** True when this lies in a file that has not the driver's name, whatever packagers add to that. */
bool real_is_foreign(const void *function);
/** The driver as dlsym wants it; NULL: not found. */
void *real_driver(void);

/** A call of the runtime on its way through us; on the caller's stack. */
struct real_call {
    struct cancel_guard guard; /**< nothing unwinds the stack with the call on it */
    void *next;                /**< the function that it goes on to */
    struct real_call *outer;   /**< of this thread */
};

/**
 * What a call of the runtime that came from `call_site` goes on to: what the caller is linked to, else what comes next to
 * us, else what any object exports. A function that forwards to one of the same name gets that one, and not itself.
 * Returns  the function, which stays loaded; NULL: nobody has it. real_leave either way
 */
void *real_enter(struct real_call *call, const struct real_row *row, const void *call_site);
void real_leave(const struct real_call *call);

/** Code may go, and other code come to its addresses: what its calls go on to is asked for again. */
void real_forget_call_sites(void);

#endif
