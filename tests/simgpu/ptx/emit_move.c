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

/* Two integers into so few bits each, in front of what of a third there is room for. */
static void convert_packed(struct emitter *emitter)
{
    static const struct {
        const char *name;
        unsigned bits;
        int least, most;
    } narrow[] = {{"u16", 16, 0, 65535}, {"s16", 16, -32768, 32767}, {"u8", 8, 0, 255}, {"s8", 8, -128, 127},
                  {"u4", 4, 0, 15},      {"s4", 4, -8, 7},           {"u2", 2, 0, 3},   {"s2", 2, -2, 1}};
    const struct ptx_type *s32 = ptx_type_find("s32"), *b32 = ptx_type_find("b32");
    unsigned number = 0, count;
    const char *rest = "0";

    while (number < sizeof narrow / sizeof *narrow && !emit_has(emitter, narrow[number].name))
        number++;
    if (number == sizeof narrow / sizeof *narrow || !emit_has(emitter, "sat"))
        emit_fail(emitter, "cvt.pack of that kind is not known");
    emit_ignore(emitter, narrow[number].name);
    if (emit_need_type(emitter) != s32)
        emit_fail(emitter, "cvt.pack is of .s32");
    count = narrow[number].bits == 16 ? 3 : 4;
    emit_expect_count(emitter, count, count);
    if (count == 4 && emit_need_type(emitter) == b32)
        rest = emit_u32(emitter, emit_operand(emitter, 3));
    emit_assign(emitter, emit_operand(emitter, 0), b32,
                PRINT("ptx_cvt_pack(%s, %s, %s, %u, %d, %d)",
                      emit_value(emitter, emit_operand(emitter, 1), s32),
                      emit_value(emitter, emit_operand(emitter, 2), s32), rest, narrow[number].bits,
                      narrow[number].least, narrow[number].most));
}

void emit_convert(struct emitter *emitter)
{
    const struct ptx_type *to, *from;
    const char *rounding, *flags, *value;
    bool is_rint;

    if (emit_has(emitter, "pack")) {
        convert_packed(emitter);
        return;
    }
    to = emit_need_type(emitter);
    from = emit_need_type(emitter);
    is_rint = rounds_to_integer(emitter->instruction) && to == from;
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

/* lop3 whose result is tested, and that combined with a predicate. */
void emit_lop3_and_test(struct emitter *emitter)
{
    const struct ptx_type *b32 = emit_need_type(emitter), *predicate = ptx_type_find("pred");
    const char *by = emit_one_of(emitter, "and or"), *value = emit_temporary(emitter), *test;
    const struct ptx_operand *to = emit_operand(emitter, 0);

    if (!by || !to->second || b32 != ptx_type_find("b32"))
        emit_fail(emitter, "lop3 of that kind is not known");
    emit_expect_count(emitter, 6, 6);
    text_put(&emitter->out, "u32 %s = ptx_lop3_b32(%s, %s, %s, %s); ", value,
             emit_u32(emitter, emit_operand(emitter, 1)), emit_u32(emitter, emit_operand(emitter, 2)),
             emit_u32(emitter, emit_operand(emitter, 3)), emit_u32(emitter, emit_operand(emitter, 4)));
    test = emit_temporary(emitter);
    text_put(&emitter->out, "bool %s = (%s != 0) %s %s; ", test, value, *by == 'a' ? "&" : "|",
             emit_predicate(emitter, emit_operand(emitter, 5)));
    emit_assign(emitter, to, b32, value);
    emit_assign(emitter, to->second, predicate, test);
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

/* What a result is combined with, written behind it: a last operand, or "". */
static const char *combination(struct emitter *emitter, unsigned number)
{
    const char *by = emit_one_of(emitter, "and or xor");

    emit_expect_count(emitter, number + (by != NULL), number + (by != NULL));
    if (!by)
        return "";
    return PRINT(" %s %s",
                 *by == 'a'   ? "&"
                 : *by == 'o' ? "|"
                              : "^",
                 emit_predicate(emitter, emit_operand(emitter, number)));
}

void emit_compare(struct emitter *emitter)
{
    const struct ptx_type *type, *predicate = ptx_type_find("pred");
    const struct ptx_operand *to = emit_operand(emitter, 0);
    const char *value, *first, *second, *with;

    type = emit_need_type(emitter);
    value = emit_temporary(emitter);
    text_put(&emitter->out, "u32 %s = %s; ", value, compared(emitter, type, 1));
    with = combination(emitter, 3);
    first = PRINT("(%s & 1)%s", value, with);
    /* The second result is that of the opposite comparison, or of the upper half of a pair, combined in the same way. */
    if (is_any(type, "f16x2", "bf16x2")) {
        if (!to->second)
            emit_fail(emitter, "setp of a pair has two results");
        value = PRINT("(%s >> 1)%s", value, with);
    } else {
        value = PRINT("!%s%s", value, with);
    }
    if (!to->second) {
        emit_assign(emitter, to, predicate, first);
        return;
    }
    second = emit_temporary(emitter);
    text_put(&emitter->out, "bool %s = %s; ", second, value);
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
        value = PRINT("(%s)((%s)%s ? 0x%xu : 0)", bits->c, value, combination(emitter, 3), yes);
    }
    emit_assign(emitter, emit_operand(emitter, 0), bits, value);
}
