/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - what comes back in a pause beside what is wanted: blocks that launches which repeat want next, while those that
 * leave for them are wanted later, and another pause would cost more.
 *
 * Threads  the mover's role, with core.lock.
 */
#ifndef EBB_BATCH_H
#define EBB_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/pause.h"
#include "policy/plan.h"

/** That may leave for a batch, whose last one comes by whole chunks. */
#define BATCH_BYTES ((uint64_t)PLAN_BATCH_GRANULES * 2 * GRANULE_BYTES)

/** Add them to a plan that restores, and what leaves for them. Without a forecast nothing is added.
 *  @leaving     `count` blocks, as pause_leaving tells them for BATCH_BYTES; who leaves is written there
 *  @room_bytes  that are free on the device before anything moves, less what is kept free */
void batch_plan(struct pause_plan *plan, struct plan_block *leaving, size_t count, uint64_t room_bytes);

#endif
