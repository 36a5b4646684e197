/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - the three kinds of steps inside a closure, each a batch: plan, copy with one synchronisation, swap, commit.
 *
 * Gate closed, device drained, role held, no lock. A step that fails is rolled back and does not count; others of its
 * batch are not affected.
 */
#ifndef EBB_STEPS_H
#define EBB_STEPS_H

#include <stdbool.h>
#include <stdint.h>

struct closure;

/** Device to host (mapped or not), or dropped where an equal copy is on disk. Returns the bytes that left. */
uint64_t steps_evict(const struct closure *closure, bool proven);

/** What steps_evict would free if every copy succeeded; for its planning. core.lock not held. How much of it needs room
 *  in host memory is in closure->save_bytes then. */
uint64_t steps_evictable(struct closure *closure);

/** Mapped host to device, in the closure's order, as far as there is room. Returns the bytes that came back. */
uint64_t steps_restore(const struct closure *closure);

/** Mapped host to unmapped host. Returns the bytes unmapped. */
uint64_t steps_unmap(const struct closure *closure, bool proven);

#endif
