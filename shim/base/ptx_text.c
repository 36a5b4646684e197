/* SPDX-License-Identifier: Apache-2.0 */
/* ptx_text.c - see ptx_text.h. */
#include "base/ptx_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct token {
    const char *at;
    size_t bytes; /* 0: the text has ended */
};

struct reader {
    const char *at, *end;
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.';
}

static const char *find(const struct reader *reader, const char *what)
{
    const char *found = memmem(reader->at, (size_t)(reader->end - reader->at), what, strlen(what));

    return found ? found + strlen(what) : reader->end;
}

/* Space and comments. */
static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end) {
        const char *at = reader->at;

        if (isspace((unsigned char)*at))
            reader->at++;
        else if (reader->end - at > 1 && at[0] == '/' && at[1] == '/')
            reader->at = find(reader, "\n");
        else if (reader->end - at > 1 && at[0] == '/' && at[1] == '*') {
            reader->at += 2;
            reader->at = find(reader, "*/");
        } else
            return;
    }
}

/* A word, a text in quotes, or any other character by itself. A directive ends where the next one begins. */
static struct token next(struct reader *reader)
{
    skip_space(reader);
    struct token token = {.at = reader->at};

    if (reader->at == reader->end)
        return token;
    if (is_word(*reader->at))
        do
            reader->at++;
        while (reader->at < reader->end && is_word(*reader->at) && (*token.at != '.' || *reader->at != '.'));
    else if (*reader->at++ == '"')
        reader->at = find(reader, "\"");
    token.bytes = (size_t)(reader->at - token.at);
    return token;
}

static bool is(struct token token, const char *what)
{
    return token.bytes == strlen(what) && memcmp(token.at, what, token.bytes) == 0;
}

static bool is_name(struct token token)
{
    return token.bytes && is_word(*token.at) && *token.at != '.' && !isdigit((unsigned char)*token.at);
}

/* A decimal number. False: it is none, or more than all parameters together. */
static bool number(struct token token, unsigned *out)
{
    unsigned value = 0;

    for (size_t i = 0; i < token.bytes; i++) {
        if (!isdigit((unsigned char)token.at[i]) || value > KERNEL_BYTES_MAX)
            return false;
        value = value * 10 + (unsigned)(token.at[i] - '0');
    }
    *out = value;
    return token.bytes != 0;
}

/* Bytes of one element. 0: a type that a parameter cannot have, or that is passed in some other way. */
static unsigned type_bytes(struct token type)
{
    static const struct {
        const char *name;
        unsigned bytes;
    } types[] = {
        {".u64", 8}, {".b64", 8},  {".s64", 8},   {".f64", 8},    {".u32", 4},   {".b32", 4},  {".s32", 4},
        {".f32", 4}, {".b8", 1},   {".u8", 1},    {".s8", 1},     {".u16", 2},   {".b16", 2},  {".s16", 2},
        {".f16", 2}, {".bf16", 2}, {".f16x2", 4}, {".bf16x2", 4}, {".b128", 16}, {".e4m3", 1}, {".e5m2", 1},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (is(type, types[i].name))
            return types[i].bytes;
    return 0;
}

static bool is_attribute_of_pointer(struct token token)
{
    return is(token, ".ptr") || is(token, ".global") || is(token, ".shared") || is(token, ".local") ||
           is(token, ".const");
}

/* The [n][m] behind a name; `*token` is what follows them. */
static bool read_dimensions(struct reader *reader, struct token *token, unsigned *bytes)
{
    while (is(*token, "[")) {
        unsigned count;

        if (!number(next(reader), &count) || !count || !is(next(reader), "]"))
            return false;
        *bytes *= count;
        if (*bytes > KERNEL_BYTES_MAX)
            return false;
        *token = next(reader);
    }
    return true;
}

/* One parameter, from behind its ".param" to the comma or bracket that ends it, which is `*out_end`. `*end_bytes` is the
 * end of the one before it, and then its own. False: not understood. */
static bool read_parameter(struct reader *reader, unsigned *end_bytes, struct kernel_parameter *out,
                           struct token *out_end)
{
    struct token token = next(reader);
    unsigned align = 0, bytes;

    if (is(token, ".align")) {
        if (!number(next(reader), &align) || !align || align & (align - 1))
            return false;
        token = next(reader);
    }
    bytes = type_bytes(token);
    if (!bytes)
        return false;
    align = align ? align : bytes;
    while (is_attribute_of_pointer(token = next(reader)))
        ;
    if (is(token, ".align")) { /* of what it points at */
        next(reader);
        token = next(reader);
    }
    if (!is_name(token))
        return false;
    *out_end = next(reader);
    if (!read_dimensions(reader, out_end, &bytes))
        return false;
    unsigned offset = (*end_bytes + align - 1) / align * align;

    if (offset + bytes > KERNEL_BYTES_MAX)
        return false;
    *out = (struct kernel_parameter){(uint16_t)offset, (uint16_t)bytes};
    *end_bytes = offset + bytes;
    return is(*out_end, ",") || is(*out_end, ")");
}

/* What follows ".entry". */
static void read_entry(struct reader *reader, kernel_visit_fn visit, void *arg)
{
    struct kernel_parameter parameter[KERNEL_PARAMETERS_MAX];
    struct token name = next(reader);
    struct reader ahead = *reader;
    struct token token = next(&ahead);
    unsigned count = 0, end_bytes = 0;

    if (!is_name(name))
        return;
    if (is(token, "(")) {
        token = next(&ahead);
        while (!is(token, ")")) {
            if (!is(token, ".param") || count == KERNEL_PARAMETERS_MAX ||
                !read_parameter(&ahead, &end_bytes, &parameter[count++], &token))
                return;
            if (!is(token, ","))
                break;
            token = next(&ahead);
            if (is(token, ")"))
                return;
        }
        *reader = ahead;
    }
    visit(&(struct kernel_shape){name.at, name.bytes, parameter, count}, arg);
}

/* What follows a brace, with all that it holds. */
static void skip_body(struct reader *reader)
{
    for (unsigned depth = 1; depth && reader->at < reader->end;) {
        char c;

        skip_space(reader);
        if (reader->at == reader->end)
            return;
        c = *reader->at++;
        depth += c == '{';
        depth -= c == '}';
        if (c == '"')
            reader->at = find(reader, "\"");
    }
}

int ptx_text_kernels(const char *text, size_t size, kernel_visit_fn visit, void *arg)
{
    size_t length = strnlen(text, size);
    struct reader reader = {text, text + length};
    struct token token;

    if (!is(next(&reader), ".version"))
        return -ENOTSUP;
    while ((token = next(&reader)).bytes) {
        if (is(token, "#"))
            return -ENOTSUP;
        if (is(token, "{"))
            skip_body(&reader);
        else if (is(token, ".entry"))
            read_entry(&reader, visit, arg);
    }
    return 0;
}

/* ---- variables ----------------------------------------------------------------------------------------------- */

/* What follows a bracket or brace, with all that it holds, up to its end. */
static bool skip_list(struct reader *reader)
{
    struct token token;

    for (unsigned depth = 1; depth;) {
        token = next(reader);
        if (!token.bytes)
            return false;
        depth += is(token, "(") || is(token, "{") || is(token, "[");
        depth -= is(token, ")") || is(token, "}") || is(token, "]");
    }
    return true;
}

/* What follows ".attribute". */
static bool read_attributes(struct reader *reader, struct image_facts *facts)
{
    struct token token = next(reader);
    unsigned depth = is(token, "(");

    while (depth && (token = next(reader)).bytes) {
        facts->has_managed |= is(token, ".managed");
        depth += is(token, "(");
        depth -= is(token, ")");
    }
    return is(token, ")");
}

/* What follows a variable's space, up to its name, which is `*out_name`. */
static bool read_type(struct reader *reader, struct token *out_name, bool *out_is_reference,
                      struct image_facts *facts)
{
    struct token token;

    *out_is_reference = false;
    while ((token = next(reader)).bytes && *token.at == '.') {
        if (is(token, ".attribute") && !read_attributes(reader, facts))
            return false;
        if (is(token, ".align"))
            next(reader);
        *out_is_reference |= is(token, ".texref") || is(token, ".surfref") || is(token, ".samplerref");
    }
    *out_name = token;
    return true;
}

/* What follows a name: its dimensions, and what it begins with, up to the comma or semicolon that ends it. */
static bool skip_value(struct reader *reader, struct token *out_end)
{
    struct token token = next(reader);

    while (is(token, "[")) {
        if (!skip_list(reader))
            return false;
        token = next(reader);
    }
    if (is(token, "="))
        while (!is(token = next(reader), ",") && !is(token, ";"))
            if (!token.bytes || ((is(token, "{") || is(token, "(")) && !skip_list(reader)))
                return false;
    *out_end = token;
    return is(token, ",") || is(token, ";");
}

/* What follows ".global" or ".const", up to its end. */
static bool read_variables(struct reader *reader, bool is_required, image_variable_fn visit, void *arg,
                           struct image_facts *facts)
{
    struct token token;
    bool is_reference;

    if (!read_type(reader, &token, &is_reference, facts))
        return false;
    for (;; token = next(reader)) {
        struct token name = token;

        if (!is_name(name) || !skip_value(reader, &token))
            return false;
        if (!is_reference)
            visit(&(struct image_variable){name.at, name.bytes, is_required}, arg);
        if (is(token, ";"))
            return true;
    }
}

/* What follows a function's brace. False: it has variables of its own. Pointers that it takes say where they point. */
static bool skip_function(struct reader *reader)
{
    struct token token, before = {0};

    for (unsigned depth = 1; depth; before = token) {
        token = next(reader);
        if (!token.bytes || ((is(token, ".global") || is(token, ".const")) && !is(before, ".ptr")))
            return false;
        depth += is(token, "{");
        depth -= is(token, "}");
    }
    return true;
}

int ptx_text_variables(const char *text, size_t size, image_variable_fn visit, void *arg,
                       struct image_facts *facts)
{
    struct reader reader = {text, text + strnlen(text, size)};
    bool is_extern = false, is_good = true;
    struct token token;

    if (!is(next(&reader), ".version"))
        return -ENOTSUP;
    while (is_good && (token = next(&reader)).bytes) {
        if (is(token, ".extern"))
            is_extern = true;
        else if (is(token, "{") || is(token, "("))
            is_good = is(token, "{") ? skip_function(&reader) : skip_list(&reader);
        else if (is(token, ".global") || is(token, ".const"))
            is_good = read_variables(&reader, !is_extern, visit, arg, facts);
        else if (is_extern)
            facts->uses_heap |= image_allocates(token.at, token.bytes);
        is_good &= !is(token, "#");
        is_extern &= *token.at != ';' && *token.at != '{' && !is(token, ".global") && !is(token, ".const");
    }
    return is_good ? 0 : -EINVAL;
}
