/* SPDX-License-Identifier: Apache-2.0 */
/* PTX as a row of tokens. Comments and what is for debuggers alone (.loc, .file, .section) are none. */
#ifndef PTX_LEX_H
#define PTX_LEX_H

#include "ptx/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,    /* names, opcodes: %r1, ld, $L__BB0_1 */
    TOKEN_DOT,     /* .global, .shared::cta: text begins behind the dot */
    TOKEN_INTEGER, /* value */
    TOKEN_SINGLE,  /* 0f3F800000: value has its bits */
    TOKEN_DOUBLE,  /* 1.5, 0d...: value has the bits of a double */
    TOKEN_STRING,  /* between the quotes */
    TOKEN_SIGN     /* text is one character of its own */
};

struct token {
    enum token_kind kind;
    const char *text;
    unsigned length;
    unsigned line;
    uint64_t value;
};

struct lexer {
    const char *at, *end;
    unsigned line;
    struct token token; /* the current one */
    struct ptx_exit *exit;
};

/* Begins at a text of that many bytes; a NUL ends it before. Reads the first token. */
void lex_start(struct lexer *lexer, const char *text, size_t length, unsigned line, struct ptx_exit *exit);

/* Goes on to the next token. Leaves at what is none. */
void lex_next(struct lexer *lexer);

/* Whether the current token is that word, that dotted word, that sign. */
bool lex_is_word(const struct lexer *lexer, const char *word);
bool lex_is_dot(const struct lexer *lexer, const char *word);
bool lex_is_sign(const struct lexer *lexer, char sign);

/* The same, and goes on if it is. */
bool lex_take_dot(struct lexer *lexer, const char *word);
bool lex_take_sign(struct lexer *lexer, char sign);

/* Goes on past what has to be there; leaves if it is not. */
void lex_expect(struct lexer *lexer, char sign);

/* Leaves, naming the current token. */
_Noreturn void lex_fail(struct lexer *lexer, const char *expected);

#endif
