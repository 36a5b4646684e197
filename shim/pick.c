/* SPDX-License-Identifier: Apache-2.0 */
/* pick.c - see pick.h. */
#include "pick.h"

#include "state.h"
#include "victims.h"

static struct victim scratch[VICTIMS_SCRATCH];
static uint32_t picked[PICK_MAX];

uint32_t pick_blocks(uint64_t need_bytes, uint64_t newest, pick_bytes_fn bytes, void *arg,
                     const uint32_t **out)
{
    const struct victims view = {
        .stamp = (const uint64_t *)core.blocks.stamp,
        .count = extent_high(&core.arena),
        .newest = newest,
        .movable_bytes = bytes,
        .arg = arg,
        .scratch = scratch,
        .scratch_count = VICTIMS_SCRATCH,
    };

    *out = picked;
    return need_bytes ? (uint32_t)victims_choose(&view, need_bytes, picked, PICK_MAX) : 0;
}
