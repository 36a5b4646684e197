/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry_name.h - what the exact name of a driver entry says: cuMemcpyDtoHAsync_v2_ptsz is the second ABI of
 * cuMemcpyDtoHAsync, for the per-thread default stream. NVIDIA's cuda.h has the scheme.
 */
#ifndef EBB_ENTRY_NAME_H
#define EBB_ENTRY_NAME_H

#include <stdbool.h>
#include <stddef.h>

struct entry_name {
    const char *base; /**< points into the name */
    size_t length;    /**< of the base */
    unsigned version; /**< of the ABI; 1 without a suffix */
    bool per_thread;
};

struct entry_name entry_name_of(const char *symbol);

/** True when `symbol` is another form of `known` that came with it or after it: the same base, and no older ABI. */
bool entry_name_follows(const char *symbol, const char *known);

/** True when both are forms of one function: the same base, whatever their ABIs. */
bool entry_name_is_form(const char *symbol, const char *known);

#endif
