/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations: spaces, types, names, dimensions, initialisers. */
#include "ptx/reader.h"

#include <string.h>

enum {
    DEPTH_MAX = 64,
    ALIGN_MAX = 1 << 20,
    REGISTERS_MAX = 1 << 24
};
#define BYTES_MAX ((size_t)1 << 40)

static const struct ptx_type types[] = {
#define TYPE(name, bits, kind, c) {#name, bits, TYPE_##kind, #c},
#include "ptx/types.def"
#undef TYPE
};

const struct ptx_type *ptx_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

void reader_enter(struct reader *reader)
{
    if (++reader->depth > DEPTH_MAX)
        ptx_fail(reader->arena->exit, reader->lexer.token.line, "nested too deeply");
}

const char *read_name(struct reader *reader, const char *expected)
{
    const struct token *token = &reader->lexer.token;
    const char *name;

    if (token->kind != TOKEN_WORD && token->kind != TOKEN_DOT)
        lex_fail(&reader->lexer, expected);
    name = names_keep(reader->module->names, token->text, token->length);
    lex_next(&reader->lexer);
    return name;
}

bool read_space(struct reader *reader, enum ptx_space *space)
{
    static const struct {
        const char *name;
        enum ptx_space space;
    } spaces[] = {{"reg", SPACE_REGISTER},  {"param", SPACE_PARAMETER}, {"local", SPACE_LOCAL},
                  {"shared", SPACE_SHARED}, {"global", SPACE_GLOBAL},   {"const", SPACE_CONSTANT}};

    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        if (lex_take_dot(&reader->lexer, spaces[i].name)) {
            *space = spaces[i].space;
            return true;
        }
    }
    return false;
}

static uint64_t read_factor(struct reader *reader)
{
    struct lexer *lexer = &reader->lexer;
    uint64_t value;

    if (lex_take_sign(lexer, '-')) {
        reader_enter(reader);
        value = -read_factor(reader);
        reader->depth--;
        return value;
    }
    if (lex_take_sign(lexer, '(')) {
        reader_enter(reader);
        value = read_constant(reader);
        reader->depth--;
        lex_expect(lexer, ')');
        return value;
    }
    if (lex_is_word(lexer, "WARP_SZ")) {
        lex_next(lexer);
        return 32;
    }
    if (lexer->token.kind != TOKEN_INTEGER)
        lex_fail(lexer, "a number");
    value = lexer->token.value;
    lex_next(lexer);
    return value;
}

uint64_t read_constant(struct reader *reader)
{
    struct lexer *lexer = &reader->lexer;
    uint64_t value = read_factor(reader);

    for (;;) {
        if (lex_take_sign(lexer, '+')) {
            value += read_factor(reader);
        } else if (lex_take_sign(lexer, '-')) {
            value -= read_factor(reader);
        } else if (lex_take_sign(lexer, '*')) {
            value *= read_factor(reader);
        } else if (lex_is_sign(lexer, '<') && lexer->at < lexer->end && *lexer->at == '<') {
            lex_next(lexer), lex_next(lexer);
            value <<= read_factor(reader) & 63;
        } else {
            return value;
        }
    }
}

static void skip_parentheses(struct reader *reader)
{
    if (!lex_take_sign(&reader->lexer, '('))
        return;
    while (!lex_take_sign(&reader->lexer, ')')) {
        if (reader->lexer.token.kind == TOKEN_END)
            lex_fail(&reader->lexer, "')'");
        lex_next(&reader->lexer);
    }
}

static size_t read_align(struct reader *reader)
{
    unsigned line = reader->lexer.token.line;
    uint64_t align = read_constant(reader);

    if (!align || align > ALIGN_MAX || (align & (align - 1)))
        ptx_fail(reader->arena->exit, line, "an alignment is a power of two");
    return (size_t)align;
}

static void read_attribute(struct reader *reader, struct declaration *declaration)
{
    lex_expect(&reader->lexer, '(');
    while (!lex_take_sign(&reader->lexer, ')')) {
        declaration->is_managed |= lex_is_dot(&reader->lexer, "managed");
        if (reader->lexer.token.kind == TOKEN_END)
            lex_fail(&reader->lexer, "')'");
        lex_next(&reader->lexer);
        skip_parentheses(reader);
    }
}

void read_declaration(struct reader *reader, struct declaration *declaration)
{
    struct lexer *lexer = &reader->lexer;
    enum ptx_space pointed;

    declaration->vector = 1;
    for (;;) {
        if (lex_take_dot(lexer, "align")) {
            size_t align = read_align(reader);

            /* Behind .ptr it is the pointer's target that is aligned. */
            declaration->align = declaration->is_pointer ? declaration->align : align;
        } else if (lex_take_dot(lexer, "attribute")) {
            read_attribute(reader, declaration);
        } else if (lex_take_dot(lexer, "ptr")) {
            declaration->is_pointer = true;
        } else if (declaration->is_pointer && read_space(reader, &pointed)) {
            continue;
        } else if (lex_take_dot(lexer, "v2")) {
            declaration->vector = 2;
        } else if (lex_take_dot(lexer, "v4")) {
            declaration->vector = 4;
        } else if (lexer->token.kind == TOKEN_DOT) {
            const struct token token = lexer->token;
            const char *name = read_name(reader, "a type");

            if (declaration->type || !(declaration->type = ptx_type_find(name)))
                ptx_fail(reader->arena->exit, token.line, ".%s is no type that is known", name);
        } else {
            break;
        }
    }
    if (!declaration->type)
        lex_fail(lexer, "a type");
}

struct ptx_symbol *read_variable(struct reader *reader, const struct declaration *declaration)
{
    struct ptx_symbol *variable = arena_take(reader->arena, sizeof *variable);
    size_t element = (declaration->type->bits + 7) / 8 * declaration->vector, bytes = element;

    variable->kind = SYMBOL_VARIABLE;
    variable->line = reader->lexer.token.line;
    variable->name = read_name(reader, "a name");
    variable->type = declaration->type;
    variable->space = declaration->space;
    variable->align = declaration->align > element ? declaration->align : element;
    if (declaration->align && declaration->align < element)
        variable->align = declaration->align;
    variable->is_extern = declaration->is_extern;
    variable->is_exported = declaration->is_visible;
    variable->is_weak = declaration->is_weak;
    variable->is_managed = declaration->is_managed;
    variable->is_pointer = declaration->is_pointer;
    while (lex_take_sign(&reader->lexer, '[')) {
        uint64_t count = lex_is_sign(&reader->lexer, ']') ? 0 : read_constant(reader);

        if (count && bytes > BYTES_MAX / count)
            ptx_fail(reader->arena->exit, variable->line, "%s is too large", variable->name);
        bytes *= (size_t)count;
        lex_expect(&reader->lexer, ']');
    }
    variable->bytes = bytes;
    return variable;
}

/* One value of an initialiser. */
static void read_value(struct reader *reader, struct ptx_initial *initial)
{
    struct lexer *lexer = &reader->lexer;
    uint64_t mask = 0;

    initial->value = 0;
    if (lexer->token.kind == TOKEN_SINGLE || lexer->token.kind == TOKEN_DOUBLE) {
        initial->value = lexer->token.value;
        if (lexer->token.kind == TOKEN_DOUBLE && initial->bytes == 4) {
            double wide;
            float narrow;

            memcpy(&wide, &initial->value, sizeof wide);
            narrow = (float)wide;
            initial->value = 0;
            memcpy(&initial->value, &narrow, sizeof narrow);
        }
        lex_next(lexer);
        return;
    }
    if (lexer->token.kind != TOKEN_WORD) {
        initial->value = read_constant(reader);
        if (!lex_is_sign(lexer, '('))
            return;
        mask = initial->value;
        initial->value = 0;
    } else if (lex_is_word(lexer, "generic")) {
        lex_next(lexer);
        if (!lex_is_sign(lexer, '('))
            lex_fail(lexer, "'('");
    }
    if (lex_take_sign(lexer, '(')) {
        bool inner;

        if (lex_is_word(lexer, "generic"))
            lex_next(lexer);
        inner = lex_take_sign(lexer, '(');
        initial->symbol = read_name(reader, "a symbol");
        if (inner)
            lex_expect(lexer, ')');
        if (lex_is_sign(lexer, '+') || lex_is_sign(lexer, '-'))
            initial->value = read_constant(reader);
        lex_expect(lexer, ')');
    } else {
        initial->symbol = read_name(reader, "a symbol");
    }
    if (lex_take_sign(lexer, '+'))
        initial->value += read_constant(reader);
    else if (lex_take_sign(lexer, '-'))
        initial->value -= read_constant(reader);
    while (mask && !(mask & 0xff)) {
        mask >>= 8;
        initial->shift += 8;
    }
}

static void read_values(struct reader *reader, struct ptx_symbol *variable, size_t element, size_t *offset,
                        struct ptx_initial ***link)
{
    struct lexer *lexer = &reader->lexer;

    if (lex_take_sign(lexer, '{')) {
        reader_enter(reader);
        while (!lex_take_sign(lexer, '}')) {
            read_values(reader, variable, element, offset, link);
            if (!lex_take_sign(lexer, ',') && !lex_is_sign(lexer, '}'))
                lex_fail(lexer, "',' or '}'");
        }
        reader->depth--;
        return;
    }
    struct ptx_initial *initial = arena_take(reader->arena, sizeof *initial);

    initial->offset = *offset;
    initial->bytes = (unsigned)element;
    read_value(reader, initial);
    if (*offset + element > variable->bytes)
        ptx_fail(reader->arena->exit, variable->line, "%s has more values than room", variable->name);
    *offset += element;
    **link = initial;
    *link = &initial->next;
}

void read_initial(struct reader *reader, struct ptx_symbol *variable, size_t element)
{
    struct ptx_initial **link = &variable->initial;
    size_t offset = 0;

    read_values(reader, variable, element, &offset, &link);
}

static void read_register(struct reader *reader, const struct ptx_type *type)
{
    unsigned line = reader->lexer.token.line;
    const char *name = read_name(reader, "a register");

    if (lex_take_sign(&reader->lexer, '<')) {
        struct ptx_range *range = arena_take(reader->arena, sizeof *range);

        *range = (struct ptx_range){
            .next = reader->scope->ranges, .prefix = name, .type = type, .count = read_constant(reader)};
        if (range->count > REGISTERS_MAX)
            ptx_fail(reader->arena->exit, line, "too many registers %s", name);
        lex_expect(&reader->lexer, '>');
        reader->scope->ranges = range;
        return;
    }
    struct ptx_symbol *symbol = arena_take(reader->arena, sizeof *symbol);

    *symbol = (struct ptx_symbol){.kind = SYMBOL_REGISTER,
                                  .name = name,
                                  .type = type,
                                  .space = SPACE_REGISTER,
                                  .id = reader->registers++,
                                  .line = line,
                                  .next = reader->body->registers};
    if (!scope_add(reader->arena, reader->scope, symbol))
        ptx_fail(reader->arena->exit, line, "%s is declared twice", name);
    reader->body->registers = symbol;
}

void read_registers(struct reader *reader)
{
    struct declaration declaration = {.space = SPACE_REGISTER};

    read_declaration(reader, &declaration);
    if (declaration.vector != 1)
        ptx_fail(reader->arena->exit, reader->lexer.token.line, "vectors of registers are not supported");
    do
        read_register(reader, declaration.type);
    while (lex_take_sign(&reader->lexer, ','));
    lex_expect(&reader->lexer, ';');
}
