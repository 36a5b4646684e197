/* SPDX-License-Identifier: Apache-2.0 */
/* wmma: fragments of matrices that a warp loads, multiplies and stores. */
#include "ptx/family.h"

#include <stdio.h>
#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

enum {
    LANES = 32,
    HALVES = 8 /* registers of A and B where they are of f16 */
};

/* What the words of an instruction say. */
struct wmma {
    char which; /* a, b, c or d of a load or store */
    unsigned rows, columns, depth;
    bool by_rows[2]; /* the layouts, in order */
    unsigned layouts;
    const struct ptx_type *types[4];
    unsigned type_count;
    bool saturates, differs, counts;
    const char *rounding; /* NULL: not said */
};

/* Elements that are no types elsewhere. */
static const struct ptx_type narrow[] = {
    {"s4", 4, TYPE_SIGNED, "u32"}, {"u4", 4, TYPE_UNSIGNED, "u32"}, {"b1", 1, TYPE_BITS, "u32"}};

static const struct ptx_type *find_type(const char *word)
{
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        if (strcmp(narrow[i].name, word) == 0)
            return &narrow[i];
    return ptx_type_find(word);
}

static void read_word(struct emitter *emitter, struct wmma *wmma, const char *word)
{
    static const char plain[] = " load store mma sync aligned global shared shared::cta and ";
    const struct ptx_type *type = find_type(word);
    bool is_row = strcmp(word, "row") == 0;
    char rest;

    if (strstr(plain, PRINT(" %s ", word)))
        return;
    if (strlen(word) == 2 && *word == 'r' && !wmma->rounding)
        wmma->rounding = emit_rounding(emitter, NULL);
    else if (strlen(word) == 1 && strchr("abcd", *word))
        wmma->which = *word;
    else if ((is_row || strcmp(word, "col") == 0) && wmma->layouts < 2)
        wmma->by_rows[wmma->layouts++] = is_row;
    else if (type && wmma->type_count < 4)
        wmma->types[wmma->type_count++] = type;
    else if (strcmp(word, "satfinite") == 0)
        wmma->saturates = true;
    else if (strcmp(word, "xor") == 0)
        wmma->differs = true;
    else if (strcmp(word, "popc") == 0)
        wmma->counts = true;
    else if (wmma->rows ||
             sscanf(word, "m%2un%2uk%3u%c", &wmma->rows, &wmma->columns, &wmma->depth, &rest) != 3)
        emit_fail(emitter, "wmma with .%s is not known", word);
}

static bool is_named(const struct ptx_type *type, const char *names)
{
    char name[16] = " ";

    strncat(strncat(name, type->name, 8), " ", 2);
    return strstr(names, name) != NULL;
}

/* The shapes that there are. */
static void check_shape(struct emitter *emitter, const struct wmma *wmma)
{
    bool is_small = wmma->rows == 8 && wmma->columns == 8 &&
                    (wmma->depth == 4 || wmma->depth == 32 || wmma->depth == 128);
    bool is_square = wmma->rows == 16 && wmma->columns == 16;
    bool is_long = (wmma->rows == 8 && wmma->columns == 32) || (wmma->rows == 32 && wmma->columns == 8);

    if (!is_small && !(is_square && (wmma->depth == 8 || wmma->depth == 16)) &&
        !(is_long && wmma->depth == 16))
        emit_fail(emitter, "wmma of m%un%uk%u is not known", wmma->rows, wmma->columns, wmma->depth);
}

static struct wmma read_words(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;
    struct wmma wmma = {0};

    if (!emit_has(emitter, "sync") || !emit_has(emitter, "aligned"))
        emit_fail(emitter, "wmma is .sync and .aligned");
    for (unsigned i = 0; i < instruction->word_count; i++)
        read_word(emitter, &wmma, instruction->words[i]);
    emitter->words_used = UINT32_MAX;
    check_shape(emitter, &wmma);
    return wmma;
}

/* Elements by lines that a fragment deals out. */
static unsigned lines_of(const struct wmma *wmma)
{
    return wmma->which == 'b' ? wmma->columns : wmma->rows;
}

static unsigned length_of(const struct wmma *wmma)
{
    return wmma->which == 'a' || wmma->which == 'b' ? wmma->depth : wmma->columns;
}

/* Registers of a lane. */
static unsigned registers_of(const struct wmma *wmma, char which, const struct ptx_type *type)
{
    struct wmma one = *wmma;

    one.which = which;
    if ((which == 'a' || which == 'b') && strcmp(type->name, "f16") == 0)
        return HALVES;
    return lines_of(&one) * length_of(&one) * type->bits / LANES / (type->bits == 64 ? 64 : 32);
}

static const struct ptx_operand *fragment_operand(struct emitter *emitter, unsigned number,
                                                  unsigned registers)
{
    const struct ptx_operand *operand = emit_operand(emitter, number);

    /* One register may stand without braces. */
    if (operand->kind != OPERAND_VECTOR || operand->count != registers)
        emit_fail(emitter, "wmma wants %u registers", registers);
    return operand;
}

/* A load or a store. */
static void emit_tile(struct emitter *emitter, bool loads)
{
    enum ptx_space space = emit_space(emitter);
    const struct wmma wmma = read_words(emitter);
    const struct ptx_type *type = wmma.types[0];
    bool is_factor = wmma.which == 'a' || wmma.which == 'b', along = wmma.by_rows[0] == (wmma.which != 'b');
    const struct ptx_operand *operand;
    const char *address, *words, *site = "NULL";
    unsigned registers, bits, packed, lines = lines_of(&wmma), length = length_of(&wmma);

    if (!wmma.which || wmma.layouts != 1 || wmma.type_count != 1 || wmma.saturates || wmma.rounding ||
        (wmma.which == 'd') == loads ||
        !is_named(type, is_factor ? " f16 bf16 tf32 s8 u8 s4 u4 b1 f64 " : " f16 f32 s32 f64 ") ||
        (type->bits < 8 && (!along || wmma.depth != 128 / type->bits)))
        emit_fail(emitter, "wmma of that kind is not known");
    emit_expect_count(emitter, 2, 3);
    registers = registers_of(&wmma, wmma.which, type);
    bits = type->bits == 64 ? 64 : 32;
    /* What has few bits comes by words. */
    packed = type->bits < 8 ? 32 / type->bits : 1;
    length /= packed;
    operand = fragment_operand(emitter, loads ? 0 : 1, registers);
    address = emit_address(emitter, emit_operand(emitter, loads ? 1 : 0), &space);
    if (space != SPACE_SHARED)
        site = PRINT("sites + %u", emitter->sites++);
    words = emit_fragment(emitter, operand, bits, !loads);
    text_put(&emitter->out, "ptx_tile_%s(t, %s, %s, (struct ptx_tile){%u, %u, %u, %u}, %u, %s, %s); ",
             loads ? "load" : "store", site, address, lines, length, type->bits * packed / 8,
             registers * bits / type->bits / packed, along,
             emitter->instruction->count > 2
                 ? PRINT("%s / %u", emit_u32(emitter, emit_operand(emitter, 2)), packed)
                 : PRINT("%u", along ? length : lines),
             words);
    if (loads)
        emit_assign_fragment(emitter, operand, bits, words);
}

static const char *sum_name(const struct ptx_type *type, bool saturates)
{
    return strcmp(type->name, "f32") == 0   ? "PTX_SUM_F32"
           : strcmp(type->name, "f16") == 0 ? "PTX_SUM_F16"
           : saturates                      ? "PTX_SUM_SATURATED"
                                            : "PTX_SUM_S32";
}

static const char *element_name(const struct ptx_type *type)
{
    static const char *const names[][2] = {
        {"f16", "PTX_E_F16"}, {"bf16", "PTX_E_BF16"}, {"tf32", "PTX_E_TF32"}, {"s8", "PTX_E_S8"},
        {"u8", "PTX_E_U8"},   {"s4", "PTX_E_S4"},     {"u4", "PTX_E_U4"},     {"b1", "PTX_E_B1"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], type->name) == 0)
            return names[i][1];
    return NULL;
}

/* Which sums a product of those elements may have. */
static void check_types(struct emitter *emitter, const struct wmma *wmma, const struct ptx_type *element)
{
    const struct ptx_type *d = wmma->types[0], *c = wmma->types[wmma->type_count - 1];
    bool is_bits = element->bits == 1, is_whole = is_named(element, " s8 u8 s4 u4 b1 ");
    const char *sums = is_whole                            ? " s32 "
                       : strcmp(element->name, "f64") == 0 ? " f64 "
                       : strcmp(element->name, "f16") == 0 ? " f16 f32 "
                                                           : " f32 ";
    unsigned depth = element->bits == 64                  ? 4
                     : element->bits < 8                  ? 128 / element->bits
                     : strcmp(element->name, "tf32") == 0 ? 8
                                                          : 16;

    if (!is_named(element, " f16 bf16 tf32 s8 u8 s4 u4 b1 f64 ") || !is_named(d, sums) ||
        !is_named(c, sums) || wmma->depth != depth || wmma->layouts != 2 || wmma->which ||
        (wmma->saturates && (!is_whole || is_bits)) || wmma->counts != is_bits ||
        (wmma->differs && !is_bits) || (wmma->rounding && element->bits != 64) ||
        (element->bits < 8 && (!wmma->by_rows[0] || wmma->by_rows[1])))
        emit_fail(emitter, "wmma.mma of that kind is not known");
}

static void emit_product(struct emitter *emitter)
{
    const struct wmma wmma = read_words(emitter);
    const struct ptx_type *half = ptx_type_find("f16"), *element;
    unsigned left, right, sums[2], bits;
    const char *words[4];

    if (wmma.type_count != 2 && (wmma.type_count != 4 || wmma.types[1] != wmma.types[2]))
        emit_fail(emitter, "wmma.mma of those types is not known");
    element = wmma.type_count == 2 ? half : wmma.types[1];
    check_types(emitter, &wmma, element);
    emit_expect_count(emitter, 4, 4);
    bits = element->bits == 64 ? 64 : 32;
    left = registers_of(&wmma, 'a', element);
    right = registers_of(&wmma, 'b', element);
    sums[0] = registers_of(&wmma, 'd', wmma.types[0]);
    sums[1] = registers_of(&wmma, 'c', wmma.types[wmma.type_count - 1]);
    words[0] = emit_fragment(emitter, fragment_operand(emitter, 0, sums[0]), bits, false);
    words[1] = emit_fragment(emitter, fragment_operand(emitter, 1, left), bits, true);
    words[2] = emit_fragment(emitter, fragment_operand(emitter, 2, right), bits, true);
    words[3] = emit_fragment(emitter, fragment_operand(emitter, 3, sums[1]), bits, true);
    if (bits == 64)
        text_put(&emitter->out, "ptx_mma_m8n8k4_row_col_f64_f64_f64_f64(t, %s, %s, %s, %s, %s); ", words[0],
                 words[1], words[2], words[3], wmma.rounding ? wmma.rounding : "PTX_RN");
    else
        text_put(&emitter->out,
                 "ptx_wmma(t, (struct ptx_wmma){%u, %u, %u, %s, %u, %u, %s, %s, %s, %s, %s, %s, %s}); ",
                 wmma.rows, wmma.columns, wmma.depth, element_name(element), left, right,
                 sum_name(wmma.types[0], wmma.saturates), sum_name(wmma.types[wmma.type_count - 1], false),
                 wmma.differs ? "PTX_DIFFERS" : "PTX_TIMES", words[1], words[2], words[3], words[0]);
    emit_assign_fragment(emitter, emit_operand(emitter, 0), bits, words[0]);
}

void emit_wmma(struct emitter *emitter)
{
    if (emit_has(emitter, "load"))
        emit_tile(emitter, true);
    else if (emit_has(emitter, "store"))
        emit_tile(emitter, false);
    else if (emit_has(emitter, "mma"))
        emit_product(emitter);
    else
        emit_fail(emitter, "wmma of that kind is not known");
}
