/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook_loader.h - between the assembly stubs of dlsym, dlopen, dlmopen and their C side.
 *
 * The stub saves the argument registers, calls the C function, and either jumps to `target` with the registers as
 * the C function left them, the caller's return address in place, or returns `value`.
 */
#ifndef EBB_HOOK_LOADER_H
#define EBB_HOOK_LOADER_H

/** The arguments of a dlsym, on the stub's stack; what is changed here is what the target gets. */
struct loader_call {
    void *handle;
    const char *name;
};

/** Fits the two result registers of both ABIs. */
struct loader_route {
    void *target; /**< NULL: return `value` */
    void *value;  /**< of dlopen and dlmopen: the mode to pass on */
};

struct loader_route loader_dlsym(struct loader_call *call);
struct loader_route loader_dlopen(int mode);
struct loader_route loader_dlmopen(int mode);

#endif
