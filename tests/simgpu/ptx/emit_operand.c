/* SPDX-License-Identifier: Apache-2.0 */
/* Operands as expressions in C, and assignments to them. */
#include "ptx/emit.h"

#include "ptx/names.h"

#include <stdlib.h>
#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

const struct ptx_operand *emit_operand(struct emitter *emitter, unsigned number)
{
    if (number >= emitter->instruction->count)
        emit_fail(emitter, "%s has too few operands", emitter->instruction->opcode);
    return &emitter->instruction->operands[number];
}

void emit_expect_count(struct emitter *emitter, unsigned least, unsigned most)
{
    unsigned count = emitter->instruction->count;

    if (count < least || count > most)
        emit_fail(emitter, "%s has %u operands", emitter->instruction->opcode, count);
}

static bool is_float(const struct ptx_type *type)
{
    return type->kind == TYPE_FLOAT;
}

/* How a register is held. */
static const char *held(const struct ptx_type *type)
{
    switch (type->bits) {
    case 1:
        return "bool";
    case 8:
        return "u8";
    case 16:
        return "u16";
    case 32:
        return is_float(type) ? "f32" : "u32";
    case 64:
        return is_float(type) ? "f64" : "u64";
    default:
        return "u128";
    }
}

static const char *register_value(struct emitter *emitter, const struct ptx_operand *operand,
                                  const struct ptx_type *type)
{
    const struct ptx_symbol *symbol = operand->symbol;
    const char *name = PRINT("r%u", symbol->id);
    bool from_float = is_float(symbol->type), to_float = is_float(type);

    if (operand->value)
        emit_fail(emitter, "a number is added to %s outside an address", symbol->name);
    if ((symbol->type->bits == 1) != (type->bits == 1) || symbol->type->bits < type->bits ||
        (to_float && symbol->type->bits != type->bits))
        emit_fail(emitter, "%s is .%s where .%s is wanted", symbol->name, symbol->type->name, type->name);
    if (from_float && to_float)
        return name;
    if (from_float)
        return PRINT("(%s)ptx_bits_f%u(%s)", type->c, symbol->type->bits, name);
    if (to_float)
        return PRINT("ptx_float_b%u(%s)", type->bits, name);
    return strcmp(held(symbol->type), type->c) == 0 ? name : PRINT("(%s)%s", type->c, name);
}

static double value_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t single_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t double_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The bits that a written float has in a type of 32 or 64 bits. */
static uint64_t float_bits(struct emitter *emitter, const struct ptx_operand *operand,
                           const struct ptx_type *type)
{
    float single;
    uint32_t bits = (uint32_t)operand->value;

    if (type->bits == 32)
        return operand->kind == OPERAND_SINGLE ? operand->value
                                               : single_bits((float)value_double(operand->value));
    if (type->bits == 64 && operand->kind == OPERAND_DOUBLE)
        return operand->value;
    if (type->bits != 64)
        emit_fail(emitter, "a float is written where .%s is wanted", type->name);
    memcpy(&single, &bits, sizeof single);
    return double_bits(single);
}

static const char *number(struct emitter *emitter, uint64_t bits, const struct ptx_type *type)
{
    if (type->bits == 1)
        return bits ? "true" : "false";
    if (is_float(type))
        return PRINT("ptx_float_b%u(0x%llxu)", type->bits, (unsigned long long)bits);
    if (type->bits < 64)
        bits &= ((uint64_t)1 << type->bits) - 1;
    return PRINT("(%s)0x%llxu", type->c, (unsigned long long)bits);
}

/* An integer may stand for a float of the same number. */
static const char *integer_value(struct emitter *emitter, uint64_t value, const struct ptx_type *type)
{
    if (is_float(type))
        value = type->bits == 32 ? single_bits((float)(int64_t)value) : double_bits((double)(int64_t)value);
    return number(emitter, value, type);
}

void emit_need_function(struct emitter *emitter, const struct ptx_function *function)
{
    struct ptx_needed **last = &emitter->needed;

    for (; *last; last = &(*last)->next)
        if ((*last)->function == function)
            return;
    *last = arena_take(emitter->arena, sizeof **last);
    (*last)->function = function;
}

static const char *shared_name(struct emitter *emitter, const struct ptx_symbol *variable)
{
    struct ptx_shared *shared = emitter->shared;

    while (shared && shared->variable != variable)
        shared = shared->next;
    if (!shared) {
        shared = arena_take(emitter->arena, sizeof *shared);
        shared->variable = variable;
        shared->name = variable->is_inner ? PRINT("S%u_%u", emitter->function->symbol->id, variable->id)
                                          : PRINT("S%u", variable->id);
        shared->next = emitter->shared;
        emitter->shared = shared;
    }
    return shared->name;
}

const char *emit_variable_name(struct emitter *emitter, const struct ptx_symbol *variable)
{
    return PRINT("%c%u", variable->is_inner ? 'v' : variable->is_result ? 'q' : 'p', variable->id);
}

/* Memory of a thread alone, as a pointer. */
static const char *own_memory(struct emitter *emitter, const struct ptx_symbol *symbol)
{
    return symbol->is_entry_parameter ? PRINT("(params + %zu)", symbol->offset)
                                      : emit_variable_name(emitter, symbol);
}

/* The address of a variable or function in its own space, as a u64. */
static const char *symbol_address(struct emitter *emitter, const struct ptx_symbol *symbol)
{
    if (symbol->kind == SYMBOL_FUNCTION)
        return PRINT("(u64)0x%llxu", (unsigned long long)ptx_function_address(symbol->function));
    switch (symbol->space) {
    case SPACE_SHARED:
        return PRINT("(u64)%s", shared_name(emitter, symbol));
    case SPACE_GLOBAL:
    case SPACE_CONSTANT:
        return PRINT("(u64)s->globals[%u]", symbol->id);
    case SPACE_PARAMETER:
    case SPACE_LOCAL:
        return PRINT("(u64)%s", own_memory(emitter, symbol));
    default:
        emit_fail(emitter, "%s has no address", symbol->name);
    }
}

/* Special registers; %envreg and the lane's have functions of their own. */
static const struct {
    const char *name, *value;
} specials[] = {
    {"%tid.x", "s->tid[0]"},
    {"%tid.y", "s->tid[1]"},
    {"%tid.z", "s->tid[2]"},
    {"%ntid.x", "s->ntid[0]"},
    {"%ntid.y", "s->ntid[1]"},
    {"%ntid.z", "s->ntid[2]"},
    {"%ctaid.x", "s->ctaid[0]"},
    {"%ctaid.y", "s->ctaid[1]"},
    {"%ctaid.z", "s->ctaid[2]"},
    {"%nctaid.x", "s->nctaid[0]"},
    {"%nctaid.y", "s->nctaid[1]"},
    {"%nctaid.z", "s->nctaid[2]"},
    {"%laneid", "s->lane"},
    {"%warpid", "s->warp"},
    {"%nwarpid", "s->nwarps"},
    {"%smid", "s->smid"},
    {"%nsmid", "s->nsmid"},
    {"%gridid", "s->gridid"},
    {"%lanemask_eq", "ptx_lanemask_eq(s)"},
    {"%lanemask_le", "ptx_lanemask_le(s)"},
    {"%lanemask_lt", "ptx_lanemask_lt(s)"},
    {"%lanemask_ge", "ptx_lanemask_ge(s)"},
    {"%lanemask_gt", "ptx_lanemask_gt(s)"},
    {"%clock", "ptx_clock()"},
    {"%clock_hi", "(ptx_clock64() >> 32)"},
    {"%clock64", "ptx_clock64()"},
    {"%globaltimer", "ptx_globaltimer(t)"},
    {"%globaltimer_lo", "ptx_globaltimer(t)"},
    {"%globaltimer_hi", "(ptx_globaltimer(t) >> 32)"},
    {"%dynamic_smem_size", "s->shared_dynamic"},
    {"%total_smem_size", "s->shared_bytes"},
    {"%aggr_smem_size", "s->shared_bytes"},
    /* A cluster is one block. */
    {"%is_explicit_cluster", "0"},
    {"%cluster_ctaid.x", "0"},
    {"%cluster_ctaid.y", "0"},
    {"%cluster_ctaid.z", "0"},
    {"%cluster_nctaid.x", "1"},
    {"%cluster_nctaid.y", "1"},
    {"%cluster_nctaid.z", "1"},
    {"%cluster_ctarank", "0"},
    {"%cluster_nctarank", "1"},
    {"%clusterid.x", "s->ctaid[0]"},
    {"%clusterid.y", "s->ctaid[1]"},
    {"%clusterid.z", "s->ctaid[2]"},
    {"%nclusterid.x", "s->nctaid[0]"},
    {"%nclusterid.y", "s->nctaid[1]"},
    {"%nclusterid.z", "s->nctaid[2]"},
    /* Nothing is counted, no graph tells of itself, and nothing of shared memory is the system's. */
    {"%pm0", "0"},
    {"%pm1", "0"},
    {"%pm2", "0"},
    {"%pm3", "0"},
    {"%pm4", "0"},
    {"%pm5", "0"},
    {"%pm6", "0"},
    {"%pm7", "0"},
    {"%pm0_64", "0"},
    {"%pm1_64", "0"},
    {"%pm2_64", "0"},
    {"%pm3_64", "0"},
    {"%pm4_64", "0"},
    {"%pm5_64", "0"},
    {"%pm6_64", "0"},
    {"%pm7_64", "0"},
    {"%current_graph_exec", "0"},
    {"%reserved_smem_offset_begin", "0"},
    {"%reserved_smem_offset_end", "0"},
    {"%reserved_smem_offset_cap", "0"},
    {"%reserved_smem_offset_0", "0"},
    {"%reserved_smem_offset_1", "0"},
};

static const char *special_value(struct emitter *emitter, const char *name, const struct ptx_type *type)
{
    if (type->kind == TYPE_FLOAT || type->bits == 8 || type->bits > 64)
        emit_fail(emitter, "%s is no .%s", name, type->name);
    if (strncmp(name, "%envreg", 7) == 0) {
        char *end;
        unsigned long number = strtoul(name + 7, &end, 10);

        if (end != name + 7 && !*end && number < 32)
            return PRINT("(%s)s->envreg[%lu]", type->c, number);
    }
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (strcmp(specials[i].name, name) == 0)
            return PRINT("(%s)%s", type->c, specials[i].value);
    emit_fail(emitter, "%s is not known", name);
}

const char *emit_value(struct emitter *emitter, const struct ptx_operand *operand,
                       const struct ptx_type *type)
{
    const char *value;

    switch (operand->kind) {
    case OPERAND_REGISTER:
        value = register_value(emitter, operand, type);
        break;
    case OPERAND_INTEGER:
        value = integer_value(emitter, operand->value, type);
        break;
    case OPERAND_SINGLE:
    case OPERAND_DOUBLE:
        value = number(emitter, float_bits(emitter, operand, type), type);
        break;
    case OPERAND_SPECIAL:
        value = special_value(emitter, operand->name, type);
        break;
    case OPERAND_SYMBOL:
        if (is_float(type) || type->bits < 32)
            emit_fail(emitter, "an address is no .%s", type->name);
        value = PRINT("(%s)(%s + 0x%llxu)", type->c, symbol_address(emitter, operand->symbol),
                      (unsigned long long)operand->value);
        break;
    default:
        emit_fail(emitter, "an operand of %s is no value", emitter->instruction->opcode);
    }
    if (operand->is_negated && type->bits != 1)
        emit_fail(emitter, "! is for predicates");
    return operand->is_negated ? PRINT("!%s", value) : value;
}

void emit_assign(struct emitter *emitter, const struct ptx_operand *operand, const struct ptx_type *type,
                 const char *value)
{
    const struct ptx_type *own;

    if (operand->kind == OPERAND_SINK) {
        text_put(&emitter->out, "(void)(%s); ", value);
        return;
    }
    if (operand->kind != OPERAND_REGISTER || operand->value || operand->is_negated)
        emit_fail(emitter, "%s has a result that is no register", emitter->instruction->opcode);
    own = operand->symbol->type;
    if ((own->bits == 1) != (type->bits == 1) || own->bits < type->bits ||
        (is_float(own) && own->bits != type->bits))
        emit_fail(emitter, "%s is .%s where .%s is wanted", operand->symbol->name, own->name, type->name);
    if (is_float(own) && !is_float(type))
        value = PRINT("ptx_float_b%u((u%u)(%s))", own->bits, own->bits, value);
    else if (!is_float(own) && is_float(type))
        value = PRINT("ptx_bits_f%u(%s)", type->bits, value);
    else if (own->bits != type->bits)
        value = PRINT("(%s)(%s)", type->c, value);
    text_put(&emitter->out, "r%u = %s; ", operand->symbol->id, value);
}

const char *emit_u32(struct emitter *emitter, const struct ptx_operand *operand)
{
    return emit_value(emitter, operand, ptx_type_find("u32"));
}

const char *emit_predicate(struct emitter *emitter, const struct ptx_operand *operand)
{
    return emit_value(emitter, operand, ptx_type_find("pred"));
}

uint64_t emit_immediate(struct emitter *emitter, const struct ptx_operand *operand)
{
    if (operand->kind != OPERAND_INTEGER)
        emit_fail(emitter, "%s wants a number", emitter->instruction->opcode);
    return operand->value;
}

const char *emit_temporary(struct emitter *emitter)
{
    return PRINT("x%u", emitter->temporaries++);
}

const char *emit_address(struct emitter *emitter, const struct ptx_operand *operand, enum ptx_space *space)
{
    const struct ptx_operand *base = operand->items;
    const char *address;

    if (operand->kind != OPERAND_ADDRESS || operand->count != 1)
        emit_fail(emitter, "%s wants an address", emitter->instruction->opcode);
    if (base->kind == OPERAND_SYMBOL && *space == SPACE_GENERIC)
        *space = base->symbol->space;
    switch (base->kind) {
    case OPERAND_REGISTER:
        if (base->symbol->type->bits < 32 || base->symbol->type->bits > 64 || is_float(base->symbol->type))
            emit_fail(emitter, "%s is no address", base->symbol->name);
        address = PRINT("(u64)r%u", base->symbol->id);
        break;
    case OPERAND_SYMBOL:
        address = symbol_address(emitter, base->symbol);
        break;
    case OPERAND_INTEGER:
        address = "(u64)0";
        break;
    default:
        emit_fail(emitter, "%s wants an address", emitter->instruction->opcode);
    }
    if (base->value)
        address = PRINT("%s + 0x%llxu", address, (unsigned long long)base->value);
    return *space == SPACE_SHARED ? PRINT("(u64)s->shared + (u32)(%s)", address) : address;
}

const char *emit_access(struct emitter *emitter, const struct ptx_operand *operand, enum ptx_space space,
                        unsigned bytes)
{
    const char *name = emit_temporary(emitter), *address = emit_address(emitter, operand, &space);
    const struct ptx_operand *base = operand->items;

    if (base->kind == OPERAND_SYMBOL && (space == SPACE_PARAMETER || space == SPACE_LOCAL)) {
        /* Not by way of a number: the compiler is to see what memory it is. */
        text_put(&emitter->out, "u8 *%s = (u8 *)%s + 0x%llxu; ", name, own_memory(emitter, base->symbol),
                 (unsigned long long)base->value);
        return name;
    }
    text_put(&emitter->out, "u64 %s = %s; ", name, address);
    if (space == SPACE_GENERIC || space == SPACE_GLOBAL || space == SPACE_CONSTANT)
        text_put(&emitter->out, "ptx_touch(t, sites + %u, %s, %u); ", emitter->sites++, name, bytes);
    return name;
}

unsigned emit_label(struct emitter *emitter, const char *name)
{
    const struct ptx_label *label = scope_label(emitter->instruction->scope, name);

    if (!label)
        emit_fail(emitter, "there is no label %s", name);
    return label->id;
}
