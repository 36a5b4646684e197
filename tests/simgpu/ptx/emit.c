/* SPDX-License-Identifier: Apache-2.0 */
/* A function: head, registers, variables, statements. */
#include "ptx/emit.h"

#include "ptx/family.h"
#include "ptx/parse.h"

#include <string.h>

void emit_head(struct emitter *emitter, struct text *out, const struct ptx_function *function)
{
    (void)emitter;
    if (function->is_entry) {
        text_put(
            out,
            "PTX_DEVICE void function%u(struct ptx_thread *t, const struct ptx_thread *s, const u8 *params, "
            "u64 *sites)",
            function->symbol->id);
        return;
    }
    text_put(out, "static void function%u(struct ptx_thread *t", function->symbol->id);
    for (const struct ptx_symbol *list = function->returns; list; list = list->next)
        text_put(out, ", u8 *q%u", list->id);
    for (const struct ptx_symbol *list = function->parameters; list; list = list->next)
        text_put(out, ", u8 *p%u", list->id);
    text_put(out, ")");
}

static const char *register_type(const struct ptx_symbol *symbol)
{
    const struct ptx_type *type = symbol->type;

    if (type->kind == TYPE_FLOAT || type->bits == 1)
        return type->c;
    return type->bits == 8    ? "u8"
           : type->bits == 16 ? "u16"
           : type->bits == 32 ? "u32"
           : type->bits == 64 ? "u64"
                              : "u128";
}

/* Registers start as zeros: what reads one that nothing was written to must not be undefined in C. */
static void emit_registers(struct emitter *emitter)
{
    const struct ptx_body *body = emitter->body;

    for (const struct ptx_symbol *symbol = body->registers; symbol; symbol = symbol->next)
        text_put(&emitter->out, "    %s r%u = 0;\n", register_type(symbol), symbol->id);
    for (const struct ptx_symbol *symbol = body->parameters; symbol; symbol = symbol->next) {
        const char *type = register_type(symbol);

        if (symbol->is_result)
            text_put(&emitter->out, "    %s r%u = 0;\n", type, symbol->id);
        else
            text_put(&emitter->out, "    %s r%u = *(const %s *)p%zu;\n", type, symbol->id, type,
                     symbol->offset);
    }
    for (const struct ptx_symbol *variable = body->variables; variable; variable = variable->next)
        if (variable->space != SPACE_SHARED)
            text_put(&emitter->out, "    u8 v%u[%zu] __attribute__((aligned(%zu)));\n", variable->id,
                     variable->bytes ? variable->bytes : 1, variable->align > 8 ? variable->align : 8);
}

bool emit_takes_stack(const struct ptx_body *body)
{
    for (const struct ptx_instruction *instruction = body->code; instruction; instruction = instruction->next)
        if (!instruction->label &&
            (strcmp(instruction->opcode, "alloca") == 0 || strncmp(instruction->opcode, "stack", 5) == 0))
            return true;
    return false;
}

static void emit_guarded(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;

    emitter->words_used = 0;
    if (instruction->guard)
        text_put(&emitter->out, "    if (%s) { ", emit_predicate(emitter, instruction->guard));
    else
        text_put(&emitter->out, "    { ");
    emit_instruction(emitter);
    emit_check_words(emitter);
    text_put(&emitter->out, "}\n");
}

void emit_function(struct emitter *emitter, const struct ptx_function *function)
{
    emitter->function = function;
    emitter->body = ptx_parse_body(emitter->module, function, emitter->arena);
    emitter->temporaries = 0;
    emit_head(emitter, &emitter->out, function);
    text_put(&emitter->out, "\n{\n    u32 cc = 0, no_cc = 0;\n");
    if (!function->is_entry)
        text_put(&emitter->out, "    const struct ptx_thread *s = t;\n    u64 *sites = t->sites;\n");
    emit_registers(emitter);
    if (emit_takes_stack(emitter->body))
        text_put(&emitter->out,
                 "    u8 stack[PTX_STACK_BYTES] __attribute__((aligned(%u)));\n    u32 stack_used = 0;\n",
                 PTX_STACK_ALIGN);
    for (const struct ptx_instruction *instruction = emitter->body->code; instruction;
         instruction = instruction->next) {
        emitter->instruction = instruction;
        if (instruction->label)
            text_put(&emitter->out, "L%u:;\n", instruction->label_id);
        else
            emit_guarded(emitter);
    }
    emitter->instruction = NULL;
    text_put(&emitter->out, "}\n\n");
}
