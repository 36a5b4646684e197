/* SPDX-License-Identifier: Apache-2.0 */
/* belady.c - see belady.h. */
#include "belady.h"

#include <stdbool.h>
#include <stdlib.h>

struct place {
    uint32_t here;   /* granules */
    uint32_t next;   /* launch that names it */
    uint32_t listed; /* where it stands among the living */
    bool in_use;
};

struct world {
    const struct trace *trace;
    struct place *place;
    uint32_t *living, count;
    uint64_t room, used;
    struct traffic traffic;
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Who is needed last of those that are here and not in use; TRACE_NEVER: nobody. */
static uint32_t farthest(const struct world *world)
{
    uint32_t best = TRACE_NEVER;

    for (uint32_t i = 0; i < world->count; i++) {
        const struct place *place = &world->place[world->living[i]];

        if (place->here && !place->in_use && (best == TRACE_NEVER || place->next > world->place[best].next))
            best = world->living[i];
    }
    return best;
}

/* Room for `want` granules, as far as there is any. How many find some. */
static uint64_t make_room(struct world *world, uint64_t want)
{
    while (world->used + want > world->room) {
        uint32_t victim = farthest(world);
        uint64_t granules;

        if (victim == TRACE_NEVER)
            return world->room > world->used ? world->room - world->used : 0;
        granules = least(world->used + want - world->room, world->place[victim].here);
        world->place[victim].here -= (uint32_t)granules;
        world->used -= granules;
        world->traffic.evicted += granules;
    }
    return want;
}

/* All of the block that is not here comes, while `left` lasts. How many granules did. */
static uint64_t fill(struct world *world, uint32_t block, uint64_t *left)
{
    struct place *place = &world->place[block];
    uint64_t granules = least(world->trace->granules_of[block] - place->here, *left);

    place->here += (uint32_t)granules;
    world->used += granules;
    *left -= granules;
    return granules;
}

static void launch(struct world *world, const struct trace_op *op)
{
    const struct trace_use *use = &world->trace->use[op->use];
    uint64_t want = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        struct place *place = &world->place[use[i].block];

        want += world->trace->granules_of[use[i].block] - place->here;
        place->in_use = true;
    }
    want = make_room(world, want);
    for (uint32_t i = 0; i < op->count; i++) {
        world->traffic.restored += fill(world, use[i].block, &want);
        world->place[use[i].block].in_use = false;
        world->place[use[i].block].next = use[i].next;
    }
}

static void make(struct world *world, const struct trace_op *op)
{
    struct place *place = &world->place[op->block];
    uint64_t want;

    *place = (struct place){.next = op->next, .listed = world->count, .in_use = true};
    world->living[world->count++] = op->block;
    want = make_room(world, op->granules);
    fill(world, op->block, &want);
    place->in_use = false;
}

static void drop(struct world *world, uint32_t block)
{
    struct place *place = &world->place[block];
    uint32_t last = world->living[--world->count];

    world->used -= place->here;
    place->here = 0;
    world->living[place->listed] = last;
    world->place[last].listed = place->listed;
}

void belady_run(const struct trace *trace, uint64_t room, struct traffic *out, struct traffic *out_steady)
{
    struct world world = {.trace = trace, .room = room};
    struct traffic half = {0};
    uint32_t launches = 0;

    world.place = calloc(trace->blocks + 1, sizeof(*world.place));
    world.living = calloc(trace->blocks + 1, sizeof(*world.living));
    if (!world.place || !world.living)
        abort();
    for (size_t i = 0; i < trace->ops; i++) {
        const struct trace_op *op = &trace->op[i];

        if (op->kind == TRACE_MAKE)
            make(&world, op);
        else if (op->kind == TRACE_FREE)
            drop(&world, op->block);
        else {
            if (launches++ == trace->launches / 2)
                half = world.traffic;
            launch(&world, op);
        }
    }
    *out = world.traffic;
    *out_steady = (struct traffic){out->restored - half.restored, out->evicted - half.evicted, 0};
    free(world.place);
    free(world.living);
}
