/* SPDX-License-Identifier: Apache-2.0 */
/* mma.sp, whose left matrix is half empty, and mma.m8n8k4 of halves, which is four products. */
#include "ptx/family.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

/* The types of D, A, B and C, which are the words that nobody else asks for. */
struct types {
    const char *names[4];
};

/* What is multiplied, and how deep a product of it may be; chunks of the smaller depth have their metadata in that many
 * lanes of four. */
static const struct element {
    const char *name;
    unsigned bits, depths[2], lanes;
    const char *sums; /* what D and C may be */
} elements[] = {{"f16", 16, {16, 32}, 1, " f32 f16 "}, {"bf16", 16, {16, 32}, 1, " f32 "},
                {"tf32", 32, {8, 16}, 1, " f32 "},     {"s8", 8, {32, 64}, 2, " s32 "},
                {"u8", 8, {32, 64}, 2, " s32 "},       {"s4", 4, {64, 128}, 2, " s32 "},
                {"u4", 4, {64, 128}, 2, " s32 "},      {"e4m3", 8, {0, 64}, 2, " f32 "},
                {"e5m2", 8, {0, 64}, 2, " f32 "}};

static const struct element *find_element(const char *name)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (strcmp(elements[i].name, name) == 0)
            return &elements[i];
    return NULL;
}

static struct types read_types(struct emitter *emitter)
{
    static const char all[] = "f32 f16 s32 bf16 tf32 s8 u8 s4 u4 e4m3 e5m2";
    const struct ptx_instruction *instruction = emitter->instruction;
    struct types types = {{NULL}};
    unsigned count = 0;

    for (unsigned i = 0; i < instruction->word_count; i++)
        if (strstr(PRINT(" %s ", all), PRINT(" %s ", instruction->words[i])) && count < 4)
            types.names[count++] = instruction->words[i];
    emit_ignore(emitter, all);
    if (count != 4)
        emit_fail(emitter, "mma wants four types");
    return types;
}

/* As device code calls it. */
static const char *upper(struct emitter *emitter, const char *prefix, const char *name)
{
    char letters[8] = "";

    for (unsigned i = 0; i < sizeof letters - 1 && name[i]; i++)
        letters[i] = (char)toupper((unsigned char)name[i]);
    return PRINT("%s%s", prefix, letters);
}

static void want_registers(struct emitter *emitter, unsigned number, unsigned bits)
{
    if (emit_operand(emitter, number)->count != bits / 32)
        emit_fail(emitter, "mma of that shape has other fragments");
}

static unsigned sum_bits(const char *name)
{
    return strcmp(name, "f16") == 0 ? 16 : 32;
}

/* The arrays of D, A, B and C for struct ptx_product. */
static const char *product_of(struct emitter *emitter, const char **to)
{
    const char *a = emit_fragment(emitter, emit_operand(emitter, 1), 32, true);
    const char *b = emit_fragment(emitter, emit_operand(emitter, 2), 32, true);
    const char *c = emit_fragment(emitter, emit_operand(emitter, 3), 32, true);

    *to = emit_fragment(emitter, emit_operand(emitter, 0), 32, false);
    return PRINT("{%s, %s, %s, %s}", a, b, c, *to);
}

/* What of an instruction there is; what is of another type is refused with it. */
static unsigned check_sparse(struct emitter *emitter, const struct types *types, bool saturates)
{
    const struct element *a = find_element(types->names[1]), *b = find_element(types->names[2]);
    unsigned depth = 0, selectors;
    char shape[16];

    for (unsigned i = 0; a && i < 2; i++)
        if (snprintf(shape, sizeof shape, "m16n8k%u", a->depths[i]) > 0 && emit_has(emitter, shape))
            depth = a->depths[i];
    if (!depth || !b || a->bits != b->bits || strcmp(a->sums, b->sums) != 0 || (a->bits > 8 && a != b) ||
        !strstr(a->sums, PRINT(" %s ", types->names[0])) || strcmp(types->names[0], types->names[3]) != 0 ||
        (saturates && strcmp(types->names[0], "s32") != 0))
        emit_fail(emitter, "mma.sp of that kind is not known");
    selectors = 4 / (depth == a->depths[0] ? a->lanes : 2 * a->lanes);
    if (emit_immediate(emitter, emit_operand(emitter, 5)) >= selectors)
        emit_fail(emitter, "the selector of that mma.sp is below %u", selectors);
    want_registers(emitter, 0, 4 * sum_bits(types->names[0]));
    want_registers(emitter, 1, depth / 4 * a->bits);
    want_registers(emitter, 2, depth / 4 * b->bits);
    want_registers(emitter, 3, 4 * sum_bits(types->names[3]));
    return depth;
}

void emit_sparse_product(struct emitter *emitter)
{
    const struct types types = read_types(emitter);
    bool saturates = emit_has(emitter, "satfinite");
    unsigned depth;
    const char *product, *to;

    if (!emit_has(emitter, "sync") || !emit_has(emitter, "aligned") || !emit_has(emitter, "row") ||
        !emit_has(emitter, "col"))
        emit_fail(emitter, "mma.sp of that kind is not known");
    emit_expect_count(emitter, 6, 6);
    depth = check_sparse(emitter, &types, saturates);
    product = product_of(emitter, &to);
    text_put(&emitter->out,
             "ptx_mma_sparse(t, (struct ptx_sparse){%s, {16, %u, %s, %s, %s, %s, PTX_TIMES}, %s, %u}); ",
             product, depth, upper(emitter, "PTX_E_", types.names[1]),
             upper(emitter, "PTX_E_", types.names[2]),
             saturates ? "PTX_SUM_SATURATED" : upper(emitter, "PTX_SUM_", types.names[0]),
             upper(emitter, "PTX_SUM_", types.names[3]), emit_u32(emitter, emit_operand(emitter, 4)),
             (unsigned)emit_immediate(emitter, emit_operand(emitter, 5)));
    emit_assign_fragment(emitter, emit_operand(emitter, 0), 32, to);
}

/* The layouts of A and B, in order. */
static bool is_by_rows(struct emitter *emitter, unsigned number)
{
    const struct ptx_instruction *instruction = emitter->instruction;

    for (unsigned i = 0; i < instruction->word_count; i++) {
        bool is_row = strcmp(instruction->words[i], "row") == 0;

        if ((is_row || strcmp(instruction->words[i], "col") == 0) && number-- == 0)
            return is_row;
    }
    emit_fail(emitter, "mma wants two layouts");
}

void emit_quad_product(struct emitter *emitter)
{
    const struct types types = read_types(emitter);
    bool a_by_rows = is_by_rows(emitter, 0), b_by_rows = is_by_rows(emitter, 1);
    const char *product, *to;

    emit_ignore(emitter, "row col m8n8k4");
    if (!emit_has(emitter, "sync") || !emit_has(emitter, "aligned") || strcmp(types.names[1], "f16") != 0 ||
        strcmp(types.names[2], "f16") != 0 || !strstr(" f32 f16 ", PRINT(" %s ", types.names[0])) ||
        !strstr(" f32 f16 ", PRINT(" %s ", types.names[3])) ||
        sum_bits(types.names[3]) > sum_bits(types.names[0]))
        emit_fail(emitter, "mma.m8n8k4 of that kind is not known");
    emit_expect_count(emitter, 4, 4);
    want_registers(emitter, 0, 8 * sum_bits(types.names[0]));
    want_registers(emitter, 1, 4 * 16);
    want_registers(emitter, 2, 4 * 16);
    want_registers(emitter, 3, 8 * sum_bits(types.names[3]));
    product = product_of(emitter, &to);
    text_put(&emitter->out, "ptx_mma_quads(t, (struct ptx_quad){%s, %u, %u, %s, %s}); ", product, a_by_rows,
             b_by_rows, upper(emitter, "PTX_SUM_", types.names[0]),
             upper(emitter, "PTX_SUM_", types.names[3]));
    emit_assign_fragment(emitter, emit_operand(emitter, 0), 32, to);
}
