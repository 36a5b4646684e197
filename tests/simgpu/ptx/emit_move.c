/* SPDX-License-Identifier: Apache-2.0 */
/* Moves, conversions and comparisons. */
#include "ptx/family.h"

#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

/* The unsigned type of so many bits. */
static const struct ptx_type *bits_type(struct emitter *emitter, unsigned bits)
{
    const char *name = bits == 8    ? "b8"
                       : bits == 16 ? "b16"
                       : bits == 32 ? "b32"
                       : bits == 64 ? "b64"
                                    : "b128";

    if (bits != ptx_type_find(name)->bits)
        emit_fail(emitter, "parts of %u bits are not supported", bits);
    return ptx_type_find(name);
}

/* A vector of parts, the lowest first, for or from one value. */
static const struct ptx_type *part_type(struct emitter *emitter, const struct ptx_operand *vector,
                                        const struct ptx_type *type)
{
    if (!vector->count || type->bits % vector->count || type->bits == 1)
        emit_fail(emitter, "%u parts are no .%s", vector->count, type->name);
    return bits_type(emitter, type->bits / vector->count);
}

static void unpack(struct emitter *emitter, const struct ptx_operand *to, const struct ptx_operand *from,
                   const struct ptx_type *type)
{
    const struct ptx_type *whole = bits_type(emitter, type->bits), *part = part_type(emitter, to, type);
    const char *value = emit_temporary(emitter);

    text_put(&emitter->out, "%s %s = %s; ", whole->c, value, emit_value(emitter, from, whole));
    for (unsigned i = 0; i < to->count; i++)
        emit_assign(emitter, &to->items[i], part, PRINT("(%s)(%s >> %u)", part->c, value, i * part->bits));
}

static const char *packed(struct emitter *emitter, const struct ptx_operand *from,
                          const struct ptx_type *type)
{
    const struct ptx_type *whole = bits_type(emitter, type->bits), *part = part_type(emitter, from, type);
    const char *value = "0";

    for (unsigned i = 0; i < from->count; i++)
        value = PRINT("%s | (%s)%s << %u", value, whole->c, emit_value(emitter, &from->items[i], part),
                      i * part->bits);
    return value;
}

void emit_move(struct emitter *emitter)
{
    const struct ptx_type *type = emit_need_type(emitter);
    const struct ptx_operand *to = emit_operand(emitter, 0), *from = emit_operand(emitter, 1);

    emit_expect_count(emitter, 2, 2);
    if (to->kind == OPERAND_VECTOR)
        unpack(emitter, to, from, type);
    else if (from->kind == OPERAND_VECTOR)
        emit_assign(emitter, to, bits_type(emitter, type->bits), packed(emitter, from, type));
    else
        emit_assign(emitter, to, type, emit_value(emitter, from, type));
}

static bool is_any(const struct ptx_type *type, const char *first, const char *second)
{
    return strcmp(type->name, first) == 0 || strcmp(type->name, second) == 0;
}

/* The kinds whose names the device code knows: bits are as good as unsigned ones nowhere here. */
static bool is_number(const struct ptx_type *type)
{
    return type->kind == TYPE_UNSIGNED || type->kind == TYPE_SIGNED || type->kind == TYPE_FLOAT ||
           is_any(type, "f16", "bf16");
}

/* Two values into one pair: the first is the upper half. */
static void convert_pair(struct emitter *emitter, const struct ptx_type *to, const struct ptx_type *from)
{
    const char *rounding = emit_rounding(emitter, "PTX_RN"), *flags = emit_flags(emitter);
    const char *high, *low;

    emit_expect_count(emitter, 3, 3);
    if (strcmp(from->name, "f32") != 0)
        emit_fail(emitter, "cvt from two .%s is not known", from->name);
    high = emit_value(emitter, emit_operand(emitter, 1), from);
    low = emit_value(emitter, emit_operand(emitter, 2), from);
    if (is_any(to, "f16x2", "bf16x2"))
        emit_assign(emitter, emit_operand(emitter, 0), to,
                    PRINT("ptx_cvt_%s_f32(%s, %s, %s, %s)", to->name, high, low, rounding, flags));
    else if (is_any(to, "e4m3x2", "e5m2x2"))
        emit_assign(emitter, emit_operand(emitter, 0), to,
                    PRINT("ptx_cvt_%s_f32(%s, %s, %s)", to->name, high, low, flags));
    else
        emit_fail(emitter, "cvt of two values to .%s is not known", to->name);
}

/* rni and its like within a float type. */
static bool rounds_to_integer(const struct ptx_instruction *instruction)
{
    for (unsigned i = 0; i < instruction->word_count; i++)
        if (strlen(instruction->words[i]) == 3 && instruction->words[i][0] == 'r' &&
            instruction->words[i][2] == 'i')
            return true;
    return false;
}

void emit_convert(struct emitter *emitter)
{
    const struct ptx_type *to = emit_need_type(emitter), *from = emit_need_type(emitter);
    bool is_rint = rounds_to_integer(emitter->instruction) && to == from;
    const char *rounding, *flags, *value;

    if (emitter->instruction->count == 3) {
        convert_pair(emitter, to, from);
        return;
    }
    emit_expect_count(emitter, 2, 2);
    rounding = emit_rounding(emitter, "PTX_RN");
    flags = emit_flags(emitter);
    value = emit_value(emitter, emit_operand(emitter, 1), from);
    if (is_rint && (to->kind == TYPE_FLOAT || is_any(to, "f16", "bf16")))
        value = PRINT("ptx_rint_%s(%s, %s, %s)", to->name, value, rounding, flags);
    else if ((is_number(to) && is_number(from)) || (is_any(to, "tf32", "") && is_any(from, "f32", "")))
        value = PRINT("ptx_cvt_%s_%s(%s, %s, %s)", to->name, from->name, value, rounding, flags);
    else if ((is_any(to, "f16x2", "") && is_any(from, "e4m3x2", "e5m2x2")) ||
             (is_any(to, "e4m3x2", "e5m2x2") && is_any(from, "f16x2", "")))
        value = PRINT("ptx_cvt_%s_%s(%s, %s)", to->name, from->name, value, flags);
    else
        emit_fail(emitter, "cvt from .%s to .%s is not known", from->name, to->name);
    emit_assign(emitter, emit_operand(emitter, 0), to, value);
}

static const char comparisons[] = "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan";

/* The comparison of two operands, as written. */
static const char *compared(struct emitter *emitter, const struct ptx_type *type, unsigned first)
{
    const char *comparison = emit_one_of(emitter, comparisons), *flags = emit_flags(emitter);

    if (!comparison)
        emit_fail(emitter, "%s compares in no way that is known", emitter->instruction->opcode);
    return PRINT("ptx_cmp_%s_%s(%s, %s, %s)", comparison, type->name,
                 emit_value(emitter, emit_operand(emitter, first), type),
                 emit_value(emitter, emit_operand(emitter, first + 1), type), flags);
}

/* A third operand and what it is combined by, or "". */
static const char *combined(struct emitter *emitter, const char *value, unsigned number)
{
    const char *by = emit_one_of(emitter, "and or xor");

    emit_expect_count(emitter, number + (by != NULL), number + (by != NULL));
    if (!by)
        return value;
    return PRINT("(%s) %s %s", value,
                 *by == 'a'   ? "&"
                 : *by == 'o' ? "|"
                              : "^",
                 emit_predicate(emitter, emit_operand(emitter, number)));
}

void emit_compare(struct emitter *emitter)
{
    const struct ptx_type *type, *predicate = ptx_type_find("pred");
    const struct ptx_operand *to = emit_operand(emitter, 0);
    const char *value, *first, *second;

    type = emit_need_type(emitter);
    value = emit_temporary(emitter);
    text_put(&emitter->out, "u32 %s = %s; ", value, compared(emitter, type, 1));
    if (is_any(type, "f16x2", "bf16x2")) {
        /* Each half has its own result. */
        if (!to->second)
            emit_fail(emitter, "setp of a pair has two results");
        emit_expect_count(emitter, 3, 3);
        emit_assign(emitter, to, predicate, PRINT("%s & 1", value));
        emit_assign(emitter, to->second, predicate, PRINT("%s >> 1", value));
        return;
    }
    first = combined(emitter, value, 3);
    if (!to->second) {
        emit_assign(emitter, to, predicate, first);
        return;
    }
    /* The second result is that of the opposite comparison, combined in the same way. */
    second = emit_temporary(emitter);
    text_put(&emitter->out, "bool %s = %s; ", second,
             first == value
                 ? PRINT("!%s", value)
                 : PRINT("%s", strchr(first, '&')   ? PRINT("!%s & %s", value, strchr(first, '&') + 1)
                               : strchr(first, '|') ? PRINT("!%s | %s", value, strchr(first, '|') + 1)
                                                    : PRINT("!%s ^ %s", value, strchr(first, '^') + 1)));
    emit_assign(emitter, to, predicate, first);
    emit_assign(emitter, to->second, predicate, second);
}

/* What stands for a true comparison in so many bits. */
static unsigned true_bits(struct emitter *emitter, const struct ptx_type *to)
{
    if (is_any(to, "u32", "s32"))
        return 0xffffffffu;
    if (is_any(to, "u16", "s16"))
        return 0xffff;
    if (is_any(to, "f16", "f16x2"))
        return 0x3c00;
    if (is_any(to, "bf16", "bf16x2"))
        return 0x3f80;
    if (!is_any(to, "f32", ""))
        emit_fail(emitter, "set to .%s is not known", to->name);
    return 0x3f800000;
}

void emit_set(struct emitter *emitter)
{
    const struct ptx_type *to = emit_need_type(emitter), *from = emit_need_type(emitter);
    const struct ptx_type *bits = bits_type(emitter, to->bits);
    unsigned yes = true_bits(emitter, to);
    const char *value = compared(emitter, from, 1);

    if (is_any(from, "f16x2", "bf16x2")) {
        const char *both = emit_temporary(emitter);

        if (to->bits != 32 || is_any(to, "f32", ""))
            emit_fail(emitter, "set of a pair to .%s is not known", to->name);
        emit_expect_count(emitter, 3, 3);
        yes &= 0xffff;
        text_put(&emitter->out, "u32 %s = %s; ", both, value);
        value = PRINT("(%s & 1 ? 0x%xu : 0) | (%s & 2 ? 0x%xu : 0)", both, yes, both, yes << 16);
    } else {
        if (is_any(to, "f16x2", "bf16x2"))
            emit_fail(emitter, "set to a pair is of pairs");
        value = PRINT("(%s)((%s) ? 0x%xu : 0)", bits->c, combined(emitter, value, 3), yes);
    }
    emit_assign(emitter, emit_operand(emitter, 0), bits, value);
}
