/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - is there a pointer to a block anywhere that a kernel could find it?
 *
 * A conservative scan of all memory that kernels can read, in steps of 4 bytes, by the device itself where it can
 * (scan_device.h), else through copies by the CPU: any 8 bytes that would be an address inside the arena count as a
 * pointer to the block there and, one granule wider on both sides, to its neighbours. Gate closed, device drained,
 * role held.
 *
 * Afterwards each block's flags say whether it holds such a word (BLOCK_HOLDER) and whether one points at it
 * (BLOCK_REFERENCED). They are void as soon as the gate opens.
 */
#ifndef EBB_SCAN_H
#define EBB_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct use;

typedef void (*scan_hit_fn)(uint64_t word, void *arg);

/** Call `hit` for each word of [memory, memory + bytes) that lies in [base, base + span). `memory` and `bytes` are
 *  multiples of 4; the word that begins in the last 4 bytes is not seen. Pure. */
void scan_words(const void *memory, size_t bytes, uint64_t base, uint64_t span, scan_hit_fn hit, void *arg);

/** Bytes from the arena's base to one granule past the last address ever handed out: no pointer lies beyond, and the
 *  fewer addresses count, the fewer numbers are taken for pointers. */
uint64_t scan_span(void);

/** A word points into this granule: its block and its neighbours' are BLOCK_REFERENCED. core.lock held. */
void scan_refer(uint32_t granule);

/** The block of this granule holds a word that counts: BLOCK_HOLDER. core.lock held. */
void scan_hold(uint32_t granule);

/** Note the blocks that memory points at which kernels read and the CPU writes. Before each launch while something is
 *  unmapped; any thread. */
void scan_cpu_roots(struct use *use);

/** Scan everything. False: some root cannot be known (said once), so nothing was proven. */
bool scan_run(void);

#endif
