/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_programs.c - see trace_programs.h.
 *
 * A kernel takes as long as its bytes at 2 TB/s, times what it computes on each.
 */
#include "trace_programs.h"

#include <stdlib.h>

enum {
    GRANULE_NS = 1049, /* of 2 MiB at 2 TB/s */
    LAYERS_MOST = 32,
    PARTS = 4 /* matrices of a layer, and what it hands on */
};

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

struct draw {
    uint64_t state;
};

static uint32_t draw(struct draw *from, uint32_t below)
{
    from->state ^= from->state << 13;
    from->state ^= from->state >> 7;
    from->state ^= from->state << 17;
    return (uint32_t)((from->state >> 32) * below >> 32);
}

/* `middle`, more or less by up to `percent` of it. */
static uint32_t about(struct draw *from, uint32_t middle, uint32_t percent)
{
    uint32_t span = middle * percent / 100;

    return span ? middle - span + draw(from, 2 * span + 1) : middle;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static uint32_t made(struct trace *trace, uint32_t granules)
{
    uint32_t block = trace->blocks;

    trace_make(trace, block, granules ? granules : 1);
    return block;
}

static void run(struct trace *trace, uint32_t function, uint32_t granules, uint32_t work)
{
    trace_launch(trace, function, 0, 2000 + granules * GRANULE_NS * work);
}

static void reads(struct trace *trace, uint32_t block, double reuse)
{
    trace_use(trace, block, false, 1, reuse);
}

static void writes(struct trace *trace, uint32_t block)
{
    trace_use(trace, block, true, 1, 1);
}

/* ---- blocks in turn --------------------------------------------------------------------------------------------- */

static void in_turn(struct trace *trace, unsigned blocks, const uint32_t *sizes, unsigned size_count,
                    unsigned rounds)
{
    uint32_t *block = malloc(blocks * sizeof(*block));

    if (!block)
        abort();
    for (unsigned i = 0; i < blocks; i++)
        block[i] = made(trace, sizes[i % size_count]);
    for (unsigned i = 0; i < rounds * blocks; i++) {
        run(trace, 1 + i % blocks % 3, sizes[i % blocks % size_count], 1);
        writes(trace, block[i % blocks]);
    }
    free(block);
}

static void turns(struct trace *trace)
{
    in_turn(trace, 40, (const uint32_t[]){8}, 1, 10);
}

static void turns_long(struct trace *trace)
{
    in_turn(trace, 40, (const uint32_t[]){8}, 1, 60);
}

static void turns_mixed(struct trace *trace)
{
    in_turn(trace, 56, (const uint32_t[]){1, 24, 2, 6, 40, 3, 12}, 7, 20);
}

/* ---- training --------------------------------------------------------------------------------------------------- */

struct layer {
    uint32_t weight[PARTS], gradient[PARTS], moment[PARTS]; /* what the optimizer remembers is one block */
    uint32_t out[PARTS];
};

struct training {
    unsigned layers, steps;
    bool is_fresh;    /* what layers hand on is made for each step, and freed when it was used last */
    uint32_t percent; /* by which the length of a step varies */
    uint64_t seed;
};

static const uint32_t weight_granules[PARTS] = {3, 1, 4, 4}, out_granules[PARTS] = {6, 2, 8, 2};

static void forward(struct trace *trace, struct layer *layer, const struct training *plan, uint32_t in,
                    uint32_t length)
{
    for (unsigned p = 0; p < PARTS; p++) {
        uint32_t granules = out_granules[p] * length / 100;

        if (plan->is_fresh)
            layer->out[p] = made(trace, granules);
        run(trace, 10 + p, weight_granules[p] + granules, 6);
        reads(trace, p ? layer->out[p - 1] : in, 8);
        reads(trace, layer->weight[p], 8);
        writes(trace, layer->out[p]);
    }
}

static void backward(struct trace *trace, struct layer *layer, const struct training *plan, uint32_t in,
                     uint32_t *error)
{
    for (unsigned p = PARTS; p-- > 0;) {
        uint32_t before = p ? layer->out[p - 1] : in;

        run(trace, 20 + p, weight_granules[p], 12);
        reads(trace, layer->weight[p], 8);
        reads(trace, error[0], 8);
        writes(trace, error[1]);
        run(trace, 30 + p, weight_granules[p], 12);
        reads(trace, before, 8);
        reads(trace, error[0], 8);
        writes(trace, layer->gradient[p]);
        if (plan->is_fresh)
            trace_free(trace, layer->out[p]);
        uint32_t other = error[0];

        error[0] = error[1];
        error[1] = other;
    }
}

static void optimize(struct trace *trace, const struct layer *layer)
{
    for (unsigned p = 0; p < PARTS; p++) {
        run(trace, 40, 4 * weight_granules[p], 1);
        writes(trace, layer->weight[p]);
        reads(trace, layer->gradient[p], 1);
        writes(trace, layer->moment[p]);
    }
}

static void train(struct trace *trace, const struct training *plan)
{
    struct layer layer[LAYERS_MOST];
    struct draw from = {plan->seed};
    uint32_t input = made(trace, 2), error[2] = {made(trace, 8), made(trace, 8)};

    for (unsigned l = 0; l < plan->layers; l++)
        for (unsigned p = 0; p < PARTS; p++) {
            layer[l].weight[p] = made(trace, weight_granules[p]);
            layer[l].gradient[p] = made(trace, weight_granules[p]);
            layer[l].moment[p] = made(trace, 2 * weight_granules[p]);
            if (!plan->is_fresh)
                layer[l].out[p] = made(trace, out_granules[p]);
        }
    for (unsigned s = 0; s < plan->steps; s++) {
        uint32_t length = about(&from, 100, plan->percent);

        for (unsigned l = 0; l < plan->layers; l++)
            forward(trace, &layer[l], plan, l ? layer[l - 1].out[PARTS - 1] : input, length);
        for (unsigned l = plan->layers; l-- > 0;)
            backward(trace, &layer[l], plan, l ? layer[l - 1].out[PARTS - 1] : input, error);
        for (unsigned l = 0; l < plan->layers; l++)
            optimize(trace, &layer[l]);
    }
}

static void train_fixed(struct trace *trace)
{
    train(trace, &(struct training){.layers = 12, .steps = 12, .seed = 1});
}

static void train_fresh(struct trace *trace)
{
    train(trace, &(struct training){.layers = 12, .steps = 12, .is_fresh = true, .seed = 2});
}

static void train_varied(struct trace *trace)
{
    train(trace, &(struct training){.layers = 12, .steps = 12, .is_fresh = true, .percent = 15, .seed = 3});
}

/* ---- a language model says its words ---------------------------------------------------------------------------- */

static void decode(struct trace *trace, unsigned layers, unsigned texts, uint64_t seed)
{
    struct draw from = {seed};
    uint32_t weight[LAYERS_MOST][2], seen[LAYERS_MOST], state = made(trace, 2), words = made(trace, 62);

    for (unsigned l = 0; l < layers; l++) {
        weight[l][0] = made(trace, 12);
        weight[l][1] = made(trace, 24);
        seen[l] = made(trace, 8);
    }
    for (unsigned t = 0; t < texts; t++) {
        uint32_t said = about(&from, 50, 40);

        for (unsigned w = 0; w <= said; w++) { /* the first is all of the question at once */
            for (unsigned l = 0; l < layers; l++) {
                run(trace, w ? 20 : 10, 12, w ? 1 : 6);
                reads(trace, weight[l][0], w ? 1 : 5);
                trace_use(trace, seen[l], true, 0.3, 1);
                run(trace, w ? 21 : 11, 24, w ? 1 : 6);
                reads(trace, weight[l][1], w ? 1 : 5);
                writes(trace, state);
            }
            run(trace, 30, 62, 1);
            reads(trace, words, 1);
            writes(trace, state);
        }
    }
}

static void decode_words(struct trace *trace)
{
    decode(trace, 24, 4, 4);
}

/* ---- a data base is asked --------------------------------------------------------------------------------------- */

static void queries(struct trace *trace)
{
    struct draw from = {5};
    uint32_t column[8], small[4];

    for (unsigned i = 0; i < 8; i++)
        column[i] = made(trace, 96);
    for (unsigned i = 0; i < 4; i++)
        small[i] = made(trace, 24);
    for (unsigned q = 0; q < 40; q++) {
        uint32_t kind = draw(&from, 4), table = made(trace, 48), mask = made(trace, 12), kept[3], sum;

        run(trace, 1, 24, 6);
        reads(trace, small[kind], 1);
        writes(trace, table);
        run(trace, 2, 96, 1);
        reads(trace, column[kind], 1);
        writes(trace, mask);
        for (unsigned i = 0; i < 3; i++) {
            kept[i] = made(trace, about(&from, 20 + 15 * kind, 10));
            run(trace, 3, 96, 1);
            reads(trace, column[(kind + 2 * i) % 8], 1);
            reads(trace, mask, 1);
            writes(trace, kept[i]);
        }
        trace_free(trace, mask);
        sum = made(trace, 6);
        for (unsigned i = 0; i < 3; i++) {
            run(trace, 4, 60, 3);
            reads(trace, kept[i], 1);
            reads(trace, table, 12);
            writes(trace, sum);
        }
        trace_free(trace, table);
        for (unsigned i = 0; i < 3; i++)
            trace_free(trace, kept[i]);
        trace_free(trace, sum);
    }
}

/* ---- drawn at random: the number n block as often as 1 / n, or all alike ----------------------------------------- */

static uint32_t drawn_block(struct draw *from, const uint32_t *weight, unsigned count, uint32_t sum)
{
    uint32_t at = draw(from, sum), i = 0;

    while (i + 1 < count && at >= weight[i])
        at -= weight[i++];
    return i;
}

static void drawn(struct trace *trace, bool is_skewed, uint64_t seed)
{
    enum {
        BLOCKS = 160
    };
    uint32_t weight[BLOCKS], block[BLOCKS], sum = 0;
    struct draw from = {seed};

    for (unsigned i = 0; i < BLOCKS; i++) {
        weight[i] = is_skewed ? 10000 / (i + 1) : 1;
        sum += weight[i];
        block[i] = made(trace, 4);
    }
    for (unsigned i = 0; i < 5000; i++) {
        run(trace, 1 + draw(&from, 5), 8, 2);
        for (unsigned k = 0; k < 2; k++)
            trace_use(trace, block[drawn_block(&from, weight, BLOCKS, sum) * 77 % BLOCKS], k, 1, 2);
    }
}

static void drawn_skewed(struct trace *trace)
{
    drawn(trace, true, 6);
}

static void drawn_alike(struct trace *trace)
{
    drawn(trace, false, 7);
}

/* ---- programs beside, behind and in each other's way ------------------------------------------------------------- */

/* One operation of `from`, as that of program `number`, whose blocks begin at `base`. */
static void copy(struct trace *to, const struct trace *from, size_t op, unsigned number, uint32_t base,
                 uint32_t stream)
{
    const struct trace_op *one = &from->op[op];

    if (one->kind == TRACE_MAKE)
        trace_make(to, base + one->block, one->granules);
    else if (one->kind == TRACE_FREE)
        trace_free(to, base + one->block);
    else {
        trace_launch(to, one->function + 100 * number, stream, one->duration_ns);
        for (uint32_t i = 0; i < one->count; i++) {
            const struct trace_use *use = &from->use[one->use + i];

            trace_use(to, base + use->block, use->flags & 1, use->part_ppm / 1e6, use->reuse_percent / 1e2);
        }
    }
}

/* Both at once, each as fast as it has operations; each on a stream of its own, or both on one. */
static void together(struct trace *trace, bool has_streams)
{
    struct trace part[2];
    struct draw from = {8};
    size_t at[2] = {0};

    trace_init(&part[0], "");
    trace_init(&part[1], "");
    train(&part[0], &(struct training){.layers = 10, .steps = 8, .seed = 9});
    decode(&part[1], 12, 3, 10);
    while (at[0] < part[0].ops || at[1] < part[1].ops) {
        unsigned p = draw(&from, (uint32_t)(part[0].ops + part[1].ops)) >= part[0].ops;

        if (at[p] == part[p].ops)
            p = !p;
        copy(trace, &part[p], at[p]++, p, p ? part[0].blocks : 0, has_streams ? p : 0);
    }
    trace_finish(&part[0]);
    trace_finish(&part[1]);
}

static void two_streams(struct trace *trace)
{
    together(trace, true);
}

static void two_on_one(struct trace *trace)
{
    together(trace, false);
}

static void free_living(struct trace *trace)
{
    bool *is_living = calloc(trace->blocks, sizeof(*is_living));

    if (!is_living)
        abort();
    for (size_t i = 0; i < trace->ops; i++)
        if (trace->op[i].kind != TRACE_LAUNCH)
            is_living[trace->op[i].block] = trace->op[i].kind == TRACE_MAKE;
    for (uint32_t block = 0, blocks = trace->blocks; block < blocks; block++)
        if (is_living[block])
            trace_free(trace, block);
    free(is_living);
}

/* One kind of work until it is done and all of it is freed, then another. */
static void phases(struct trace *trace)
{
    struct trace second;

    train(trace, &(struct training){.layers = 12, .steps = 5, .seed = 11});
    free_living(trace);
    trace_init(&second, "");
    decode(&second, 20, 2, 12);
    for (size_t i = 0, base = trace->blocks; i < second.ops; i++)
        copy(trace, &second, i, 1, (uint32_t)base, 0);
    trace_finish(&second);
}

/* Of a hundred launches five change places with the one behind, one is left out, one comes on top. */
static void train_disturbed(struct trace *trace)
{
    struct trace even;
    struct draw from = {13};

    trace_init(&even, "");
    train_fixed(&even);
    for (size_t i = 0; i < even.ops; i++) {
        bool is_launch = even.op[i].kind == TRACE_LAUNCH;
        uint32_t chance = is_launch ? draw(&from, 100) : 100;

        if (chance < 5 && i + 1 < even.ops && even.op[i + 1].kind == TRACE_LAUNCH) {
            copy(trace, &even, i + 1, 0, 0, 0);
            copy(trace, &even, i++, 0, 0, 0);
        } else if (chance != 5) {
            copy(trace, &even, i, 0, 0, 0);
        }
        if (chance == 6) {
            run(trace, 90, 6, 1);
            reads(trace, draw(&from, even.blocks), 1);
        }
    }
    trace_finish(&even);
}

const struct trace_program trace_programs[] = {
    {"turns", turns},
    {"turns-mixed", turns_mixed},
    {"turns-long", turns_long},
    {"train-fixed", train_fixed},
    {"train-fresh", train_fresh},
    {"train-varied", train_varied},
    {"train-disturbed", train_disturbed},
    {"decode", decode_words},
    {"queries", queries},
    {"phases", phases},
    {"drawn-skewed", drawn_skewed},
    {"drawn-alike", drawn_alike},
    {"two-streams", two_streams},
    {"two-on-one", two_on_one},
};

const unsigned trace_programs_count = sizeof(trace_programs) / sizeof(*trace_programs);
