/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h - the real dlsym, dlopen, dlmopen and dlclose, in front of which this library stands.
 *
 * Threads  any. Found at the first call, without a lock: every thread that comes there finds the same.
 */
#ifndef EBB_LOADER_H
#define EBB_LOADER_H

#include <stdbool.h>

/** The version of symbols that every glibc has for the machine: its ABI lists. dlvsym with it finds libc's own, past whoever
 *  stands in front. One that is not there would cost an allocation, for the word that dlerror is to have. */
#if defined(__x86_64__)
#define LIBC_VERSION "GLIBC_2.2.5"
#else
#define LIBC_VERSION "GLIBC_2.17"
#endif

/** The functions that come next to ours: libc's, or those of a library that stands in front of libc too. */
struct loader_next {
    void *(*dlsym)(void *handle, const char *name);
    void *(*dlopen)(const char *file, int mode);
    void *(*dlmopen)(long list, const char *file, int mode);
    int (*dlclose)(void *handle);
};

/** Found without an allocation: whoever stands in front of malloc asks dlsym for the next one. */
const struct loader_next *loader_next(void);

/** libc itself and its own dlsym, whoever else stands in front of it. */
struct loader_libc {
    void *handle;
    void *(*dlsym)(void *handle, const char *name);
};

/** Opening libc allocates: only for whoever asks for a function of NVIDIA's, or for dlsym itself. */
const struct loader_libc *loader_libc(void);

/** libc's own dlsym, asked from here: RTLD_NEXT is what comes after this library. Fails in silence but for dlerror. */
void *loader_symbol(void *handle, const char *name);

/** True when the address lies in NVIDIA's driver, or in one of the libraries that it loads for itself. Never allocates. */
bool loader_is_driver(const void *address);

/** True when the function lies in this library. */
bool loader_is_ours(const void *function);

#endif
