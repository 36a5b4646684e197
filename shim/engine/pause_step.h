/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause_step.h - the three things that a pause does, each to a batch of steps: plan, copy with one wait, remap, commit.
 *
 * A step that fails is rolled back and does not count; others of its batch are not affected.
 *
 * Threads  the mover's role; gate closed, devices drained, no lock.
 */
#ifndef EBB_PAUSE_STEP_H
#define EBB_PAUSE_STEP_H

#include "engine/pause.h"
#include "engine/step.h"

/** The question that a choice of blocks answers. */
struct pause_question {
    const struct pause_plan *plan;
    bool proven; /**< a scan has found every pointer */
};

/** True when the block is one of those that may leave by the plan. core.lock held. */
static inline bool pause_means(const struct pause_plan *plan, uint32_t first)
{
    if (plan->only && *plan->only != first)
        return false;
    return !plan->only_registered || core.blocks.block[first].flags & BLOCK_REGISTERED;
}

/** Device to host (mapped or not), or dropped where an equal copy is on disk. Returns the bytes that left. */
uint64_t pause_evict(const struct pause_plan *plan, bool proven);

/** Mapped host to device, in the plan's order, as far as there is room. Returns the bytes that came back. */
uint64_t pause_restore(const struct pause_plan *plan);

/** Mapped host to unmapped host. Returns the bytes unmapped. */
uint64_t pause_unmap(const struct pause_plan *plan, bool proven);

#endif
