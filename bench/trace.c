/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - see trace.h. */
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void refuse(const char *path, size_t word, const char *why)
{
    fprintf(stderr, "replay: %s: word %zu: %s\n", path, word, why);
    exit(2);
}

static void *grown(void *memory, size_t count, size_t *room, size_t bytes)
{
    if (count < *room)
        return memory;
    *room = *room ? 2 * *room : 1024;
    memory = realloc(memory, *room * bytes);
    if (!memory)
        abort();
    return memory;
}

void trace_init(struct trace *trace, const char *name)
{
    *trace = (struct trace){0};
    snprintf(trace->name, sizeof(trace->name), "%s", name);
}

void trace_finish(struct trace *trace)
{
    free(trace->op);
    free(trace->use);
    free(trace->granules_of);
    *trace = (struct trace){0};
}

static struct trace_op *append(struct trace *trace, enum trace_kind kind)
{
    struct trace_op *op;

    trace->op = grown(trace->op, trace->ops, &trace->ops_room, sizeof(*trace->op));
    op = &trace->op[trace->ops];
    trace->ops_written = ++trace->ops;
    *op = (struct trace_op){.kind = kind};
    return op;
}

void trace_make(struct trace *trace, uint32_t block, uint32_t granules)
{
    struct trace_op *op = append(trace, TRACE_MAKE);

    op->block = block;
    op->granules = granules;
    if (block >= trace->blocks)
        trace->blocks = block + 1;
}

void trace_free(struct trace *trace, uint32_t block)
{
    append(trace, TRACE_FREE)->block = block;
}

void trace_launch(struct trace *trace, uint32_t function, uint32_t stream, uint32_t duration_ns)
{
    struct trace_op *op = append(trace, TRACE_LAUNCH);

    op->function = function;
    op->stream = stream;
    op->duration_ns = duration_ns;
    op->use = trace->uses;
    trace->launches++;
}

static uint32_t at_least(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void trace_use(struct trace *trace, uint32_t block, bool writes, double part, double reuse)
{
    struct trace_op *op = &trace->op[trace->ops - 1];
    uint32_t part_ppm = (uint32_t)(part * 1e6), reuse_percent = (uint32_t)(reuse * 100);

    for (uint32_t i = 0; i < op->count; i++) {
        struct trace_use *use = &trace->use[op->use + i];

        if (use->block != block)
            continue;
        use->flags |= writes;
        use->part_ppm = use->part_ppm + part_ppm < 1000000 ? use->part_ppm + part_ppm : 1000000;
        use->reuse_percent = at_least(use->reuse_percent, reuse_percent);
        return;
    }
    trace->use = grown(trace->use, trace->uses, &trace->uses_room, sizeof(*trace->use));
    trace->use[trace->uses++] = (struct trace_use){block, writes, at_least(part_ppm, 1), reuse_percent, 0};
    op->count++;
}

static void cut(struct trace *trace, uint32_t launches)
{
    uint32_t seen = 0;
    size_t ops = 0;

    while (ops < trace->ops_written && seen < launches)
        seen += trace->op[ops++].kind == TRACE_LAUNCH;
    trace->launches = seen;
    trace->ops = ops;
    trace->uses = 0;
    for (size_t i = 0; i < ops; i++)
        trace->uses += trace->op[i].count;
}

/* From the end: a block that is named was last heard of at the launch that names it next. */
static void find_next(struct trace *trace)
{
    uint32_t *next = malloc((trace->blocks + 1) * sizeof(*next)), launch = trace->launches;

    if (!next)
        abort();
    for (uint32_t i = 0; i < trace->blocks; i++)
        next[i] = TRACE_NEVER;
    for (size_t i = trace->ops; i-- > 0;) {
        struct trace_op *op = &trace->op[i];

        launch -= op->kind == TRACE_LAUNCH;
        if (op->kind == TRACE_MAKE)
            op->next = next[op->block];
        for (uint32_t k = 0; k < op->count; k++) {
            trace->use[op->use + k].next = next[trace->use[op->use + k].block];
            next[trace->use[op->use + k].block] = launch;
        }
    }
    free(next);
}

void trace_settle(struct trace *trace, uint32_t launches)
{
    uint64_t live = 0;

    cut(trace, launches);
    free(trace->granules_of);
    trace->granules_of = calloc(trace->blocks + 1, sizeof(*trace->granules_of));
    if (!trace->granules_of)
        abort();
    trace->need = 0;
    for (size_t i = 0; i < trace->ops; i++) {
        const struct trace_op *op = &trace->op[i];

        if (op->kind == TRACE_MAKE) {
            trace->granules_of[op->block] = op->granules;
            live += op->granules;
        } else if (op->kind == TRACE_FREE) {
            live -= trace->granules_of[op->block];
        }
        trace->need = live > trace->need ? live : trace->need;
    }
    find_next(trace);
}

void trace_shrink(struct trace *trace, uint32_t part)
{
    for (size_t i = 0; i < trace->ops_written; i++)
        if (trace->op[i].kind == TRACE_MAKE)
            trace->op[i].granules = (trace->op[i].granules + part - 1) / part;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static int32_t *words_of(const char *path, size_t *out_count)
{
    FILE *file = fopen(path, "rb");
    int32_t *words = NULL;
    size_t room = 0;

    if (!file)
        refuse(path, 0, strerror(errno));
    for (*out_count = 0;; (*out_count)++) {
        words = grown(words, *out_count, &room, sizeof(*words));
        if (fread(&words[*out_count], sizeof(*words), 1, file) != 1)
            break;
    }
    fclose(file);
    return words;
}

/* A word that is below `below`. */
static uint32_t number(const char *path, const int32_t *words, size_t count, size_t at, uint32_t below)
{
    if (at >= count)
        refuse(path, at, "the file ends within an operation");
    if (words[at] < 0 || (uint32_t)words[at] >= below)
        refuse(path, at, "a number is out of its range");
    return (uint32_t)words[at];
}

static size_t read_launch(struct trace *trace, const char *path, const int32_t *words, size_t count,
                          size_t at, const bool *live)
{
    uint32_t function = number(path, words, count, at, INT32_MAX);
    uint32_t stream = number(path, words, count, at + 1, INT32_MAX);
    uint32_t duration_ns = number(path, words, count, at + 2, INT32_MAX);
    uint32_t uses = number(path, words, count, at + 3, TRACE_USES_MAX + 1);

    trace_launch(trace, function, stream, duration_ns);
    at += 4;
    for (uint32_t i = 0; i < uses; i++, at += 4) {
        uint32_t block = number(path, words, count, at, TRACE_BLOCKS_MAX);

        if (!live[block])
            refuse(path, at, "a launch names a block that does not live");
        trace_use(trace, block, number(path, words, count, at + 1, INT32_MAX) & 1,
                  number(path, words, count, at + 2, INT32_MAX) / 1e6,
                  number(path, words, count, at + 3, INT32_MAX) / 1e2);
    }
    return at;
}

void trace_read(struct trace *trace, const char *path)
{
    const char *name = strrchr(path, '/');
    size_t count, at = 0;
    int32_t *words = words_of(path, &count);
    bool *live = calloc(TRACE_BLOCKS_MAX, sizeof(*live)), *made = calloc(TRACE_BLOCKS_MAX, sizeof(*made));

    if (!live || !made)
        abort();
    trace_init(trace, name ? name + 1 : path);
    while (at < count) {
        uint32_t kind = number(path, words, count, at, TRACE_LAUNCH + 1);

        if (kind == TRACE_LAUNCH) {
            at = read_launch(trace, path, words, count, at + 1, live);
            continue;
        }
        uint32_t block = number(path, words, count, at + 1, TRACE_BLOCKS_MAX);

        if (kind == TRACE_MAKE ? made[block] : !live[block])
            refuse(path, at, kind == TRACE_MAKE ? "a block is made twice" : "what is freed does not live");
        live[block] = kind == TRACE_MAKE;
        made[block] = true;
        if (kind == TRACE_MAKE)
            trace_make(trace, block, number(path, words, count, at + 2, TRACE_BLOCKS_MAX));
        else
            trace_free(trace, block);
        at += kind == TRACE_MAKE ? 3 : 2;
    }
    free(words);
    free(live);
    free(made);
    trace_settle(trace, UINT32_MAX);
}

static void put(FILE *file, uint32_t word)
{
    fwrite(&word, sizeof(word), 1, file);
}

void trace_write(const struct trace *trace, const char *path)
{
    FILE *file = fopen(path, "wb");

    if (!file)
        refuse(path, 0, strerror(errno));
    for (size_t i = 0; i < trace->ops; i++) {
        const struct trace_op *op = &trace->op[i];

        put(file, op->kind);
        if (op->kind != TRACE_LAUNCH) {
            put(file, op->block);
            if (op->kind == TRACE_MAKE)
                put(file, op->granules);
            continue;
        }
        put(file, op->function);
        put(file, op->stream);
        put(file, op->duration_ns);
        put(file, op->count);
        for (uint32_t k = 0; k < op->count; k++) {
            const struct trace_use *use = &trace->use[op->use + k];

            put(file, use->block);
            put(file, use->flags);
            put(file, use->part_ppm);
            put(file, use->reuse_percent);
        }
    }
    if (fclose(file))
        refuse(path, 0, strerror(errno));
}
