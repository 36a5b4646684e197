/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - what a program asked of a GPU, written down: blocks made, blocks freed, launches and the blocks they name.
 *
 * File     words of 32 bits in the order of the machine:
 *          0 BLOCK GRANULES                              a block is made; no number is used twice
 *          1 BLOCK                                       it is freed
 *          2 FUNCTION STREAM NANOSECONDS COUNT, and COUNT times BLOCK FLAGS PART REUSE
 *                                                        a launch; flag 1: it writes; PART: of the block, in millionths;
 *                                                        REUSE: how often it reads that, in hundredths
 * Units    granules of 2 MiB.
 * Owns     its memory; trace_finish gives it back.
 * Errors   a file that is no trace ends the program with a line that says where and why.
 */
#ifndef EBB_BENCH_TRACE_H
#define EBB_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_NEVER UINT32_MAX

enum {
    TRACE_USES_MAX = 4096,     /**< of one launch */
    TRACE_BLOCKS_MAX = 1 << 22 /**< of one trace */
};

enum trace_kind {
    TRACE_MAKE,
    TRACE_FREE,
    TRACE_LAUNCH
};

struct trace_use {
    uint32_t block, flags, part_ppm, reuse_percent;
    uint32_t next; /**< launch that names the block next; TRACE_NEVER */
};

struct trace_op {
    enum trace_kind kind;
    uint32_t block, granules; /**< MAKE; FREE: the block */
    uint32_t next;            /**< MAKE: launch that names it first; TRACE_NEVER */
    uint32_t function, stream, duration_ns, count;
    size_t use; /**< index of its first use */
};

struct trace {
    char name[64];
    struct trace_op *op;
    size_t ops, ops_room, ops_written; /**< those that count; of all that were written */
    struct trace_use *use;
    size_t uses, uses_room;
    uint32_t blocks; /**< numbers of blocks are below */
    uint32_t launches;
    uint64_t need; /**< the most granules that live together */
    uint32_t *granules_of;
};

void trace_init(struct trace *trace, const char *name);
void trace_finish(struct trace *trace);

/* To write one: operations in their order. */
void trace_make(struct trace *trace, uint32_t block, uint32_t granules);
void trace_free(struct trace *trace, uint32_t block);
void trace_launch(struct trace *trace, uint32_t function, uint32_t stream, uint32_t duration_ns);
/** One more use of the launch made last; two of a block are one. */
void trace_use(struct trace *trace, uint32_t block, bool writes, double part, double reuse);

/** Of what was written, only the operations until `launches` launches were made count from now on; next uses, need and numbers
 *  are worked out for these. */
void trace_settle(struct trace *trace, uint32_t launches);

/** Blocks of a `part`th of their granules, rounded up. Settle it anew. */
void trace_shrink(struct trace *trace, uint32_t part);

void trace_read(struct trace *trace, const char *path);
void trace_write(const struct trace *trace, const char *path);

#endif
