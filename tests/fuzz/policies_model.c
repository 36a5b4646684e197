/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policies_model.c - any input, any policy: what is chosen is what the rules say.
 *
 * The model is written from the rules: it looks at every candidate for each victim, and takes the one that no rule
 * puts behind another. Bytes of the input make the candidates; the least recent come first or the largest, stamps are
 * few so that ties are common.
 */
#include "draw.h"
#include "fuzz.h"
#include "policy/policies.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCKS = 600
};

struct world {
    uint64_t stamp[BLOCKS];
    struct candidate candidate[BLOCKS];
    bool taken[BLOCKS];
    size_t count;
    enum policy_kind kind;
    uint64_t newest;
};

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    return ((struct world *)arg)->candidate[index].bytes;
}

static void describe(uint32_t index, void *arg, struct candidate *out)
{
    *out = ((struct world *)arg)->candidate[index];
    out->bytes = 0;
}

static bool may_leave(const struct world *world, size_t i)
{
    return !world->taken[i] && world->stamp[i] && world->stamp[i] <= world->newest &&
           world->candidate[i].bytes;
}

/* Negative: a leaves before b. */
static int by_policy(const struct world *world, size_t a, size_t b, uint64_t lacking)
{
    const struct candidate *left = &world->candidate[a], *right = &world->candidate[b];
    bool enough = left->bytes >= lacking;

    if (world->kind == POLICY_FIFO)
        return left->arrival < right->arrival ? -1 : 1;
    if (world->kind == POLICY_STAGE && left->stage != right->stage)
        return left->stage > right->stage ? -1 : 1;
    if (world->kind == POLICY_SIZE && enough != (right->bytes >= lacking))
        return enough ? -1 : 1;
    if (world->kind == POLICY_SIZE && left->bytes != right->bytes)
        return (left->bytes < right->bytes) == enough ? -1 : 1;
    if (world->kind == POLICY_LOOKAHEAD && (left->ahead || right->ahead)) /* all stamps are of one moment */
        return left->ahead == right->ahead                                    ? 0
               : left->ahead && (!right->ahead || left->ahead < right->ahead) ? 1
                                                                              : -1;
    return world->stamp[a] != world->stamp[b] ? (world->stamp[a] < world->stamp[b] ? -1 : 1) : 0;
}

static bool leaves_before(const struct world *world, size_t a, size_t b, uint64_t lacking)
{
    const struct candidate *left = &world->candidate[a], *right = &world->candidate[b];
    int order;

    if (left->is_favoured != right->is_favoured)
        return right->is_favoured;
    if (left->is_settling != right->is_settling)
        return right->is_settling;
    if (left->priority != right->priority)
        return left->priority < right->priority;
    order = by_policy(world, a, b, lacking);
    return order ? order < 0 : a < b;
}

static size_t model_choose(struct world *world, uint64_t need_bytes, uint32_t *out)
{
    size_t chosen = 0;

    while (need_bytes) {
        size_t first = world->count;

        for (size_t i = 0; i < world->count; i++)
            if (may_leave(world, i) && (first == world->count || leaves_before(world, i, first, need_bytes)))
                first = i;
        if (first == world->count)
            break;
        world->taken[first] = true;
        out[chosen++] = (uint32_t)first;
        need_bytes -= need_bytes < world->candidate[first].bytes ? need_bytes : world->candidate[first].bytes;
    }
    return chosen;
}

/* With `size` every rank is of its own: the rule is exact only where all are alike. */
static void fill(struct world *world, struct input *input)
{
    bool ranks = world->kind != POLICY_SIZE && draw(input, 2);
    unsigned ages = 1 + draw(input, 300);

    for (size_t i = 0; i < world->count; i++) {
        world->stamp[i] = draw(input, ages);
        world->candidate[i] =
            (struct candidate){.arrival = 1 + (i * 7919) % BLOCKS,
                               .bytes = ((uint64_t)draw(input, 24) << 21) * (draw(input, 4) != 0),
                               .ahead = draw(input, 5),
                               .stage = ranks ? draw(input, 4) : 0,
                               .priority = ranks ? (int)draw(input, 3) - 1 : 0,
                               .is_favoured = ranks && draw(input, 5) == 0,
                               .is_settling = ranks && draw(input, 5) == 0};
    }
    world->newest = draw(input, 2) ? UINT64_MAX : draw(input, 300);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct victim scratch[256];
    static uint32_t got[BLOCKS], expected[BLOCKS];
    static struct world world;
    struct input input = {data, size};

    memset(&world, 0, sizeof(world));
    world.kind = draw(&input, POLICY_COUNT);
    world.count = draw(&input, BLOCKS + 1);
    fill(&world, &input);
    const uint64_t need_bytes = (uint64_t)draw(&input, 5000) << 20;
    const struct policies view = {
        .policy = &policies[world.kind],
        .victims = {.stamp = world.stamp,
                    .count = world.count,
                    .newest = world.newest,
                    .movable_bytes = movable_bytes,
                    .arg = &world,
                    .scratch = scratch,
                    .scratch_count = VICTIMS_SCRATCH_MIN + draw(&input, 240)},
        .describe = describe,
        .is_ranked = true,
    };
    size_t count = policies_choose(&view, need_bytes, got, BLOCKS);

    if (count != model_choose(&world, need_bytes, expected) || memcmp(got, expected, count * sizeof(*got)))
        abort();
    return 0;
}
