/* SPDX-License-Identifier: Apache-2.0 */
/* Branches, calls, returns. */
#include "ptx/family.h"

#include "ptx/names.h"

#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

static const char *label_of(struct emitter *emitter, const struct ptx_operand *operand)
{
    if (!operand->name)
        emit_fail(emitter, "%s wants a label", emitter->instruction->opcode);
    return operand->name;
}

void emit_branch(struct emitter *emitter)
{
    emit_ignore(emitter, "uni");
    emit_expect_count(emitter, 1, 1);
    text_put(&emitter->out, "goto L%u; ", emit_label(emitter, label_of(emitter, emit_operand(emitter, 0))));
}

/* The list or prototype of that name, from inside to outside. */
static const struct ptx_table *find_table(struct emitter *emitter, const char *name)
{
    for (const struct ptx_scope *scope = emitter->instruction->scope; scope; scope = scope->outer)
        for (const struct ptx_table *table = emitter->body->tables; table; table = table->next)
            if (table->scope == scope && table->name == name)
                return table;
    emit_fail(emitter, "there is no %s", name);
}

void emit_branch_table(struct emitter *emitter)
{
    const struct ptx_table *table;

    if (!emit_has(emitter, "idx"))
        emit_fail(emitter, "brx without .idx is not known");
    emit_ignore(emitter, "uni");
    emit_expect_count(emitter, 2, 2);
    table = find_table(emitter, label_of(emitter, emit_operand(emitter, 1)));
    text_put(&emitter->out, "switch (%s) { ", emit_u32(emitter, emit_operand(emitter, 0)));
    for (unsigned i = 0; i < table->count; i++)
        text_put(&emitter->out, "case %u: goto L%u; ", i, emit_label(emitter, table->targets[i]));
    text_put(&emitter->out, "default: ptx_trap(t, s); } ");
}

/* The operands of a call, apart. */
struct call {
    const struct ptx_operand *results, *target, *arguments, *prototype;
};

static struct call split(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;
    struct call call = {0};
    unsigned at = 0;

    if (at < instruction->count && instruction->operands[at].kind == OPERAND_LIST)
        call.results = &instruction->operands[at++];
    call.target = emit_operand(emitter, at++);
    if (at < instruction->count && instruction->operands[at].kind == OPERAND_LIST)
        call.arguments = &instruction->operands[at++];
    if (at < instruction->count)
        call.prototype = &instruction->operands[at++];
    if (at < instruction->count)
        emit_fail(emitter, "call has too many operands");
    return call;
}

/* A pointer to an argument: of .param memory itself, or of a copy. after: what has to be done behind the call. */
static const char *argument(struct emitter *emitter, const struct ptx_operand *operand, struct text *after)
{
    const struct ptx_symbol *symbol = operand->symbol;
    const char *name;

    if (operand->kind == OPERAND_SYMBOL && symbol->space == SPACE_PARAMETER && !operand->value)
        return symbol->is_entry_parameter ? PRINT("(u8 *)params + %zu", symbol->offset)
                                          : emit_variable_name(emitter, symbol);
    name = emit_temporary(emitter);
    if (operand->kind == OPERAND_REGISTER) {
        text_put(&emitter->out, "u64 %s[2] = {0}; __builtin_memcpy(%s, &r%u, sizeof r%u); ", name, name,
                 symbol->id, symbol->id);
        if (after)
            text_put(after, "__builtin_memcpy(&r%u, %s, sizeof r%u); ", symbol->id, name, symbol->id);
    } else if (after) {
        emit_fail(emitter, "a call's result is no register");
    } else {
        text_put(&emitter->out, "u64 %s[2] = {%s}; ", name,
                 emit_value(emitter, operand, ptx_type_find("u64")));
    }
    return PRINT("(u8 *)%s", name);
}

static const char *arguments(struct emitter *emitter, const struct call *call, struct text *after)
{
    struct text list = {.arena = emitter->arena};

    text_put(&list, "t");
    for (unsigned i = 0; call->results && i < call->results->count; i++)
        text_put(&list, ", %s", argument(emitter, &call->results->items[i], after));
    for (unsigned i = 0; call->arguments && i < call->arguments->count; i++)
        text_put(&list, ", %s", argument(emitter, &call->arguments->items[i], NULL));
    return list.bytes;
}

/* Memory for a result that the caller has no use of, and did not declare. */
static const char *unwanted(struct emitter *emitter)
{
    const char *name = emit_temporary(emitter);

    text_put(&emitter->out, "u64 %s[2]; ", name);
    return PRINT("(u8 *)%s", name);
}

/* Functions that the machine brings along. Arguments are pointers to their memory. */
static bool call_machine(struct emitter *emitter, const char *name, const struct call *call)
{
    static const struct {
        const char *name;
        unsigned results, arguments;
        const char *made;
    } known[] = {
        {"vprintf", 1, 2, "*(u32 *)%s = ptx_vprintf(t, *(const u64 *)%s, *(const u64 *)%s); "},
        {"malloc", 1, 1, "*(u64 *)%s = ptx_malloc(t, *(const u64 *)%s); "},
        {"free", 0, 1, "ptx_free(t, *(const u64 *)%s); "},
        {"__assertfail", 0, 5,
         "ptx_assertfail(t, s, *(const u64 *)%s, *(const u64 *)%s, *(const u32 *)%s, *(const u64 *)%s, "
         "*(const u64 *)%s); "},
    };
    unsigned results = call->results ? call->results->count : 0;
    unsigned count = call->arguments ? call->arguments->count : 0;
    const char *list[6] = {"0", "0", "0", "0", "0", "0"};
    struct text after = {.arena = emitter->arena};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *at = known[i].made;
        unsigned number = 0;

        if (strcmp(known[i].name, name) != 0 || known[i].results < results || known[i].arguments != count)
            continue;
        if (known[i].results)
            list[0] = results ? argument(emitter, &call->results->items[0], &after) : unwanted(emitter);
        for (unsigned k = 0; k < count; k++)
            list[known[i].results + k] = argument(emitter, &call->arguments->items[k], NULL);
        for (const char *mark; (mark = strstr(at, "%s")); at = mark + 2)
            text_put(&emitter->out, "%.*s(%s)", (int)(mark - at), at, list[number++]);
        text_put(&emitter->out, "%s%s", at, after.bytes ? after.bytes : "");
        return true;
    }
    return false;
}

static void call_known(struct emitter *emitter, const struct ptx_function *function, const struct call *call)
{
    struct text after = {.arena = emitter->arena};
    unsigned results = call->results ? call->results->count : 0;
    unsigned count = call->arguments ? call->arguments->count : 0;

    if (!function->text) {
        if (!call_machine(emitter, function->name, call))
            emit_fail(emitter, "%s is declared and not defined", function->name);
        return;
    }
    if (function->is_entry || results != function->return_count || count != function->parameter_count)
        emit_fail(emitter, "%s is called with %u results and %u arguments", function->name, results, count);
    emit_need_function(emitter, function);
    /* Its arguments come first: they may declare copies. */
    const char *list = arguments(emitter, call, &after);

    text_put(&emitter->out, "function%u(%s); %s", function->symbol->id, list, after.bytes ? after.bytes : "");
}

/* Through a number that stands for a function: any with as many results and arguments may be meant. */
static void call_pointer(struct emitter *emitter, const struct call *call)
{
    struct text after = {.arena = emitter->arena};
    unsigned results = call->results ? call->results->count : 0;
    unsigned count = call->arguments ? call->arguments->count : 0;
    const char *list = arguments(emitter, call, &after);

    text_put(&emitter->out, "switch (%s) { ", emit_value(emitter, call->target, ptx_type_find("u64")));
    for (const struct ptx_function *function = emitter->module->functions; function;
         function = function->next) {
        if (function->is_entry || !function->text || function->return_count != results ||
            function->parameter_count != count)
            continue;
        emit_need_function(emitter, function);
        text_put(&emitter->out, "case 0x%llxu: function%u(%s); break; ",
                 (unsigned long long)ptx_function_address(function), function->symbol->id, list);
    }
    text_put(&emitter->out, "default: ptx_trap(t, s); } %s", after.bytes ? after.bytes : "");
}

void emit_call(struct emitter *emitter)
{
    struct call call = split(emitter);

    emit_ignore(emitter, "uni");
    if (call.target->kind == OPERAND_SYMBOL && call.target->symbol->kind == SYMBOL_FUNCTION)
        call_known(emitter, call.target->symbol->function, &call);
    else if (call.target->kind == OPERAND_REGISTER)
        call_pointer(emitter, &call);
    else
        emit_fail(emitter, "call of what is no function");
}

/* Results in registers go where the caller wants them. */
static void emit_results(struct emitter *emitter)
{
    for (const struct ptx_symbol *symbol = emitter->body->parameters; symbol; symbol = symbol->next)
        if (symbol->is_result)
            text_put(&emitter->out, "__builtin_memcpy(q%zu, &r%u, sizeof r%u); ", symbol->offset, symbol->id,
                     symbol->id);
}

void emit_return(struct emitter *emitter)
{
    emit_ignore(emitter, "uni");
    emit_expect_count(emitter, 0, 0);
    emit_results(emitter);
    text_put(&emitter->out, "return; ");
}

void emit_exit(struct emitter *emitter)
{
    emit_expect_count(emitter, 0, 0);
    if (emitter->function->is_entry) {
        text_put(&emitter->out, "return; ");
        return;
    }
    /* Out of the functions that called this one there is no way but a thread's own. */
    emitter->needs_fibers = true;
    text_put(&emitter->out, "ptx_exit(t); ");
}
