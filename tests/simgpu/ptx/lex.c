/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/lex.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool begins_word(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '%';
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static char peek(const struct lexer *lexer, size_t ahead)
{
    return (size_t)(lexer->end - lexer->at) > ahead ? lexer->at[ahead] : '\0';
}

static void skip_line(struct lexer *lexer)
{
    while (lexer->at < lexer->end && *lexer->at != '\n')
        lexer->at++;
}

static void skip_comment(struct lexer *lexer)
{
    lexer->at += 2;
    while (lexer->at < lexer->end && !(peek(lexer, 0) == '*' && peek(lexer, 1) == '/')) {
        lexer->line += *lexer->at == '\n';
        lexer->at++;
    }
    if (lexer->at == lexer->end)
        ptx_fail(lexer->exit, lexer->line, "a comment does not end");
    lexer->at += 2;
}

static void skip_space(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        char c = *lexer->at;

        if (c == '/' && peek(lexer, 1) == '/') {
            skip_line(lexer);
        } else if (c == '/' && peek(lexer, 1) == '*') {
            skip_comment(lexer);
        } else if (isspace((unsigned char)c)) {
            lexer->line += c == '\n';
            lexer->at++;
        } else {
            return;
        }
    }
}

/* Bits in hexadecimal behind 0f or 0d. */
static bool read_bits(struct lexer *lexer, unsigned digits, enum token_kind kind)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < digits; i++) {
        char c = peek(lexer, 2 + i);

        if (!isxdigit((unsigned char)c))
            return false;
        value = value << 4 | (uint64_t)(isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    lexer->at += 2 + digits;
    lexer->token.kind = kind;
    lexer->token.value = value;
    return true;
}

static bool read_radix(struct lexer *lexer)
{
    char mark = (char)(peek(lexer, 1) | 32);
    unsigned radix = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    uint64_t value = 0;
    size_t at = radix == 8 ? 1 : 2, first = at;

    for (;; at++) {
        char c = peek(lexer, at);
        unsigned digit = isdigit((unsigned char)c)    ? (unsigned)(c - '0')
                         : isxdigit((unsigned char)c) ? (unsigned)((c | 32) - 'a' + 10)
                                                      : 99;

        if (digit >= radix)
            break;
        value = value * radix + digit;
    }
    if (radix != 8 && at == first)
        return false;
    lexer->at += at;
    lexer->token.kind = TOKEN_INTEGER;
    lexer->token.value = value;
    return true;
}

/* Digits with a point or an exponent. */
static bool is_decimal_fraction(const struct lexer *lexer)
{
    size_t at = 0;

    while (isdigit((unsigned char)peek(lexer, at)))
        at++;
    return (peek(lexer, at) == '.' && isdigit((unsigned char)peek(lexer, at + 1))) ||
           (at && peek(lexer, at) == '.' && !begins_word(peek(lexer, at + 1))) ||
           ((peek(lexer, at) | 32) == 'e' && (isdigit((unsigned char)peek(lexer, at + 1)) ||
                                              strchr("+-", peek(lexer, at + 1) ? peek(lexer, at + 1) : 'x')));
}

static void read_fraction(struct lexer *lexer)
{
    char digits[64];
    size_t length = 0;
    double value;

    while (length + 1 < sizeof digits &&
           (isdigit((unsigned char)peek(lexer, length)) || peek(lexer, length) == '.' ||
            (peek(lexer, length) | 32) == 'e' ||
            (length && strchr("+-", peek(lexer, length) ? peek(lexer, length) : 'x') &&
             (digits[length - 1] | 32) == 'e'))) {
        digits[length] = peek(lexer, length);
        length++;
    }
    digits[length] = '\0';
    value = strtod(digits, NULL);
    memcpy(&lexer->token.value, &value, sizeof value);
    lexer->token.kind = TOKEN_DOUBLE;
    lexer->at += length;
}

static void read_number(struct lexer *lexer)
{
    char mark = (char)(peek(lexer, 1) | 32);

    if (*lexer->at == '0' && mark == 'f' && read_bits(lexer, 8, TOKEN_SINGLE))
        return;
    if (*lexer->at == '0' && mark == 'd' && read_bits(lexer, 16, TOKEN_DOUBLE))
        return;
    if (is_decimal_fraction(lexer)) {
        read_fraction(lexer);
        return;
    }
    if (*lexer->at != '0' || !read_radix(lexer)) {
        lexer->token.kind = TOKEN_INTEGER;
        while (isdigit((unsigned char)peek(lexer, 0)))
            lexer->token.value = lexer->token.value * 10 + (uint64_t)(*lexer->at++ - '0');
    }
    if (peek(lexer, 0) == 'U' || peek(lexer, 0) == 'u')
        lexer->at++;
}

static void read_string(struct lexer *lexer)
{
    lexer->token.kind = TOKEN_STRING;
    lexer->token.text = ++lexer->at;
    while (lexer->at < lexer->end && *lexer->at != '"') {
        if (*lexer->at == '\n')
            break;
        lexer->at += *lexer->at == '\\' && lexer->at + 1 < lexer->end ? 2 : 1;
    }
    if (peek(lexer, 0) != '"')
        ptx_fail(lexer->exit, lexer->line, "a string does not end");
    lexer->token.length = (unsigned)(lexer->at++ - lexer->token.text);
}

/* A dotted word may have parts behind double colons, and digits in front: .shared::cta, .2d */
static void read_dot(struct lexer *lexer)
{
    lexer->token.kind = TOKEN_DOT;
    lexer->token.text = ++lexer->at;
    while (is_word(peek(lexer, 0)) ||
           (peek(lexer, 0) == ':' && peek(lexer, 1) == ':' && is_word(peek(lexer, 2))))
        lexer->at += *lexer->at == ':' ? 2 : 1;
    lexer->token.length = (unsigned)(lexer->at - lexer->token.text);
}

static void read_token(struct lexer *lexer)
{
    skip_space(lexer);
    lexer->token = (struct token){.text = lexer->at, .line = lexer->line};
    if (lexer->at == lexer->end)
        return;
    if (begins_word(*lexer->at)) {
        lexer->token.kind = TOKEN_WORD;
        do
            lexer->at++;
        while (is_word(peek(lexer, 0)));
        lexer->token.length = (unsigned)(lexer->at - lexer->token.text);
    } else if (isdigit((unsigned char)*lexer->at)) {
        read_number(lexer);
        lexer->token.length = (unsigned)(lexer->at - lexer->token.text);
    } else if (*lexer->at == '"') {
        read_string(lexer);
    } else if (*lexer->at == '.' && is_word(peek(lexer, 1))) {
        read_dot(lexer);
    } else {
        lexer->token.kind = TOKEN_SIGN;
        lexer->token.length = 1;
        lexer->at++;
    }
}

static void skip_section(struct lexer *lexer)
{
    unsigned depth = 0;

    do {
        read_token(lexer);
        if (lexer->token.kind == TOKEN_END)
            ptx_fail(lexer->exit, lexer->line, "a section does not end");
        depth += lex_is_sign(lexer, '{');
    } while (!lex_is_sign(lexer, '}') || --depth);
}

void lex_next(struct lexer *lexer)
{
    for (;;) {
        read_token(lexer);
        if (lex_is_dot(lexer, "loc") || lex_is_dot(lexer, "file"))
            skip_line(lexer);
        else if (lex_is_dot(lexer, "section"))
            skip_section(lexer);
        else
            return;
    }
}

void lex_start(struct lexer *lexer, const char *text, size_t length, unsigned line, struct ptx_exit *exit)
{
    *lexer = (struct lexer){.at = text, .end = text + strnlen(text, length), .line = line, .exit = exit};
    lex_next(lexer);
}

static bool is(const struct lexer *lexer, enum token_kind kind, const char *word)
{
    return lexer->token.kind == kind && strlen(word) == lexer->token.length &&
           memcmp(lexer->token.text, word, lexer->token.length) == 0;
}

bool lex_is_word(const struct lexer *lexer, const char *word)
{
    return is(lexer, TOKEN_WORD, word);
}

bool lex_is_dot(const struct lexer *lexer, const char *word)
{
    return is(lexer, TOKEN_DOT, word);
}

bool lex_is_sign(const struct lexer *lexer, char sign)
{
    return lexer->token.kind == TOKEN_SIGN && *lexer->token.text == sign;
}

bool lex_take_dot(struct lexer *lexer, const char *word)
{
    bool taken = lex_is_dot(lexer, word);

    if (taken)
        lex_next(lexer);
    return taken;
}

bool lex_take_sign(struct lexer *lexer, char sign)
{
    bool taken = lex_is_sign(lexer, sign);

    if (taken)
        lex_next(lexer);
    return taken;
}

void lex_expect(struct lexer *lexer, char sign)
{
    char expected[] = {'\'', sign, '\'', '\0'};

    if (!lex_take_sign(lexer, sign))
        lex_fail(lexer, expected);
}

void lex_fail(struct lexer *lexer, const char *expected)
{
    const struct token *token = &lexer->token;

    ptx_fail(lexer->exit, token->line, "%s expected instead of '%.*s'", expected,
             (int)(token->length < 40 ? token->length : 40), token->text);
}
