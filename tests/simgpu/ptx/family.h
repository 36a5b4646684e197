/* SPDX-License-Identifier: Apache-2.0 */
/* The table of instructions, families.def. */
#ifndef PTX_FAMILY_H
#define PTX_FAMILY_H

#include "ptx/emit.h"

/*
 * A form of an instruction. It fits if the instruction has one of the types (and, behind a '/', one of those as second
 * type), one word of each group of `need`, no other words than those of `may`, and as many operands.
 */
struct family {
    const char *opcode;
    const char *types; /* "": none */
    const char *need;  /* groups divided by spaces, of alternatives divided by '|' */
    const char *may;
    const char *operands;            /* a letter for each, see families.def */
    const char *make;                /* the value in C */
    void (*write)(struct emitter *); /* instead: takes everything else for itself */
    bool needs_fibers;
};

extern const struct family families[];
extern const unsigned family_count;

/* Whether a row of the table has the opcode. */
bool family_exists(const char *opcode);

void emit_load(struct emitter *emitter);
void emit_store(struct emitter *emitter);
void emit_atomic(struct emitter *emitter);
void emit_address_of(struct emitter *emitter);
void emit_is_space(struct emitter *emitter);
void emit_stack_take(struct emitter *emitter);
void emit_stack_save(struct emitter *emitter);
void emit_stack_restore(struct emitter *emitter);
void emit_copy_async(struct emitter *emitter);
void emit_copy_arrive(struct emitter *emitter);
void emit_nothing(struct emitter *emitter);
void emit_policy(struct emitter *emitter);
void emit_map_cluster(struct emitter *emitter);
void emit_cluster_rank(struct emitter *emitter);
void emit_move(struct emitter *emitter);
void emit_convert(struct emitter *emitter);
void emit_lop3_and_test(struct emitter *emitter);
void emit_video(struct emitter *emitter);
void emit_compare(struct emitter *emitter);
void emit_set(struct emitter *emitter);
void emit_branch(struct emitter *emitter);
void emit_branch_table(struct emitter *emitter);
void emit_call(struct emitter *emitter);
void emit_return(struct emitter *emitter);
void emit_exit(struct emitter *emitter);
void emit_shuffle(struct emitter *emitter);
void emit_match_all(struct emitter *emitter);
void emit_elect(struct emitter *emitter);
void emit_matrix_multiply(struct emitter *emitter);
/* mma.sp, and mma.m8n8k4 of halves. */
void emit_sparse_product(struct emitter *emitter);
void emit_quad_product(struct emitter *emitter);
void emit_matrix_load(struct emitter *emitter);
void emit_matrix_store(struct emitter *emitter);
void emit_wmma(struct emitter *emitter);
void emit_mbarrier(struct emitter *emitter);
void emit_texture(struct emitter *emitter);
void emit_texture_query(struct emitter *emitter);
void emit_surface_load(struct emitter *emitter);
void emit_surface_store(struct emitter *emitter);
void emit_surface_reduce(struct emitter *emitter);

#endif
