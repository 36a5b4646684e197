/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - what must hold in the core whenever core.lock is free, even in the middle of a move.
 *
 * Of each chunk exactly one copy counts and it is where the state says; what is charged covers what is there; the
 * counts of a device and the flags that the launch path reads agree with the states.
 *
 * Threads  the mover's role, or no other thread runs: a test at rest, or a debugger (`call core_check()`).
 */
#ifndef EBB_CHECK_H
#define EBB_CHECK_H

#include "ledger/state.h"

/** Sums over all states. */
struct core_sums {
    uint64_t resident_bytes[DEVICE_MAX], idle_bytes[DEVICE_MAX], away_bytes[DEVICE_MAX],
        ordered_bytes[DEVICE_MAX];
    uint64_t share_bytes[DEVICE_MAX][SHARE_COUNT];
    struct kind_part kinds[DEVICE_MAX][KIND_NATIVE]; /**< those of blocks, dead ones by their bytes only */
    uint64_t slab_bytes, idle_slab_bytes;
    uint64_t slot_bytes;
    uint32_t unproven; /**< unregistered chunks that are unmapped */
    uint32_t alive;    /**< blocks, dead ones that are not given back included */
    uint32_t granules; /**< of them, and of idle blocks */
};

/** NULL: all holds. Else a sentence about the first thing that does not, valid until the next call. */
const char *core_check(void);

/** The same with core.lock held, and the sums. */
const char *core_check_locked(struct core_sums *out);

/** EBBTIDE_CHECK: check, and log what does not hold. Role held. */
void core_check_move(void);

#endif
