/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unhooked.h - entries that a program asked for and that we let pass, by name; shown in the statistics.
 *
 * Threads  any; no lock, no allocation. Only added to; names past UNHOOKED_MAX are counted in nothing.
 */
#ifndef EBB_UNHOOKED_H
#define EBB_UNHOOKED_H

enum {
    UNHOOKED_MAX = 1024,
    UNHOOKED_NAME_BYTES = 64
};

void unhooked_note(const char *name);

/** The name at an index, in the order of first sight; NULL past the last. */
const char *unhooked_name(unsigned index);

#endif
