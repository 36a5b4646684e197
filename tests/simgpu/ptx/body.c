/* SPDX-License-Identifier: Apache-2.0 */
/* A function's body: instructions, labels, registers, and what is declared in between. */
#include "ptx/parse.h"

#include "ptx/reader.h"

#include <string.h>

enum {
    OPERANDS_MAX = 64,
    WORDS_MAX = 24
};

/* The register %r17 of %r<20>, made when it is first used. */
static struct ptx_symbol *ranged(struct reader *reader, struct ptx_scope *scope, const char *name)
{
    size_t length = strlen(name), digits = length;
    uint64_t number = 0;

    while (digits && name[digits - 1] >= '0' && name[digits - 1] <= '9')
        digits--;
    if (digits == length || length - digits > 9 || (name[digits] == '0' && length - digits > 1))
        return NULL;
    for (size_t i = digits; i < length; i++)
        number = number * 10 + (uint64_t)(name[i] - '0');
    for (const struct ptx_range *range = scope->ranges; range; range = range->next) {
        if (strlen(range->prefix) == digits && memcmp(range->prefix, name, digits) == 0 &&
            number < range->count) {
            struct ptx_symbol *symbol = arena_take(reader->arena, sizeof *symbol);

            *symbol = (struct ptx_symbol){.kind = SYMBOL_REGISTER,
                                          .name = name,
                                          .type = range->type,
                                          .space = SPACE_REGISTER,
                                          .id = reader->registers++,
                                          .next = reader->body->registers};
            reader->body->registers = symbol;
            scope_add(reader->arena, scope, symbol);
            return symbol;
        }
    }
    return NULL;
}

static struct ptx_symbol *find(struct reader *reader, const char *name)
{
    for (struct ptx_scope *scope = reader->scope; scope; scope = scope->outer) {
        struct ptx_symbol *symbol = scope_own(scope, name);

        if (!symbol)
            symbol = ranged(reader, scope, name);
        if (symbol)
            return symbol;
    }
    return NULL;
}

static void parse_operand(struct reader *reader, struct ptx_operand *operand);

/* Up to the sign that closes it. */
static void parse_items(struct reader *reader, struct ptx_operand *operand, char close)
{
    struct ptx_operand items[OPERANDS_MAX];
    unsigned line = reader->lexer.token.line;

    reader_enter(reader);
    while (!lex_take_sign(&reader->lexer, close)) {
        if (operand->count == OPERANDS_MAX)
            ptx_fail(reader->arena->exit, line, "too many operands");
        if (operand->count && !lex_take_sign(&reader->lexer, ','))
            lex_fail(&reader->lexer, "','");
        parse_operand(reader, &items[operand->count++]);
    }
    reader->depth--;
    operand->items = arena_take(reader->arena, operand->count * sizeof *items + 1);
    memcpy(operand->items, items, operand->count * sizeof *items);
}

static const char *special_name(struct reader *reader, const char *name)
{
    char whole[64];
    size_t length = strlen(name);
    const struct token *token = &reader->lexer.token;

    if (token->kind != TOKEN_DOT || length + 1 + token->length >= sizeof whole)
        return name;
    memcpy(whole, name, length);
    whole[length] = '.';
    memcpy(whole + length + 1, token->text, token->length);
    length += 1 + token->length;
    lex_next(&reader->lexer);
    return names_keep(reader->module->names, whole, length);
}

/* What may be added to a symbol's address, or a register's in an address. */
static uint64_t parse_addend(struct reader *reader)
{
    uint64_t value = 0;

    while (lex_is_sign(&reader->lexer, '+') || lex_is_sign(&reader->lexer, '-')) {
        bool negative = lex_is_sign(&reader->lexer, '-');
        uint64_t addend;

        lex_next(&reader->lexer);
        addend = read_constant(reader);
        value = negative ? value - addend : value + addend;
    }
    return value;
}

/* What lies between a variable's start and its element in brackets: counted in its type, vectors and rows alike. */
static uint64_t parse_index(struct reader *reader, const struct ptx_symbol *variable)
{
    uint64_t count;

    if (!lex_take_sign(&reader->lexer, '['))
        return 0;
    count = read_constant(reader);
    lex_expect(&reader->lexer, ']');
    return count * ((variable->type->bits + 7) / 8);
}

static void parse_word(struct reader *reader, struct ptx_operand *operand)
{
    const char *name = read_name(reader, "an operand");

    operand->name = name;
    if (strcmp(name, "_") == 0) {
        operand->kind = OPERAND_SINK;
        return;
    }
    if (strcmp(name, "WARP_SZ") == 0) {
        operand->kind = OPERAND_INTEGER;
        operand->value = 32;
        return;
    }
    operand->symbol = find(reader, name);
    if (!operand->symbol) {
        operand->kind = *name == '%' ? OPERAND_SPECIAL : OPERAND_NAME;
        if (*name == '%')
            operand->name = special_name(reader, name);
        return;
    }
    operand->kind = operand->symbol->kind == SYMBOL_REGISTER ? OPERAND_REGISTER : OPERAND_SYMBOL;
    if (operand->symbol->kind == SYMBOL_VARIABLE)
        operand->value = parse_index(reader, operand->symbol);
    operand->value += parse_addend(reader);
}

static void parse_number(struct reader *reader, struct ptx_operand *operand)
{
    struct lexer *lexer = &reader->lexer;
    bool negative = false;

    if (lex_is_sign(lexer, '-') && lexer->at < lexer->end) {
        struct lexer ahead = *lexer;

        lex_next(&ahead);
        if (ahead.token.kind == TOKEN_SINGLE || ahead.token.kind == TOKEN_DOUBLE) {
            lex_next(lexer);
            negative = true;
        }
    }
    if (lexer->token.kind == TOKEN_SINGLE || lexer->token.kind == TOKEN_DOUBLE) {
        bool single = lexer->token.kind == TOKEN_SINGLE;

        operand->kind = single ? OPERAND_SINGLE : OPERAND_DOUBLE;
        operand->value = lexer->token.value ^ (negative ? (uint64_t)1 << (single ? 31 : 63) : 0);
        lex_next(lexer);
        return;
    }
    operand->kind = OPERAND_INTEGER;
    operand->value = read_constant(reader);
}

static void parse_operand(struct reader *reader, struct ptx_operand *operand)
{
    struct lexer *lexer = &reader->lexer;

    memset(operand, 0, sizeof *operand);
    if (lex_take_sign(lexer, '!'))
        operand->is_negated = true;
    if (lex_take_sign(lexer, '{')) {
        operand->kind = OPERAND_VECTOR;
        parse_items(reader, operand, '}');
    } else if (lex_take_sign(lexer, '[')) {
        operand->kind = OPERAND_ADDRESS;
        parse_items(reader, operand, ']');
    } else if (lexer->token.kind == TOKEN_WORD) {
        parse_word(reader, operand);
    } else {
        parse_number(reader, operand);
    }
    if (lex_take_sign(lexer, '|')) {
        operand->second = arena_take(reader->arena, sizeof *operand);
        reader_enter(reader);
        parse_operand(reader, operand->second);
        reader->depth--;
    }
}

/* A call's list in parentheses; elsewhere a parenthesis opens a number. */
static void parse_call_operand(struct reader *reader, struct ptx_operand *operand)
{
    if (!lex_take_sign(&reader->lexer, '(')) {
        parse_operand(reader, operand);
        return;
    }
    memset(operand, 0, sizeof *operand);
    operand->kind = OPERAND_LIST;
    parse_items(reader, operand, ')');
}

static void append(struct reader *reader, struct ptx_instruction ***tail, struct ptx_instruction *instruction)
{
    instruction->scope = reader->scope;
    **tail = instruction;
    *tail = &instruction->next;
}

static void parse_instruction(struct reader *reader, struct ptx_instruction *instruction)
{
    const char *words[WORDS_MAX];
    struct ptx_operand operands[OPERANDS_MAX];
    bool is_call = strcmp(instruction->opcode, "call") == 0;

    while (reader->lexer.token.kind == TOKEN_DOT) {
        if (instruction->word_count == WORDS_MAX)
            lex_fail(&reader->lexer, "an operand");
        words[instruction->word_count++] = read_name(reader, "a modifier");
    }
    while (!lex_take_sign(&reader->lexer, ';')) {
        if (instruction->count && !lex_take_sign(&reader->lexer, ','))
            lex_fail(&reader->lexer, "',' or ';'");
        if (instruction->count == OPERANDS_MAX)
            lex_fail(&reader->lexer, "';'");
        if (is_call)
            parse_call_operand(reader, &operands[instruction->count++]);
        else
            parse_operand(reader, &operands[instruction->count++]);
    }
    instruction->words = arena_take(reader->arena, instruction->word_count * sizeof *words + 1);
    memcpy(instruction->words, words, instruction->word_count * sizeof *words);
    instruction->operands = arena_take(reader->arena, instruction->count * sizeof *operands + 1);
    memcpy(instruction->operands, operands, instruction->count * sizeof *operands);
}

static void parse_table(struct reader *reader, const char *name)
{
    struct ptx_table *table = arena_take(reader->arena, sizeof *table);
    struct lexer *lexer = &reader->lexer;
    const char *targets[1024];
    struct ptx_symbol *list;
    size_t end;

    *table = (struct ptx_table){.next = reader->body->tables, .name = name, .scope = reader->scope};
    reader->body->tables = table;
    if (lex_take_dot(lexer, "callprototype")) {
        table->is_prototype = true;
        if (lex_is_sign(lexer, '('))
            table->returns = read_parameters(reader, &list, &end);
        (void)read_name(reader, "'_'");
        if (lex_is_sign(lexer, '('))
            table->arguments = read_parameters(reader, &list, &end);
        while (lex_take_dot(lexer, "noreturn"))
            continue;
    } else {
        lex_next(lexer);
        do {
            if (table->count == sizeof targets / sizeof *targets)
                lex_fail(lexer, "';'");
            targets[table->count++] = read_name(reader, "a label");
        } while (lex_take_sign(lexer, ','));
        table->targets = arena_take(reader->arena, table->count * sizeof *targets);
        memcpy(table->targets, targets, table->count * sizeof *targets);
    }
    lex_expect(lexer, ';');
}

static bool begins_table(const struct reader *reader)
{
    return lex_is_dot(&reader->lexer, "branchtargets") || lex_is_dot(&reader->lexer, "calltargets") ||
           lex_is_dot(&reader->lexer, "callprototype");
}

static void parse_label(struct reader *reader, const char *name, struct ptx_instruction ***tail)
{
    struct ptx_instruction *place = arena_take(reader->arena, sizeof *place);
    struct ptx_label *label = arena_take(reader->arena, sizeof *label);

    if (begins_table(reader)) {
        parse_table(reader, name);
        return;
    }
    *label = (struct ptx_label){reader->scope->labels, name, reader->body->label_count++};
    reader->scope->labels = label;
    place->label = name;
    place->label_id = label->id;
    append(reader, tail, place);
}

static void parse_local_variables(struct reader *reader, enum ptx_space space)
{
    struct declaration declaration = {.space = space};

    if (space != SPACE_LOCAL && space != SPACE_SHARED && space != SPACE_PARAMETER)
        lex_fail(&reader->lexer, "a variable of another space");
    read_declaration(reader, &declaration);
    do {
        struct ptx_symbol *variable = read_variable(reader, &declaration);

        if (!scope_add(reader->arena, reader->scope, variable))
            ptx_fail(reader->arena->exit, variable->line, "%s is declared twice", variable->name);
        variable->id = reader->registers++;
        variable->is_inner = true;
        variable->next = reader->body->variables;
        reader->body->variables = variable;
    } while (lex_take_sign(&reader->lexer, ','));
    lex_expect(&reader->lexer, ';');
}

static void parse_statement(struct reader *reader, struct ptx_instruction ***tail)
{
    struct lexer *lexer = &reader->lexer;
    struct ptx_instruction *instruction;
    struct ptx_operand *guard = NULL;
    enum ptx_space space;
    unsigned line;

    if (lex_take_dot(lexer, "reg")) {
        read_registers(reader);
        return;
    }
    if (lex_take_dot(lexer, "pragma")) {
        while (!lex_take_sign(lexer, ';') && lexer->token.kind != TOKEN_END)
            lex_next(lexer);
        return;
    }
    if (read_space(reader, &space)) {
        parse_local_variables(reader, space);
        return;
    }
    if (lex_take_sign(lexer, '@')) {
        guard = arena_take(reader->arena, sizeof *guard);
        parse_operand(reader, guard);
    }
    line = lexer->token.line;
    if (lexer->token.kind != TOKEN_WORD)
        lex_fail(lexer, "an instruction");
    instruction = arena_take(reader->arena, sizeof *instruction);
    instruction->line = line;
    instruction->opcode = read_name(reader, "an instruction");
    instruction->guard = guard;
    if (!guard && lex_take_sign(lexer, ':')) {
        parse_label(reader, instruction->opcode, tail);
        return;
    }
    parse_instruction(reader, instruction);
    append(reader, tail, instruction);
}

/* A parameter as the body sees it: one in a register is a register, whose first or last value goes the way of offset. */
static void add_parameters(struct reader *reader, const struct ptx_symbol *list)
{
    for (; list; list = list->next) {
        struct ptx_symbol *symbol = arena_take(reader->arena, sizeof *symbol);

        *symbol = *list;
        symbol->next = NULL;
        if (list->space == SPACE_REGISTER) {
            symbol->kind = SYMBOL_REGISTER;
            symbol->offset = list->id;
            symbol->id = reader->registers++;
            symbol->next = reader->body->parameters;
            reader->body->parameters = symbol;
        }
        if (strcmp(list->name, "_") != 0 && !scope_add(reader->arena, reader->scope, symbol))
            ptx_fail(reader->arena->exit, list->line, "%s is declared twice", list->name);
    }
}

struct ptx_body *ptx_parse_body(struct ptx_module *module, const struct ptx_function *function,
                                struct arena *arena)
{
    struct ptx_body *body = arena_take(arena, sizeof *body);
    struct reader reader = {.module = module, .arena = arena, .body = body};
    struct ptx_instruction **tail = &body->code;
    unsigned depth = 0;

    reader.scope = scope_create(arena, module->scope);
    add_parameters(&reader, function->returns);
    add_parameters(&reader, function->parameters);
    lex_start(&reader.lexer, function->text, function->length, function->line, arena->exit);
    for (;;) {
        if (lex_take_sign(&reader.lexer, '{')) {
            depth++;
            reader.scope = scope_create(arena, reader.scope);
        } else if (lex_is_sign(&reader.lexer, '}')) {
            reader.scope = reader.scope->outer;
            if (!--depth)
                return body;
            lex_next(&reader.lexer);
        } else if (!lex_take_sign(&reader.lexer, ';')) {
            parse_statement(&reader, &tail);
        }
    }
}
