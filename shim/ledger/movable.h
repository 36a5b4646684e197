/* SPDX-License-Identifier: Apache-2.0 */
/*
 * movable.h - which blocks may leave: the device, and the tiers that are mapped.
 *
 * A kernel may reach memory through a pointer that nobody saw. So a block is unmapped only if the program named it, if a
 * scan has just found no pointer to it (`proven`), or if EBBTIDE_DISK=always says that none is kept.
 *
 * Threads  core.lock held.
 */
#ifndef EBB_MOVABLE_H
#define EBB_MOVABLE_H

#include <stdbool.h>
#include <stdint.h>

/** True when the block may leave the mapped tiers; `proven`: scan_run has just returned true. */
bool movable_may_unmap(uint32_t first, bool proven);

/** True when the block may leave the device once no launch uses it. */
bool movable_could_evict(uint32_t first, bool proven);

/** True when it may leave now. */
bool movable_may_evict(uint32_t first, bool proven);

#endif
