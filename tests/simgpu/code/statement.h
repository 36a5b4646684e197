/* SPDX-License-Identifier: Apache-2.0 */
/* What stands at the outermost level of PTX text, one statement after the other. Points into the text. */
#ifndef SIMGPU_STATEMENT_H
#define SIMGPU_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

enum statement_kind {
    STATEMENT_END,    /* of the text */
    STATEMENT_BROKEN, /* the text ends within it */
    STATEMENT_VERSION,
    STATEMENT_TARGET,
    STATEMENT_ADDRESS_SIZE,
    STATEMENT_VARIABLE,
    STATEMENT_FUNCTION, /* .func, .entry; with or without a body */
    STATEMENT_DEBUG,    /* .file, .section */
    STATEMENT_OTHER     /* .alias, .pragma */
};

enum linkage {
    LINKAGE_LOCAL,
    LINKAGE_VISIBLE,
    LINKAGE_WEAK,
    LINKAGE_COMMON,
    LINKAGE_EXTERN
};

struct statement {
    enum statement_kind kind;
    enum linkage linkage;
    const char *start;  /* its first word */
    size_t length;      /* up to and with its end */
    const char *linked; /* behind the word of its linkage: what is the same however it is linked */
    const char *name;   /* of a variable or function */
    size_t name_length;
    const char *body; /* of a function, from its brace; NULL: it is declared only */
};

/* The statement at *text, which moves behind it. */
struct statement statement_read(const char **text);

/* Length of the word (a name, a register, a directive's part) at the text; 0: none starts there. */
size_t statement_word(const char *text);

/* Length of the comment, string or run of white space at the text; 0: none starts there. Strings only if asked for. */
size_t statement_gap(const char *text, bool strings);

#endif
