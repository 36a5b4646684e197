/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause_steps.h - the three kinds of steps inside a pause, each a batch: plan, copy with one synchronisation, swap, commit.
 *
 * Gate closed, device drained, role held, no lock. A step that fails is rolled back and does not count; others of its
 * batch are not affected.
 */
#ifndef EBB_STEPS_H
#define EBB_STEPS_H

#include <stdbool.h>
#include <stdint.h>

struct pause;

/** Device to host (mapped or not), or dropped where an equal copy is on disk. Returns the bytes that left. */
uint64_t pause_evict(const struct pause *pause, bool proven);

/** What pause_evict would free if every copy succeeded; for its planning. core.lock not held. How much of it needs room
 *  in host memory is in pause->save_bytes then. */
uint64_t pause_evictable(struct pause *pause);

/** Mapped host to device, in the pause's order, as far as there is room. Returns the bytes that came back. */
uint64_t pause_restore(const struct pause *pause);

/** Mapped host to unmapped host. Returns the bytes unmapped. */
uint64_t pause_unmap(const struct pause *pause, bool proven);

#endif
