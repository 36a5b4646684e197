/* SPDX-License-Identifier: Apache-2.0 */
/* pick.c - see pick.h. */
#include "pick.h"

#include "policies.h"
#include "state.h"

/* What came back less than this ago leaves after all else: a policy that does not go by use would send it away before
 * it was of use. */
#define SETTLE_MS 100

static struct victim scratch[VICTIMS_SCRATCH];
static uint32_t picked[PICK_MAX];

struct question {
    pick_bytes_fn bytes;
    void *arg;
    uint64_t settled; /* stamp: what came back later has not */
    bool in_turn;     /* only blocks that are `wanted` are asked for */
    uint8_t wanted;   /* BLOCK_REGISTERED or 0 */
};

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    const struct question *question = arg;

    if (question->in_turn && (core.blocks.block[index].flags & BLOCK_REGISTERED) != question->wanted)
        return 0;
    return question->bytes(index, question->arg);
}

static void describe(uint32_t index, void *arg, struct candidate *out)
{
    const struct question *question = arg;
    const struct block *block = &core.blocks.block[index];

    out->arrival = block->id;
    out->stage = block->stage;
    out->priority = block->priority;
    out->is_settling = block->returned > question->settled;
}

uint32_t pick_blocks(uint64_t need_bytes, uint64_t newest, pick_bytes_fn bytes, void *arg,
                     const uint32_t **out)
{
    uint64_t now = core_stamp(), settle = core.stamp_hz / 1000 * SETTLE_MS;
    struct question question = {
        .bytes = bytes, .arg = arg, .settled = now > settle ? now - settle : 0, .in_turn = area_in_force()};
    uint32_t count;
    const struct policies view = {
        .policy = &policies[core.options->policy],
        .victims =
            {
                .stamp = (const uint64_t *)core.blocks.stamp,
                .count = extent_high(&core.arena),
                .newest = newest,
                .movable_bytes = movable_bytes,
                .arg = &question,
                .scratch = scratch,
                .scratch_count = VICTIMS_SCRATCH,
            },
        .describe = describe,
        .is_ranked = core.is_ranked,
    };

    *out = picked;
    if (!need_bytes || atomic_load(&core.account_only))
        return 0;
    count = (uint32_t)policies_choose(&view, need_bytes, picked, PICK_MAX);
    if (!question.in_turn)
        return count;
    for (uint32_t i = 0; i < count && need_bytes; i++) {
        uint64_t got_bytes = bytes(picked[i], arg);

        need_bytes -= got_bytes < need_bytes ? got_bytes : need_bytes;
    }
    if (!need_bytes)
        return count;
    question.wanted = BLOCK_REGISTERED;
    return count + (uint32_t)policies_choose(&view, need_bytes, picked + count, PICK_MAX - count);
}
