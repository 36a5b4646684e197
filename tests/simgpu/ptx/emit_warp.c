/* SPDX-License-Identifier: Apache-2.0 */
/* What the lanes of a warp do together and has more than one result. */
#include "ptx/family.h"

#include <stdio.h>
#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

enum {
    FRAGMENT_MAX = 16
};

void emit_shuffle(struct emitter *emitter)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    static const char *const names[] = {"PTX_SHFL_UP", "PTX_SHFL_DOWN", "PTX_SHFL_BFLY", "PTX_SHFL_IDX"};
    bool is_sync = emit_has(emitter, "sync");
    const char *mode = NULL, *predicate = emit_temporary(emitter), *value = emit_temporary(emitter);
    const struct ptx_type *type = emit_need_type(emitter), *b32 = ptx_type_find("b32");
    const struct ptx_operand *to = emit_operand(emitter, 0);

    for (unsigned i = 0; i < 4 && !mode; i++)
        if (emit_has(emitter, modes[i]))
            mode = names[i];
    if (!mode || type != b32)
        emit_fail(emitter, "shfl of that kind is not known");
    emit_expect_count(emitter, 4 + is_sync, 4 + is_sync);
    text_put(&emitter->out, "u32 %s; u32 %s = ptx_shfl(t, %s, %s, %s, %s, %s, &%s); ", predicate, value,
             is_sync ? emit_u32(emitter, emit_operand(emitter, 4)) : "0xffffffffu", mode,
             emit_u32(emitter, emit_operand(emitter, 1)), emit_u32(emitter, emit_operand(emitter, 2)),
             emit_u32(emitter, emit_operand(emitter, 3)), predicate);
    emit_assign(emitter, to, b32, value);
    if (to->second)
        emit_assign(emitter, to->second, ptx_type_find("pred"), predicate);
}

void emit_match_all(struct emitter *emitter)
{
    const char *predicate = emit_temporary(emitter), *value = emit_temporary(emitter);
    const struct ptx_operand *to = emit_operand(emitter, 0);
    const struct ptx_type *type = emit_need_type(emitter);

    if (!emit_has(emitter, "all") || !emit_has(emitter, "sync") || (type->bits != 32 && type->bits != 64))
        emit_fail(emitter, "match of that kind is not known");
    emit_expect_count(emitter, 3, 3);
    text_put(&emitter->out, "u32 %s; u32 %s = ptx_match_all%u(t, %s, %s, &%s); ", predicate, value,
             type->bits, emit_u32(emitter, emit_operand(emitter, 2)),
             emit_value(emitter, emit_operand(emitter, 1), type), predicate);
    emit_assign(emitter, to, ptx_type_find("b32"), value);
    if (to->second)
        emit_assign(emitter, to->second, ptx_type_find("pred"), predicate);
}

void emit_elect(struct emitter *emitter)
{
    const char *predicate = emit_temporary(emitter), *value = emit_temporary(emitter);
    const struct ptx_operand *to = emit_operand(emitter, 0);

    if (!emit_has(emitter, "sync"))
        emit_fail(emitter, "elect of that kind is not known");
    emit_expect_count(emitter, 2, 2);
    text_put(&emitter->out, "u32 %s; u32 %s = ptx_elect(t, %s, &%s); ", predicate, value,
             emit_u32(emitter, emit_operand(emitter, 1)), predicate);
    emit_assign(emitter, to, ptx_type_find("b32"), value);
    if (to->second)
        emit_assign(emitter, to->second, ptx_type_find("pred"), predicate);
}

const char *emit_fragment(struct emitter *emitter, const struct ptx_operand *operand, unsigned bits,
                          bool is_filled)
{
    const char *name = emit_temporary(emitter);
    const struct ptx_type *type = ptx_type_find(bits == 64 ? "b64" : "b32");

    if (operand->kind != OPERAND_VECTOR || !operand->count || operand->count > FRAGMENT_MAX)
        emit_fail(emitter, "%s wants a fragment", emitter->instruction->opcode);
    text_put(&emitter->out, "%s %s[%u] = {", type->c, name, operand->count);
    for (unsigned i = 0; i < operand->count; i++)
        text_put(&emitter->out, "%s%s", i ? ", " : "",
                 is_filled ? emit_value(emitter, &operand->items[i], type) : "0");
    text_put(&emitter->out, "}; ");
    return name;
}

void emit_assign_fragment(struct emitter *emitter, const struct ptx_operand *operand, unsigned bits,
                          const char *name)
{
    const struct ptx_type *type = ptx_type_find(bits == 64 ? "b64" : "b32");

    for (unsigned i = 0; i < operand->count; i++)
        emit_assign(emitter, &operand->items[i], type, PRINT("%s[%u]", name, i));
}

/* Bits of an element, by the word that names it; 0: it names none. */
static unsigned element_bits(const char *word)
{
    static const struct {
        const char *word;
        unsigned bits;
    } elements[] = {{"f64", 64}, {"f32", 32}, {"s32", 32}, {"tf32", 32}, {"f16", 16}, {"bf16", 16}, {"s8", 8},
                    {"u8", 8},   {"e4m3", 8}, {"e5m2", 8}, {"s4", 4},    {"u4", 4},   {"b1", 1}};

    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (strcmp(elements[i].word, word) == 0)
            return elements[i].bits;
    return 0;
}

/* D, A, B and C in as many registers as their elements need. */
static void check_product(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;
    unsigned bits[4], types = 0, rows = 0, columns = 0, depth = 0;

    for (unsigned i = 0; i < instruction->word_count; i++) {
        const char *word = instruction->words[i];

        if (types < 4 && element_bits(word))
            bits[types++] = element_bits(word);
        else if (*word == 'm')
            sscanf(word, "m%2un%2uk%3u", &rows, &columns, &depth);
    }
    if (types != 4 || !depth)
        emit_fail(emitter, "mma of that kind is not known");
    for (unsigned i = 0; i < 4; i++) {
        unsigned elements = i == 1 ? rows * depth : i == 2 ? depth * columns : rows * columns;

        if (emit_operand(emitter, i)->count != elements * bits[i] / 32 / (bits[i] == 64 ? 64 : 32))
            emit_fail(emitter, "mma of that shape has other fragments");
    }
}

/* The function's name has all words but those of mma.sync.aligned, and of f64 but the rounding. */
void emit_matrix_multiply(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;
    struct text name = {.arena = emitter->arena};
    bool is_double = emit_has(emitter, "f64");
    const char *rounding = is_double ? PRINT(", %s", emit_rounding(emitter, "PTX_RN")) : "";
    unsigned bits = is_double ? 64 : 32;
    const char *to, *a, *b, *c;

    if (emit_one_of(emitter, "sp sp::ordered_metadata")) {
        emit_sparse_product(emitter);
        return;
    }
    if (emit_has(emitter, "m8n8k4") && emit_has(emitter, "f16")) {
        emit_quad_product(emitter);
        return;
    }
    text_put(&name, "ptx_mma");
    for (unsigned i = 0; i < instruction->word_count; i++) {
        if (strcmp(instruction->words[i], "sync") == 0 || strcmp(instruction->words[i], "aligned") == 0 ||
            (is_double && instruction->words[i][0] == 'r' && strlen(instruction->words[i]) == 2))
            continue;
        text_put(&name, "_%s", instruction->words[i]);
    }
    emitter->words_used = UINT32_MAX;
    emit_expect_count(emitter, 4, 4);
    check_product(emitter);
    to = emit_fragment(emitter, emit_operand(emitter, 0), bits, false);
    a = emit_fragment(emitter, emit_operand(emitter, 1), bits, true);
    b = emit_fragment(emitter, emit_operand(emitter, 2), bits, true);
    c = emit_fragment(emitter, emit_operand(emitter, 3), bits, true);
    text_put(&emitter->out, "%s(t, %s, %s, %s, %s%s); ", name.bytes, to, a, b, c, rounding);
    emit_assign_fragment(emitter, emit_operand(emitter, 0), bits, to);
}

/* .x1, .x2 or .x4 matrices of 8 by 8 elements of 16 bits. */
static unsigned matrices(struct emitter *emitter)
{
    const char *word = emit_one_of(emitter, "x1 x2 x4");

    if (!emit_has(emitter, "sync") || !emit_has(emitter, "aligned") || !emit_has(emitter, "m8n8") || !word ||
        emit_need_type(emitter) != ptx_type_find("b16"))
        emit_fail(emitter, "%s of that kind is not known", emitter->instruction->opcode);
    emit_ignore(emitter, "shared shared::cta");
    emit_expect_count(emitter, 2, 2);
    return (unsigned)(word[1] - '0');
}

void emit_matrix_load(struct emitter *emitter)
{
    bool transposed = emit_has(emitter, "trans");
    unsigned count = matrices(emitter);
    const struct ptx_operand *operand = emit_operand(emitter, 0);
    const char *to = emit_fragment(emitter, operand, 32, false);
    const char *address = emit_access(emitter, emit_operand(emitter, 1), SPACE_SHARED, 16);

    if (operand->count != count)
        emit_fail(emitter, "ldmatrix wants %u registers", count);
    text_put(&emitter->out, "ptx_ldmatrix(t, %u, %u, %s, %s); ", count, transposed, to, address);
    emit_assign_fragment(emitter, operand, 32, to);
}

void emit_matrix_store(struct emitter *emitter)
{
    bool transposed = emit_has(emitter, "trans");
    unsigned count = matrices(emitter);
    const struct ptx_operand *operand = emit_operand(emitter, 1);
    const char *from = emit_fragment(emitter, operand, 32, true);
    const char *address = emit_access(emitter, emit_operand(emitter, 0), SPACE_SHARED, 16);

    if (operand->count != count)
        emit_fail(emitter, "stmatrix wants %u registers", count);
    text_put(&emitter->out, "ptx_stmatrix(t, %u, %u, %s, %s); ", count, transposed, from, address);
}
