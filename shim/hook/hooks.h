/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.h - the functions that we put in front of NVIDIA's, and the bodies behind them.
 *
 * Shape    hook_table.def makes the table of rows and the exported functions; those that it gives no word have a body
 *          hook_NAME.
 * Bodies   a body is called with the real function to call and the program's arguments, only while blocks are
 *          managed (bodies of class loader: always). What it does not know it passes on untouched, NULL included.
 * State    none: what the driver owns is remembered in cuda/, blocks in the core.
 * Threads  any.
 */
#ifndef EBB_HOOKS_H
#define EBB_HOOKS_H

#include "cuda/real.h"

enum hook_class {
    HOOK_CLASS_loader,
    HOOK_CLASS_allocate,
    HOOK_CLASS_free,
    HOOK_CLASS_use,
    HOOK_CLASS_query,
    HOOK_CLASS_lifecycle,
    HOOK_CLASS_mark
};

struct hook_row {
    const struct real_row *real; /**< the function that it stands in front of */
    enum hook_class class;
    void *hook; /**< our exported function */
};

/** Every row that is hooked, ended by one whose `real` is NULL. */
extern const struct hook_row hook_rows[];

/** The row of an exact name, or NULL. */
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

/** True when another library answers dlsym before us, and this is a function that it may have put before ours: one
 *  of another library than the driver. */
bool hooks_is_in_front(const void *function);
/** True when the first dlsym of the process answers for the row's name in the driver with our hook, or with a function of
 *  another library that stands in front of us. */
bool hooks_is_passed_on(const struct hook_row *row);

/** The driver's word for one of our errors; 0 is CUDA_SUCCESS. The only such mapping. */
CUresult hooks_result(int error);

/* The bodies. */
#define HOOK_BARE(...) __VA_ARGS__
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    result hook_##body(__typeof__(name) *next, HOOK_BARE parameters);
#define WORD_ROW(library, class, result, name, per_thread, parameters, arguments, word, more)
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands)
#define MARK_ROW(name, parameters, arguments)
#include "hook/hook_table.def"

#endif
