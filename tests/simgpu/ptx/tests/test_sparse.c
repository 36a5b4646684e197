/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of matrices of which the left one is half empty, and four products at once, as PTX by way of the driver. What is
 * expected is worked out from whole matrices; who holds what is said here by element, as NVIDIA's figures do.
 */
#include "driver.h"
#include "ptx/device/all.h"
#include "ptx/tests/kernel.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LANE_WORDS = 32, /* of `in`: A, B, C and the metadata */
    B_AT = 4,
    C_AT = 8,
    META_AT = 16,
    RESULT_WORDS = 8, /* of `out` */
    DEPTH = 128
};

static f64 left[16][DEPTH], right[DEPTH][8], added[16][8];
static bool is_there[16][DEPTH];

/* How a number is written in so many bits. */
struct element {
    const char *name;
    unsigned bits;
    int least, most;
    u32 (*write)(f64 value);
};

static u32 as_whole(f64 value)
{
    return (u32)(s32)value;
}

static u32 as_f16(f64 value)
{
    return ptx_narrow_f16(value, PTX_RN, 0);
}

static u32 as_bf16(f64 value)
{
    return ptx_narrow_bf16(value, PTX_RN, 0);
}

static u32 as_tf32(f64 value)
{
    return ptx_bits_f32((f32)value);
}

static u32 as_e4m3(f64 value)
{
    u32 bits = 0;

    while (ptx_widen_e4m3(bits) != value)
        bits++;
    return bits;
}

static u32 as_e5m2(f64 value)
{
    u32 bits = 0;

    while (ptx_widen_e5m2(bits) != value)
        bits++;
    return bits;
}

static const struct element half = {"f16", 16, -20, 20, as_f16}, brain = {"bf16", 16, -20, 20, as_bf16},
                            wide = {"tf32", 32, -1000, 1000, as_tf32}, s8_ = {"s8", 8, -128, 127, as_whole},
                            u8_ = {"u8", 8, 0, 255, as_whole}, s4_ = {"s4", 4, -8, 7, as_whole},
                            u4_ = {"u4", 4, 0, 15, as_whole}, e4m3 = {"e4m3", 8, -4, 4, as_e4m3},
                            e5m2 = {"e5m2", 8, -4, 4, as_e5m2};

static f64 any(const struct element *element)
{
    return element->least + rand() % (element->most - element->least + 1);
}

static void put(unsigned lane, unsigned at, unsigned index, unsigned bits, u32 value)
{
    u32 mask = bits == 32 ? ~(u32)0 : (1u << bits) - 1, shift = index * bits % 32;
    u32 *word = &in[lane * LANE_WORDS + at + index * bits / 32];

    *word = (*word & ~(mask << shift)) | (value & mask) << shift;
}

/* --- half empty --- */

/* Columns of which half are there, and how many stay together. */
static unsigned chunk_of(const struct element *element)
{
    return element->bits == 32 ? 2 : element->bits == 4 ? 8 : 4;
}

static void fill_left(const struct element *element, unsigned depth)
{
    unsigned chunk = chunk_of(element), together = element->bits == 4 ? 2 : 1, parts = chunk / together;

    memset(left, 0, sizeof left);
    memset(is_there, 0, sizeof is_there);
    for (unsigned row = 0; row < 16; row++)
        for (unsigned first = 0; first < depth; first += chunk) {
            unsigned one = (unsigned)rand() % parts,
                     other = (one + 1 + (unsigned)rand() % (parts - 1)) % parts;

            for (unsigned i = 0; i < chunk; i++) {
                bool chosen = i / together == one || (parts > 2 && i / together == other);

                is_there[row][first + i] = chosen;
                left[row][first + i] = chosen ? any(element) : 0;
            }
        }
}

/* The four bits that say which parts of a chunk are there; the first is the lower pair of bits. */
static u32 places(const struct element *element, unsigned row, unsigned chunk)
{
    unsigned width = chunk_of(element), together = element->bits == 4 ? 2 : 1;
    u32 found = 0, count = 0;

    if (element->bits == 32)
        return is_there[row][chunk * 2] ? 0x4 : 0xe;
    for (unsigned i = 0; i < width; i += together)
        if (is_there[row][chunk * width + i])
            found |= i / together << 2 * count++;
    return found;
}

/* Metadata comes from some lanes, as the selector says; from all others comes nonsense. */
static void deal_places(const struct element *element, unsigned depth, unsigned selector)
{
    unsigned chunks = depth / chunk_of(element);

    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned group = lane >> 2, within = lane & 3;
        u32 *word = &in[lane * LANE_WORDS + META_AT];

        *word = (u32)rand();
        if (element->bits >= 16 && within / (chunks / 4) == selector) {
            *word = 0;
            for (unsigned i = 0; i < 8; i++)
                *word |= places(element, group + (i < 4 ? 0 : 8), within % (chunks / 4) * 4 + i % 4) << 4 * i;
        } else if (element->bits < 16 && within / (chunks / 4) == selector) {
            *word = 0;
            for (unsigned i = 0; i < 8; i++)
                *word |= places(element, group + (within & 1 ? 8 : 0), within % (chunks / 4) / 2 * 8 + i)
                         << 4 * i;
        }
    }
}

/* A register is filled by what is there of so many columns. */
static void deal_left(const struct element *element, unsigned depth)
{
    unsigned each = 32 / element->bits;

    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned number = 0; number < depth / each / 4; number++) {
            unsigned row = (lane >> 2) + (number & 1 ? 8 : 0), count = 0;
            unsigned first = (lane & 3) * 2 * each + (number >= 2 ? depth / 2 : 0);

            for (unsigned i = first; i < first + 2 * each; i++)
                if (is_there[row][i])
                    put(lane, 0, number * each + count++, element->bits, element->write(left[row][i]));
            cr_assert_eq(count, each);
        }
}

static void deal_right(const struct element *element, unsigned depth)
{
    unsigned each = 32 / element->bits;

    for (unsigned i = 0; i < depth * 8; i++)
        right[i / 8][i % 8] = any(element);
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < depth / 4; i++)
            put(lane, B_AT, i, element->bits,
                element->write(right[(lane & 3) * each + i % each + i / each * 4 * each][lane >> 2]));
}

static unsigned row_of(unsigned lane, unsigned i)
{
    return (lane >> 2) + (i >= 2 ? 8 : 0);
}

static unsigned column_of(unsigned lane, unsigned i)
{
    return (lane & 3) * 2 + (i & 1);
}

/* Sums are f32, f16 or s32. */
static void deal_sums(const char *type, f64 of)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            f64 value = added[row_of(lane, i)][column_of(lane, i)] = of ? of : rand() % 100 - 50;

            if (*type == 's')
                put(lane, C_AT, i, 32, as_whole(value));
            else
                put(lane, C_AT, i, strcmp(type, "f16") ? 32 : 16,
                    strcmp(type, "f16") ? as_tf32(value) : as_f16(value));
        }
}

static f64 read_sum(const char *type, unsigned lane, unsigned i)
{
    const u32 *words = &out[lane * RESULT_WORDS];

    return *type == 's'               ? (f64)(s32)words[i]
           : strcmp(type, "f16") == 0 ? ptx_widen_f16((u16)(words[i / 2] >> 16 * (i % 2)))
                                      : ptx_float_b32(words[i]);
}

static void run(const char *instruction)
{
    char body[1024];

    snprintf(
        body, sizeof body,
        "mul.wide.u32 %%rd4, %%r0, 128; add.u64 %%rd4, %%rd4, %%rd0; mul.wide.u32 %%rd5, %%r0, 32; "
        "add.u64 %%rd5, %%rd5, %%rd1;\n"
        "ld.global.v4.b32 {%%r4, %%r5, %%r6, %%r7}, [%%rd4]; ld.global.v4.b32 {%%r8, %%r9, %%r10, %%r11}, "
        "[%%rd4+16];\n"
        "ld.global.v4.b32 {%%r12, %%r13, %%r14, %%r15}, [%%rd4+32]; ld.global.v4.b32 {%%r16, %%r17, "
        "%%r18, %%r19}, [%%rd4+48];\n"
        "ld.global.b32 %%r20, [%%rd4+64];\n%s\n"
        "st.global.v4.b32 [%%rd5], {%%r21, %%r22, %%r23, %%r24}; st.global.v4.b32 [%%rd5+16], {%%r25, "
        "%%r26, %%r27, %%r28};",
        instruction);
    run_words("", body, 1, 32);
}

/* {%r4, %r5} */
static const char *registers(char text[64], unsigned first, unsigned count)
{
    int at = 0;

    for (unsigned i = 0; i < count; i++)
        at += snprintf(text + at, 64 - (size_t)at, "%s%%r%u", i ? ", " : "{", first + i);
    snprintf(text + at, 64 - (size_t)at, "}");
    return text;
}

struct kind {
    const char *variant, *sum;
    const struct element *a, *b;
    unsigned depth, selector;
    bool saturates;
    f64 from; /* what C is; 0: any */
};

static f64 clamp(f64 value)
{
    return value > 0x7fffffff ? 0x7fffffff : value < -2147483648.0 ? -2147483648.0 : value;
}

static void multiply(struct kind kind)
{
    unsigned sums = strcmp(kind.sum, "f16") ? 4 : 2, count = kind.depth * kind.a->bits / 128;
    char instruction[256], d[64], a[64], b[64], c[64];

    memset(in, 0, sizeof in);
    fill_left(kind.a, kind.depth);
    deal_left(kind.a, kind.depth);
    deal_right(kind.b, kind.depth);
    deal_sums(kind.sum, kind.from);
    deal_places(kind.a, kind.depth, kind.selector);
    snprintf(instruction, sizeof instruction,
             "mma.%s.sync.aligned.m16n8k%u.row.col%s.%s.%s.%s.%s %s, %s, %s, %s, %%r20, %u;", kind.variant,
             kind.depth, kind.saturates ? ".satfinite" : "", kind.sum, kind.a->name, kind.b->name, kind.sum,
             registers(d, 21, sums), registers(a, 4, count), registers(b, 8, count), registers(c, 12, sums),
             kind.selector);
    run(instruction);
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned row = row_of(lane, i), column = column_of(lane, i);
            f64 sum = added[row][column];

            for (unsigned k = 0; k < kind.depth; k++)
                sum += left[row][k] * right[k][column];
            if (kind.saturates)
                sum = clamp(sum);
            cr_assert_eq(read_sum(kind.sum, lane, i), sum, "%s lane %u, element %u: %g, not %g", instruction,
                         lane, i, read_sum(kind.sum, lane, i), sum);
        }
}

Test(sparse, halves_are_multiplied_by_whom_the_selector_names)
{
    for (unsigned selector = 0; selector < 4; selector++)
        multiply((struct kind){"sp", "f32", &half, &half, 16, selector, false, 0});
    multiply((struct kind){"sp::ordered_metadata", "f32", &half, &half, 32, 0, false, 0});
    multiply((struct kind){"sp", "f32", &half, &half, 32, 1, false, 0});
    multiply((struct kind){"sp", "f32", &brain, &brain, 16, 2, false, 0});
    multiply((struct kind){"sp::ordered_metadata", "f32", &brain, &brain, 32, 1, false, 0});
}

Test(sparse, sums_may_be_halves_themselves)
{
    struct element few = half;

    few.least = -5;
    few.most = 5;
    multiply((struct kind){"sp", "f16", &few, &few, 16, 1, false, 0});
    multiply((struct kind){"sp", "f16", &few, &few, 32, 0, false, 0});
}

Test(sparse, of_two_words_one_is_there)
{
    multiply((struct kind){"sp", "f32", &wide, &wide, 8, 3, false, 0});
    multiply((struct kind){"sp::ordered_metadata", "f32", &wide, &wide, 16, 1, false, 0});
}

Test(sparse, bytes_have_signs_or_have_none)
{
    multiply((struct kind){"sp", "s32", &s8_, &s8_, 32, 0, false, 0});
    multiply((struct kind){"sp", "s32", &u8_, &s8_, 32, 1, false, 0});
    multiply((struct kind){"sp", "s32", &s8_, &u8_, 64, 0, false, 0});
    multiply((struct kind){"sp::ordered_metadata", "s32", &u8_, &u8_, 64, 0, false, 0});
}

Test(sparse, fours_of_bits_come_in_pairs)
{
    multiply((struct kind){"sp", "s32", &s4_, &s4_, 64, 0, false, 0});
    multiply((struct kind){"sp", "s32", &u4_, &s4_, 64, 1, false, 0});
    multiply((struct kind){"sp::ordered_metadata", "s32", &s4_, &u4_, 128, 0, false, 0});
    multiply((struct kind){"sp", "s32", &u4_, &u4_, 128, 0, true, 0});
}

Test(sparse, a_sum_of_integers_stays_within_the_word)
{
    multiply((struct kind){"sp", "s32", &u8_, &u8_, 64, 0, true, 0x7fffff00});
    multiply((struct kind){"sp", "s32", &s8_, &s8_, 32, 0, true, -2147483648.0});
}

Test(sparse, floats_of_eight_bits_are_multiplied)
{
    multiply((struct kind){"sp", "f32", &e4m3, &e5m2, 64, 0, false, 0});
    multiply((struct kind){"sp::ordered_metadata", "f32", &e5m2, &e4m3, 64, 0, false, 0});
}

static CUresult load(const char *instruction)
{
    char text[1024];
    CUmodule module;

    snprintf(text, sizeof text,
             ".version 8.5\n.target sm_80\n.address_size 64\n.visible .entry run()\n{ .reg .b32 "
             "%%r<32>;\n%s\nret; }\n",
             instruction);
    return cuModuleLoadData(&module, text);
}

Test(sparse, what_there_is_not_is_refused)
{
    static const char *const refused[] = {
        "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5}, {%r6,%r7}, "
        "{%r0,%r1,%r2,%r3}, %r8, 4;",
        "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.bf16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
        "{%r6,%r7,%r8,%r9}, {%r0,%r1,%r2,%r3}, %r8, 0;",
        "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
        "{%r6,%r7}, "
        "{%r0,%r1,%r2,%r3}, %r8, 0;",
        "mma.sync.aligned.m8n8k4.row.col.f16.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5}, {%r6,%r7}, "
        "{%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7};"};

    start();
    cr_assert_eq(
        load("mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5}, {%r6,%r7}, "
             "{%r0,%r1,%r2,%r3}, %r8, 3;"),
        CUDA_SUCCESS);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_assert_eq(load(refused[i]), CUDA_ERROR_INVALID_PTX, "%s", refused[i]);
}

/* --- four at once --- */

static f64 a4[4][8][4], b4[4][4][8], c4[4][8][8];

/* Row or column, and place along the depth, of a lane's element. */
static void deal_quads(bool a_by_rows, bool b_by_rows)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned quad = lane % 16 / 4, high = lane < 16 ? 0 : 4;
            f64 *a = a_by_rows ? &a4[quad][lane % 4 + high][i] : &a4[quad][i % 4 + high][lane % 4];
            f64 *b = b_by_rows ? &b4[quad][lane % 4][i + high] : &b4[quad][i][lane % 4 + high];

            put(lane, 0, i, 16, as_f16(*a = rand() % 41 - 20));
            put(lane, B_AT, i, 16, as_f16(*b = rand() % 41 - 20));
        }
}

static f64 *quad_sum(f64 sums[4][8][8], unsigned lane, unsigned i, bool is_half)
{
    unsigned quad = lane % 16 / 4, high = lane < 16 ? 0 : 4;

    return is_half ? &sums[quad][lane % 4 + high][i]
                   : &sums[quad][(lane & 1) + (i & 2) + high][(i & 4) + (lane & 2) + (i & 1)];
}

static void multiply_quads(bool a_by_rows, bool b_by_rows, const char *d_type, const char *c_type)
{
    bool d_half = strcmp(d_type, "f16") == 0, c_half = strcmp(c_type, "f16") == 0;
    char instruction[256], d[64], c[64];

    memset(in, 0, sizeof in);
    deal_quads(a_by_rows, b_by_rows);
    for (unsigned i = 0; i < 256; i++) {
        f64 *c_of = quad_sum(c4, i / 8, i % 8, c_half);

        *c_of = rand() % 100 - 50;
        put(i / 8, C_AT, i % 8, c_half ? 16 : 32, c_half ? as_f16(*c_of) : as_tf32(*c_of));
    }
    snprintf(instruction, sizeof instruction,
             "mma.sync.aligned.m8n8k4.%s.%s.%s.f16.f16.%s %s, {%%r4, %%r5}, {%%r8, %%r9}, %s;",
             a_by_rows ? "row" : "col", b_by_rows ? "row" : "col", d_type, c_type,
             registers(d, 21, d_half ? 4 : 8), registers(c, 12, c_half ? 4 : 8));
    run(instruction);
    for (unsigned quad = 0; quad < 4; quad++)
        for (unsigned row = 0; row < 8; row++)
            for (unsigned column = 0; column < 8; column++)
                for (unsigned k = 0; k < 4; k++)
                    c4[quad][row][column] += a4[quad][row][k] * b4[quad][k][column];
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(read_sum(d_type, i / 8, i % 8), *quad_sum(c4, i / 8, i % 8, d_half), "%s: %u",
                     instruction, i);
}

Test(sparse, four_small_products_are_of_a_quarter_of_the_lanes_each)
{
    for (unsigned i = 0; i < 4; i++) {
        multiply_quads(i & 1, i & 2, "f32", "f32");
        multiply_quads(i & 1, i & 2, "f16", "f16");
    }
    multiply_quads(true, false, "f32", "f16");
}
