/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function of PTX as a function in C. Registers are variables of its own, unsigned unless they were declared as floats;
 * an instruction is a statement. Whoever writes one asks for its operands as values of the type that the instruction
 * has, and for its words one by one: what nobody has asked for is unknown, and an error. All of it leaves at an error.
 */
#ifndef PTX_EMIT_H
#define PTX_EMIT_H

#include "ptx/module.h"
#include "ptx/text.h"

/* A function that a kernel needs. */
struct ptx_needed {
    struct ptx_needed *next;
    const struct ptx_function *function;
};

/* Shared memory that a kernel needs, at an offset of its block's. */
struct ptx_shared {
    struct ptx_shared *next;
    const struct ptx_symbol *variable;
    const char *name; /* in C */
};

struct emitter {
    struct ptx_module *module;
    struct arena *arena;
    struct text out;
    const struct ptx_function *function;
    const struct ptx_body *body;
    const struct ptx_instruction *instruction;
    uint32_t words_used; /* of the instruction, a bit for each */
    unsigned sites;      /* instructions that touch memory */
    unsigned temporaries;
    bool needs_fibers, calls_pointers;
    struct ptx_needed *needed; /* in the order in which they were met */
    struct ptx_shared *shared;
};

enum {
    PTX_STACK_ALIGN = 64 /* the most that alloca gives */
};

/* Writes a function of the module, and notes what it needs. */
void emit_function(struct emitter *emitter, const struct ptx_function *function);

/* Whether a function has memory for alloca: PTX_STACK_BYTES of device code. */
bool emit_takes_stack(const struct ptx_body *body);

/* Its head, without a semicolon. */
void emit_head(struct emitter *emitter, struct text *out, const struct ptx_function *function);

/* Writes an instruction whose guard is already there. By its row of families.def. */
void emit_instruction(struct emitter *emitter);

_Noreturn void emit_fail(const struct emitter *emitter, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- words --- */

/* Whether the instruction has the word, which is asked for by that. */
bool emit_has(struct emitter *emitter, const char *word);

/* The first of these words, divided by spaces, that it has; NULL. */
const char *emit_one_of(struct emitter *emitter, const char *words);

/* Asks for all of them: they change nothing here. */
void emit_ignore(struct emitter *emitter, const char *words);

/* The next type among the words that nobody has asked for; NULL. */
const struct ptx_type *emit_type(struct emitter *emitter);

/* The same, which has to be there. */
const struct ptx_type *emit_need_type(struct emitter *emitter);

/* 1, 2, 4 or 8, by .v2 and so on. */
unsigned emit_vector(struct emitter *emitter);

/* The state space; GENERIC if there is none. */
enum ptx_space emit_space(struct emitter *emitter);

/* The words of rounding and flags that device code takes, as constants in C. */
const char *emit_rounding(struct emitter *emitter, const char *otherwise);
const char *emit_flags(struct emitter *emitter);

/* Leaves if there is a word that nobody has asked for. */
void emit_check_words(struct emitter *emitter);

/* --- operands --- */

/* The operand with that number, which has to be there; at the end of the list: nothing more. */
const struct ptx_operand *emit_operand(struct emitter *emitter, unsigned number);
void emit_expect_count(struct emitter *emitter, unsigned least, unsigned most);

/* Its value, as an expression in C of the type. */
const char *emit_value(struct emitter *emitter, const struct ptx_operand *operand,
                       const struct ptx_type *type);

/* Assigns an expression of the type to it. _ takes nothing. */
void emit_assign(struct emitter *emitter, const struct ptx_operand *operand, const struct ptx_type *type,
                 const char *value);

/* A value of unsigned 32 bits, or a predicate. */
const char *emit_u32(struct emitter *emitter, const struct ptx_operand *operand);
const char *emit_predicate(struct emitter *emitter, const struct ptx_operand *operand);

/* An integer that is written there. */
uint64_t emit_immediate(struct emitter *emitter, const struct ptx_operand *operand);

/*
 * Where an address operand points, as a u64 that the host can follow: *space is what the instruction says, and becomes
 * what the symbol says where that is generic.
 */
const char *emit_address(struct emitter *emitter, const struct ptx_operand *operand, enum ptx_space *space);

/* Declares a temporary with the address, and tells the machine that so many bytes there are used. */
const char *emit_access(struct emitter *emitter, const struct ptx_operand *operand, enum ptx_space space,
                        unsigned bytes);

/* A fragment's registers as an array of words of 32 or 64 bits, filled or zero. Returns its name. And back. */
const char *emit_fragment(struct emitter *emitter, const struct ptx_operand *operand, unsigned bits,
                          bool is_filled);
void emit_assign_fragment(struct emitter *emitter, const struct ptx_operand *operand, unsigned bits,
                          const char *name);

/* A name for a temporary. */
const char *emit_temporary(struct emitter *emitter);

/* How a variable, a function, a label is called in C. */
const char *emit_variable_name(struct emitter *emitter, const struct ptx_symbol *variable);
void emit_need_function(struct emitter *emitter, const struct ptx_function *function);
unsigned emit_label(struct emitter *emitter, const char *name);

#endif
