/* SPDX-License-Identifier: Apache-2.0 */
/* pick.c - see pick.h. */
#include "engine/pick.h"

#include "engine/foresight.h"
#include "ledger/state.h"
#include "policy/policies.h"

static struct victim scratch[VICTIMS_SCRATCH];
static uint32_t picked[PICK_MAX];

struct question {
    uint32_t low; /* first granule that has ever had a block: candidates are counted from there */
    pick_bytes_fn bytes;
    void *arg;
    uint64_t settled; /* stamp: what came back later has not */
    bool has_shares;  /* registered blocks are favoured */
    bool is_foretold;
};

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    const struct question *question = arg;

    return question->bytes(question->low + index, question->arg);
}

static void describe(uint32_t index, void *arg, struct candidate *out)
{
    const struct question *question = arg;
    const struct block *block = &core.blocks.block[question->low + index];

    out->arrival = block->id;
    out->stage = block->stage;
    out->priority = block->priority;
    out->is_favoured = question->has_shares && block->flags & BLOCK_REGISTERED;
    out->is_settling = block->returned > question->settled;
    if (question->is_foretold)
        out->ahead = foresight_ahead(question->low + index);
}

uint32_t pick_blocks(uint64_t want_bytes, uint64_t newest, pick_bytes_fn bytes, void *arg,
                     const uint32_t **out)
{
    uint32_t low = extent_low(&core.blocks.arena), count;
    struct question question = {
        low,
        bytes,
        arg,
        policies_settled((enum policy_kind)core.options->policy, core_stamp(), core.stamp_hz),
        share_in_force(),
        false};
    struct policies view = {
        .policy = &policies[core.options->policy],
        .victims =
            {
                .stamp = (const uint64_t *)core.blocks.stamp + low,
                .count = extent_high(&core.blocks.arena) - low,
                .newest = newest ? newest : UINT64_MAX,
                .movable_bytes = movable_bytes,
                .arg = &question,
                .scratch = scratch,
                .scratch_count = VICTIMS_SCRATCH,
            },
        .describe = describe,
        .is_ranked = core.is_ranked || question.has_shares,
    };

    *out = picked;
    if (!want_bytes || atomic_load(&core.account_only))
        return 0;
    if (core.options->policy == POLICY_LOOKAHEAD) {
        view.policy = &policies[POLICY_LRU];
        question.is_foretold = foresight_update();
    }
    if (question.is_foretold) {
        foresight_oldest(low, picked, (uint32_t)policies_choose(&view, want_bytes, picked, FORESIGHT_OLDEST));
        view.policy = &policies[POLICY_LOOKAHEAD];
    }
    count = (uint32_t)policies_choose(&view, want_bytes, picked, PICK_MAX);
    for (uint32_t i = 0; i < count; i++)
        picked[i] += low;
    return count;
}
