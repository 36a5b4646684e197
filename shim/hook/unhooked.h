/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unhooked.h - entries that we let pass: why that is right, and those that a program asked for and nobody gave a
 * reason for. The latter are shown in the statistics.
 *
 * Threads  any; no lock, no allocation. Only added to; names past UNHOOKED_MAX are counted in nothing.
 */
#ifndef EBB_UNHOOKED_H
#define EBB_UNHOOKED_H

enum {
    UNHOOKED_MAX = 1024,
    UNHOOKED_NAME_BYTES = 64
};

/** Why it is right to let an entry pass, by its exact symbol (unhooked.def); NULL when nobody has said why. */
const char *unhooked_reason(const char *name);

void unhooked_note(const char *name);

/** The name at an index, in the order of first sight; NULL past the last. */
const char *unhooked_name(unsigned index);

#endif
