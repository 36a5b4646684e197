/* SPDX-License-Identifier: Apache-2.0 */
/* The module: directives, variables, and the heads of functions. */
#include "ptx/parse.h"

#include "ptx/reader.h"

#include <string.h>

static void add_symbol(struct reader *reader, struct ptx_symbol *symbol)
{
    if (!scope_add(reader->arena, reader->scope, symbol))
        ptx_fail(reader->arena->exit, symbol->line, "%s is declared twice", symbol->name);
}

/* Of two declarations of a name one may be without a body, or a value. */
static bool completes(struct ptx_symbol *known, const struct ptx_symbol *variable)
{
    if (known->kind != SYMBOL_VARIABLE || known->space != variable->space ||
        !(known->is_extern || variable->is_extern || known->is_weak))
        return false;
    if (known->is_extern) {
        known->type = variable->type;
        known->align = variable->align > known->align ? variable->align : known->align;
        known->bytes = variable->bytes;
        known->initial = variable->initial;
        known->is_extern = variable->is_extern;
        known->is_managed |= variable->is_managed;
        known->is_exported |= variable->is_exported;
    }
    return true;
}

static void add_variable(struct reader *reader, struct ptx_symbol *variable)
{
    struct ptx_symbol *known = scope_own(reader->scope, variable->name);

    if (known && completes(known, variable))
        return;
    add_symbol(reader, variable);
    variable->id = reader->module->variable_count++;
    variable->next = reader->module->variables;
    reader->module->variables = variable;
}

static void parse_variables(struct reader *reader, struct declaration declaration)
{
    read_declaration(reader, &declaration);
    do {
        struct ptx_symbol *variable = read_variable(reader, &declaration);
        size_t element = (declaration.type->bits + 7) / 8;

        if (lex_take_sign(&reader->lexer, '='))
            read_initial(reader, variable, element);
        add_variable(reader, variable);
    } while (lex_take_sign(&reader->lexer, ','));
    lex_expect(&reader->lexer, ';');
}

static size_t aligned(size_t offset, size_t align)
{
    return (offset + align - 1) / align * align;
}

unsigned read_parameters(struct reader *reader, struct ptx_symbol **list, size_t *end)
{
    unsigned count = 0;
    size_t offset = 0;

    lex_expect(&reader->lexer, '(');
    while (!lex_take_sign(&reader->lexer, ')')) {
        struct declaration declaration = {.space = SPACE_PARAMETER};

        if (count && !lex_take_sign(&reader->lexer, ','))
            lex_fail(&reader->lexer, "',' or ')'");
        if (!read_space(reader, &declaration.space) ||
            (declaration.space != SPACE_PARAMETER && declaration.space != SPACE_REGISTER))
            lex_fail(&reader->lexer, ".param or .reg");
        read_declaration(reader, &declaration);
        *list = read_variable(reader, &declaration);
        offset = aligned(offset, (*list)->align ? (*list)->align : 1);
        (*list)->offset = offset;
        offset += (*list)->bytes;
        (*list)->id = count++;
        list = &(*list)->next;
    }
    *end = offset;
    return count;
}

static void read_three(struct reader *reader, unsigned *three)
{
    for (unsigned i = 0; i < 3; i++)
        three[i] = 1;
    for (unsigned i = 0; i < 3; i++) {
        three[i] = (unsigned)read_constant(reader);
        if (!lex_take_sign(&reader->lexer, ','))
            break;
    }
}

/* What steers the compiler, between a function's parameters and its body. */
static void parse_traits(struct reader *reader, struct ptx_function *function)
{
    struct lexer *lexer = &reader->lexer;
    unsigned three[3];

    while (lexer->token.kind == TOKEN_DOT) {
        if (lex_take_dot(lexer, "maxntid")) {
            read_three(reader, three);
            function->threads_max = three[0] * three[1] * three[2];
        } else if (lex_take_dot(lexer, "reqntid")) {
            read_three(reader, function->threads_needed);
            memcpy(three, function->threads_needed, sizeof three);
            function->threads_max = three[0] * three[1] * three[2];
        } else if (lex_take_dot(lexer, "minnctapersm")) {
            function->blocks_min = (unsigned)read_constant(reader);
        } else if (lex_take_dot(lexer, "maxnreg") || lex_take_dot(lexer, "maxnctapersm") ||
                   lex_take_dot(lexer, "abi_preserve") || lex_take_dot(lexer, "abi_preserve_control")) {
            (void)read_constant(reader);
        } else if (lex_take_dot(lexer, "noreturn")) {
            continue;
        } else if (lex_take_dot(lexer, "unified")) {
            continue;
        } else if (lex_take_dot(lexer, "attribute")) {
            while (!lex_take_sign(lexer, ')')) {
                if (lexer->token.kind == TOKEN_END)
                    lex_fail(lexer, "')'");
                lex_next(lexer);
            }
        } else if (lex_take_dot(lexer, "pragma")) {
            while (!lex_take_sign(lexer, ';')) {
                if (lexer->token.kind == TOKEN_END)
                    lex_fail(lexer, "';'");
                lex_next(lexer);
            }
        } else {
            lex_fail(lexer, "a body");
        }
    }
}

/* Remembers where the body is, and goes past it. */
static void skip_body(struct reader *reader, struct ptx_function *function)
{
    struct lexer *lexer = &reader->lexer;
    unsigned depth = 0;

    function->text = lexer->token.text;
    function->line = lexer->token.line;
    do {
        if (lexer->token.kind == TOKEN_END)
            lex_fail(lexer, "'}'");
        depth += lex_is_sign(lexer, '{');
        depth -= lex_is_sign(lexer, '}');
        function->length = (size_t)(lexer->at - function->text);
        lex_next(lexer);
    } while (depth);
}

static struct ptx_function *function_add(struct reader *reader, const struct ptx_function *read,
                                         unsigned line)
{
    struct ptx_symbol *symbol = scope_own(reader->scope, read->name);
    struct ptx_function *function, **last = &reader->module->functions;

    if (symbol) {
        if (symbol->kind != SYMBOL_FUNCTION)
            ptx_fail(reader->arena->exit, line, "%s is declared twice", read->name);
        return symbol->function;
    }
    function = arena_take(reader->arena, sizeof *function);
    symbol = arena_take(reader->arena, sizeof *symbol);
    *symbol =
        (struct ptx_symbol){.kind = SYMBOL_FUNCTION, .name = read->name, .function = function, .line = line};
    *function = *read;
    function->symbol = symbol;
    while (*last) {
        last = &(*last)->next;
        symbol->id++;
    }
    *last = function;
    add_symbol(reader, symbol);
    return function;
}

static void parse_function(struct reader *reader, bool is_entry)
{
    struct ptx_function read = {.is_entry = is_entry}, *function;
    unsigned line = reader->lexer.token.line;
    size_t ignored;

    if (!is_entry && lex_take_dot(&reader->lexer, "attribute"))
        while (!lex_take_sign(&reader->lexer, ')') && reader->lexer.token.kind != TOKEN_END)
            lex_next(&reader->lexer);
    if (!is_entry && lex_is_sign(&reader->lexer, '('))
        read.return_count = read_parameters(reader, &read.returns, &ignored);
    for (struct ptx_symbol *symbol = read.returns; symbol; symbol = symbol->next)
        symbol->is_result = true;
    read.name = read_name(reader, "a function's name");
    if (lex_is_sign(&reader->lexer, '('))
        read.parameter_count = read_parameters(reader, &read.parameters, &read.parameter_bytes);
    for (struct ptx_symbol *symbol = read.parameters; symbol; symbol = symbol->next)
        symbol->is_entry_parameter = is_entry;
    parse_traits(reader, &read);
    function = function_add(reader, &read, line);
    if (lex_take_sign(&reader->lexer, ';'))
        return;
    if (!lex_is_sign(&reader->lexer, '{'))
        lex_fail(&reader->lexer, "'{' or ';'");
    if (function->text)
        ptx_fail(reader->arena->exit, line, "%s has two bodies", read.name);
    skip_body(reader, &read);
    read.symbol = function->symbol;
    read.next = function->next;
    *function = read;
}

static void parse_version(struct reader *reader)
{
    struct token *token = &reader->lexer.token;
    double version;

    if (token->kind != TOKEN_DOUBLE)
        lex_fail(&reader->lexer, "a version");
    memcpy(&version, &token->value, sizeof version);
    reader->module->version = version > 0 && version < 1000 ? (unsigned)(version * 10 + 0.5) : 0;
    lex_next(&reader->lexer);
}

static void parse_target(struct reader *reader)
{
    do {
        const char *name = read_name(reader, "a target");
        unsigned number = 0;

        if (strncmp(name, "sm_", 3) == 0) {
            for (const char *at = name + 3; *at >= '0' && *at <= '9' && number < 10000; at++)
                number = number * 10 + (unsigned)(*at - '0');
            reader->module->target = number;
        }
    } while (lex_take_sign(&reader->lexer, ','));
}

static void parse_alias(struct reader *reader)
{
    unsigned line = reader->lexer.token.line;
    struct ptx_symbol *alias = scope_own(reader->scope, read_name(reader, "a name")), *meant;

    lex_expect(&reader->lexer, ',');
    meant = scope_own(reader->scope, read_name(reader, "a name"));
    lex_expect(&reader->lexer, ';');
    if (!alias || !meant || alias->kind != SYMBOL_FUNCTION || meant->kind != SYMBOL_FUNCTION)
        ptx_fail(reader->arena->exit, line, ".alias is for functions that are declared");
    alias->function = meant->function;
}

static void parse_linked(struct reader *reader)
{
    struct declaration declaration = {0};
    struct lexer *lexer = &reader->lexer;

    for (;;) {
        if (lex_take_dot(lexer, "extern"))
            declaration.is_extern = true;
        else if (lex_take_dot(lexer, "visible"))
            declaration.is_visible = true;
        else if (lex_take_dot(lexer, "weak") || lex_take_dot(lexer, "common"))
            declaration.is_weak = declaration.is_visible = true;
        else
            break;
    }
    if (lex_take_dot(lexer, "func"))
        parse_function(reader, false);
    else if (lex_take_dot(lexer, "entry"))
        parse_function(reader, true);
    else if (read_space(reader, &declaration.space) && declaration.space >= SPACE_SHARED)
        parse_variables(reader, declaration);
    else
        lex_fail(lexer, "a variable or a function");
}

static void parse_directive(struct reader *reader)
{
    struct lexer *lexer = &reader->lexer;

    if (lex_take_dot(lexer, "version"))
        parse_version(reader);
    else if (lex_take_dot(lexer, "target"))
        parse_target(reader);
    else if (lex_take_dot(lexer, "address_size"))
        reader->module->address_bits = (unsigned)read_constant(reader);
    else if (lex_take_dot(lexer, "alias"))
        parse_alias(reader);
    else if (lex_take_dot(lexer, "pragma"))
        while (!lex_take_sign(lexer, ';') && lexer->token.kind != TOKEN_END)
            lex_next(lexer);
    else if (!lex_take_sign(lexer, ';'))
        parse_linked(reader);
}

void ptx_parse(struct ptx_module *module, const char *text, size_t length)
{
    struct reader reader = {.module = module, .arena = &module->arena};

    module->text = text;
    module->length = strnlen(text, length);
    module->names = names_create(&module->arena);
    module->scope = reader.scope = scope_create(&module->arena, NULL);
    module->address_bits = 32;
    lex_start(&reader.lexer, text, length, 1, module->arena.exit);
    while (reader.lexer.token.kind != TOKEN_END)
        parse_directive(&reader);
    if (!module->version || !module->target)
        ptx_fail(module->arena.exit, 0, "no .version or no .target");
    if (module->address_bits != 64)
        ptx_fail(module->arena.exit, 0, "addresses of 64 bits alone are supported");
}
