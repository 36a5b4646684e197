/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the parser share. All of it leaves at an error. */
#ifndef PTX_READER_H
#define PTX_READER_H

#include "ptx/lex.h"
#include "ptx/names.h"

struct reader {
    struct lexer lexer;
    struct ptx_module *module;
    struct arena *arena; /* of what is read */
    struct ptx_scope *scope;
    struct ptx_body *body; /* NULL: outside functions */
    unsigned depth;        /* of what is nested */
    unsigned registers;
};

/* What stands before the names of a declaration. */
struct declaration {
    enum ptx_space space;
    const struct ptx_type *type;
    unsigned vector;
    size_t align; /* 0: the type's own */
    bool is_extern, is_visible, is_weak, is_managed, is_pointer;
};

/* The current token, which must be a word (or dotted), kept; goes on. */
const char *read_name(struct reader *reader, const char *expected);

/* Whether the current token is a space, and which. */
bool read_space(struct reader *reader, enum ptx_space *space);

/* An integer, maybe negative or computed from others. */
uint64_t read_constant(struct reader *reader);

/* Alignment, attributes, type: up to the first name. */
void read_declaration(struct reader *reader, struct declaration *declaration);

/* One name with its dimensions, without an initialiser. */
struct ptx_symbol *read_variable(struct reader *reader, const struct declaration *declaration);

/* = and what follows, for a variable. */
void read_initial(struct reader *reader, struct ptx_symbol *variable, size_t element);

/* A list of parameters in parentheses, as symbols in its order: how many, and where the last one ends. */
unsigned read_parameters(struct reader *reader, struct ptx_symbol **list, size_t *end);

/* Register names up to the semicolon. */
void read_registers(struct reader *reader);

/* Deeper by one; leaves where that is too deep. */
void reader_enter(struct reader *reader);

#endif
