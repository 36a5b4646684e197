/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a text of PTX says: variables, functions and their instructions. Everything lies in the arena of what read it.
 * Names are kept once: equal ones are the same pointer.
 */
#ifndef PTX_MODULE_H
#define PTX_MODULE_H

#include "ptx/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum ptx_type_kind {
    TYPE_PREDICATE,
    TYPE_BITS,
    TYPE_UNSIGNED,
    TYPE_SIGNED,
    TYPE_FLOAT,
    TYPE_HALF /* held as bits, singly or in pairs */
};

struct ptx_type {
    const char *name; /* as written, without the dot */
    unsigned bits;
    enum ptx_type_kind kind;
    const char *c; /* the type of its values in C */
};

enum ptx_space {
    SPACE_GENERIC,
    SPACE_REGISTER,
    SPACE_PARAMETER,
    SPACE_LOCAL,
    SPACE_SHARED,
    SPACE_GLOBAL,
    SPACE_CONSTANT
};

/* A number of an initialiser, or the address of a symbol. */
struct ptx_initial {
    struct ptx_initial *next;
    size_t offset; /* bytes from the variable's start */
    unsigned bytes;
    uint64_t value;     /* behind a symbol: what is added to it */
    const char *symbol; /* NULL: none */
    unsigned shift;     /* of the symbol's address, by bits: 0xff00(name) is its second byte */
};

enum ptx_symbol_kind {
    SYMBOL_REGISTER,
    SYMBOL_VARIABLE,
    SYMBOL_FUNCTION
};

struct ptx_function;

struct ptx_symbol {
    enum ptx_symbol_kind kind;
    const char *name;
    const struct ptx_type *type;
    enum ptx_space space;
    size_t align, bytes;         /* variables; bytes 0: as many as the launch asks for */
    bool is_extern, is_exported; /* seen from other modules: declared there, or here */
    bool is_managed, is_weak;
    bool is_pointer;               /* a parameter marked as one */
    bool is_entry_parameter;       /* lies in the launch's buffer, at offset */
    bool is_result;                /* a function's, with the number id; else its parameter with that number */
    bool is_inner;                 /* declared in a body */
    size_t offset;                 /* entries' parameters */
    struct ptx_initial *initial;   /* in ascending order */
    struct ptx_function *function; /* functions */
    unsigned id;                   /* never used twice for a kind in a function, or for module variables */
    unsigned line;
    struct ptx_symbol *next;         /* of its list */
    struct ptx_symbol *next_in_hash; /* of its scope */
};

enum ptx_operand_kind {
    OPERAND_REGISTER,
    OPERAND_SYMBOL, /* address of a variable or function, plus value */
    OPERAND_INTEGER,
    OPERAND_SINGLE, /* value has the bits */
    OPERAND_DOUBLE,
    OPERAND_SPECIAL, /* %tid.x: name */
    OPERAND_ADDRESS, /* [..]: items[0], plus value; further items: coordinates and what else is in it */
    OPERAND_VECTOR,  /* {a, b} */
    OPERAND_LIST,    /* (a, b) of a call */
    OPERAND_NAME,    /* what is none of these here: a label, or a list of them */
    OPERAND_SINK     /* _ */
};

struct ptx_operand {
    enum ptx_operand_kind kind;
    bool is_negated; /* !p */
    struct ptx_symbol *symbol;
    const char *name;
    uint64_t value;
    struct ptx_operand *items; /* ADDRESS, VECTOR, LIST */
    unsigned count;
    struct ptx_operand *second; /* a|b: b */
};

struct ptx_scope;

struct ptx_instruction {
    struct ptx_instruction *next;
    unsigned line;
    const char *label; /* of a place: this is no instruction but the place; label_id is of the function */
    unsigned label_id;
    const char *opcode;
    const char **words; /* behind the dots */
    unsigned word_count;
    struct ptx_operand *guard; /* NULL: always done */
    struct ptx_operand *operands;
    unsigned count;
    struct ptx_scope *scope; /* where its names are looked up */
};

/* What stands behind a label that names no place: .branchtargets, .calltargets, .callprototype */
struct ptx_table {
    struct ptx_table *next;
    const char *name;
    struct ptx_scope *scope;
    const char **targets; /* names of labels; NULL for a prototype */
    unsigned count;
    unsigned returns, arguments; /* of a prototype */
    bool is_prototype;
};

/* A function's body, read. */
struct ptx_body {
    struct ptx_symbol *registers;  /* those that are used */
    struct ptx_symbol *parameters; /* and those that are parameters or results, with that number in offset */
    struct ptx_symbol *variables;  /* .local, .shared, .param inside it */
    struct ptx_instruction *code;
    struct ptx_table *tables;
    unsigned label_count;
};

struct ptx_function {
    struct ptx_function *next;
    const char *name;
    struct ptx_symbol *symbol;
    bool is_entry;
    struct ptx_symbol *returns, *parameters; /* in their order */
    unsigned return_count, parameter_count;
    size_t parameter_bytes;     /* end of the last one */
    unsigned threads_max;       /* .maxntid or .reqntid, 0: not said */
    unsigned threads_needed[3]; /* .reqntid */
    unsigned blocks_min;        /* .minnctapersm */
    const char *text;           /* of the body, from its brace; NULL: declared only */
    size_t length;
    unsigned line;
};

struct ptx_names;

struct ptx_module {
    struct arena arena;
    struct ptx_names *names;
    struct ptx_scope *scope; /* the module's symbols */
    unsigned version;        /* 80 for 8.0 */
    unsigned target;         /* 90 for sm_90a */
    unsigned address_bits;
    struct ptx_function *functions; /* in the order of the text */
    struct ptx_symbol *variables;
    unsigned variable_count;
    const char *text;
    size_t length;
};

/* NULL if there is none of that name. */
const struct ptx_type *ptx_type_find(const char *name);

/* What stands for a function where its address is taken: in a range that no memory has. */
uint64_t ptx_function_address(const struct ptx_function *function);

#endif
