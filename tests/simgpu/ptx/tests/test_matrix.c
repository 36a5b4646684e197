/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of matrices, against a product that is written out element by element. Which lane holds what is said here once
 * more, by element as NVIDIA's figures do, and not by register.
 */
#include "ptx/device/all.h"
#include "ptx/tests/threads.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 16,
    COLUMNS = 8,
    DEPTH = PTX_DEPTH_MAX
};

static f64 left[ROWS][DEPTH], right[DEPTH][COLUMNS], start[ROWS][COLUMNS], product[ROWS][COLUMNS];
static u32 a_words[32][4], b_words[32][2], c_words[32][4], d_words[32][4];

/* Small whole numbers are exact in every type, and so are their sums. */
static void fill(unsigned depth, int least, int most)
{
    for (unsigned i = 0; i < ROWS * depth; i++)
        left[i / depth][i % depth] = least + rand() % (most - least + 1);
    for (unsigned i = 0; i < depth * COLUMNS; i++)
        right[i / COLUMNS][i % COLUMNS] = least + rand() % (most - least + 1);
    for (unsigned i = 0; i < ROWS; i++) {
        for (unsigned j = 0; j < COLUMNS; j++) {
            start[i][j] = rand() % 100 - 50;
            product[i][j] = start[i][j];
            for (unsigned k = 0; k < depth; k++)
                product[i][j] += left[i][k] * right[k][j];
        }
    }
}

static void put_half(u32 *words, unsigned index, u16 bits)
{
    memcpy((u16 *)(void *)words + index, &bits, sizeof bits);
}

/* m16n8k16 of halves: eight elements of A, four of B. */
static void deal_halves(u16 (*narrow)(f64))
{
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned group = lane >> 2, within = lane % 4;

        for (unsigned i = 0; i < 8; i++) {
            unsigned row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
            unsigned column = within * 2 + (i & 1) + (i >= 4 ? 8 : 0);

            put_half(a_words[lane], i, narrow(left[row][column]));
        }
        for (unsigned i = 0; i < 4; i++)
            put_half(b_words[lane], i, narrow(right[within * 2 + (i & 1) + (i >= 2 ? 8 : 0)][group]));
    }
}

/* m16n8k32 of bytes: sixteen of A, eight of B. */
static void deal_bytes(void)
{
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned group = lane >> 2, within = lane % 4;

        for (unsigned i = 0; i < 16; i++) {
            unsigned row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
            unsigned column = within * 4 + (i & 3) + (i >= 8 ? 16 : 0);

            ((u8 *)a_words[lane])[i] = (u8)(int)left[row][column];
        }
        for (unsigned i = 0; i < 8; i++)
            ((u8 *)b_words[lane])[i] = (u8)(int)right[within * 4 + (i & 3) + (i >= 4 ? 16 : 0)][group];
    }
}

/* m16n8k8 of tf32: four of A, two of B. */
static void deal_tf32(void)
{
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned group = lane >> 2, within = lane % 4;

        for (unsigned i = 0; i < 4; i++)
            a_words[lane][i] = ptx_bits_f32((f32)left[group + (i & 1 ? 8 : 0)][within + (i >= 2 ? 4 : 0)]);
        for (unsigned i = 0; i < 2; i++)
            b_words[lane][i] = ptx_bits_f32((f32)right[within + (i ? 4 : 0)][group]);
    }
}

static unsigned row_of(unsigned lane, unsigned i)
{
    return (lane >> 2) + (i >= 2 ? 8 : 0);
}

static unsigned column_of(unsigned lane, unsigned i)
{
    return lane % 4 * 2 + (i & 1);
}

static void deal_start(bool is_float)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            f64 value = start[row_of(lane, i)][column_of(lane, i)];

            c_words[lane][i] = is_float ? ptx_bits_f32((f32)value) : (u32)(s32)value;
        }
}

static void compare(bool is_float)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            f64 value = is_float ? ptx_float_b32(d_words[lane][i]) : (f64)(s32)d_words[lane][i];

            cr_assert_eq(value, product[row_of(lane, i)][column_of(lane, i)], "lane %u, element %u", lane, i);
        }
}

#define BODY(NAME)                                                                                           \
    static void NAME(struct ptx_thread *t, const u8 *params)                                                 \
    {                                                                                                        \
        u32 i = t->lane;                                                                                     \
                                                                                                             \
        (void)params;                                                                                        \
        ptx_mma_##NAME(t, d_words[i], a_words[i], b_words[i], c_words[i]);                                   \
    }

BODY(m16n8k16_row_col_f32_f16_f16_f32)
BODY(m16n8k16_row_col_f16_f16_f16_f16)
BODY(m16n8k16_row_col_f32_bf16_bf16_f32)
BODY(m16n8k8_row_col_f32_tf32_tf32_f32)
BODY(m16n8k32_row_col_s32_s8_s8_s32)
BODY(m16n8k32_row_col_s32_u8_s8_s32)
BODY(m16n8k32_row_col_satfinite_s32_s8_s8_s32)

static void run(thread_body *body)
{
    cr_assert_eq(threads_run(ROOM_STACK_BYTES, 32, body), BLOCK_DONE);
}

static u16 to_f16(f64 value)
{
    return ptx_narrow_f16(value, PTX_RN, 0);
}

static u16 to_bf16(f64 value)
{
    return ptx_narrow_bf16(value, PTX_RN, 0);
}

Test(matrix, halves_are_multiplied_by_sixteens)
{
    fill(16, -20, 20);
    deal_start(true);
    deal_halves(to_f16);
    run(m16n8k16_row_col_f32_f16_f16_f32);
    compare(true);
    deal_halves(to_bf16);
    run(m16n8k16_row_col_f32_bf16_bf16_f32);
    compare(true);
}

Test(matrix, sums_may_be_halves_themselves)
{
    fill(16, -5, 5);
    deal_halves(to_f16);
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++)
            put_half(c_words[lane], i, to_f16(start[row_of(lane, i)][column_of(lane, i)]));
    run(m16n8k16_row_col_f16_f16_f16_f16);
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            u16 bits;

            memcpy(&bits, (u16 *)(void *)d_words[lane] + i, sizeof bits);
            cr_assert_eq(ptx_widen_f16(bits), product[row_of(lane, i)][column_of(lane, i)]);
        }
}

Test(matrix, words_are_multiplied_by_their_upper_nineteen_bits)
{
    fill(8, -1000, 1000);
    deal_start(true);
    deal_tf32();
    run(m16n8k8_row_col_f32_tf32_tf32_f32);
    compare(true);
    for (unsigned i = 0; i < 128; i++)
        a_words[i / 4][i % 4] |= 0x1fff;
    run(m16n8k8_row_col_f32_tf32_tf32_f32);
    compare(true);
}

Test(matrix, bytes_have_signs_or_have_none)
{
    fill(32, -128, 127);
    deal_start(false);
    deal_bytes();
    run(m16n8k32_row_col_s32_s8_s8_s32);
    compare(false);
    fill(32, 0, 127);
    for (unsigned i = 0; i < 16 * 32; i++)
        left[i / 32][i % 32] += 128;
    for (unsigned i = 0; i < 128; i++) {
        product[i / 8][i % 8] = start[i / 8][i % 8];
        for (unsigned k = 0; k < 32; k++)
            product[i / 8][i % 8] += left[i / 8][k] * right[k][i % 8];
    }
    deal_start(false);
    deal_bytes();
    run(m16n8k32_row_col_s32_u8_s8_s32);
    compare(false);
}

Test(matrix, a_sum_of_integers_wraps_or_stays_within_the_word)
{
    fill(32, 127, 127);
    deal_bytes();
    for (unsigned i = 0; i < 128; i++)
        c_words[i / 4][i % 4] = 0x7ffffff0;
    run(m16n8k32_row_col_s32_s8_s8_s32);
    cr_assert_eq(d_words[5][1], 0x7ffffff0u + 32 * 127 * 127);
    run(m16n8k32_row_col_satfinite_s32_s8_s8_s32);
    cr_assert_eq(d_words[5][1], 0x7fffffffu);
}

static void load(struct ptx_thread *t, const u8 *params)
{
    u16 *shared = (u16 *)(void *)t->shared;

    (void)params;
    /* Matrix m, row r, column c is 100 m + 10 r + c; rows are 48 bytes apart. */
    for (unsigned c = 0; c < 8; c++)
        shared[t->lane * 24 + c] = (u16)(t->lane / 8 * 100 + t->lane % 8 * 10 + c);
    ptx_bar_warp(t, ~(u32)0);
    ptx_ldmatrix(t, 4, false, a_words[t->lane], t->shared + t->lane * 48);
    ptx_ldmatrix(t, 2, true, b_words[t->lane], t->shared + t->lane * 48);
    d_words[t->lane][0] = ptx_movmatrix(t, a_words[t->lane][3]);
    ptx_stmatrix(t, 4, true, a_words[t->lane], t->shared + 2048 + t->lane * 48);
    ptx_bar_warp(t, ~(u32)0);
    memcpy(&c_words[t->lane], t->shared + 2048 + t->lane * 48, 16);
}

Test(matrix, rows_of_shared_memory_are_dealt_out_as_a_product_wants_them)
{
    run(load);
    for (u32 lane = 0; lane < 32; lane++) {
        u32 row = lane / 4, column = lane % 4 * 2;

        for (u32 m = 0; m < 4; m++)
            cr_assert_eq(a_words[lane][m], (m * 100 + row * 10 + column) | (m * 100 + row * 10 + column + 1)
                                                                               << 16);
        for (u32 m = 0; m < 2; m++)
            cr_assert_eq(b_words[lane][m], (m * 100 + column * 10 + row) | (m * 100 + (column + 1) * 10 + row)
                                                                               << 16);
        cr_assert_eq(d_words[lane][0], (300 + column * 10 + row) | (300 + (column + 1) * 10 + row) << 16);
        /* What was stored transposed: row lane % 8 of matrix lane / 8 begins with two elements of its column. */
        cr_assert_eq(c_words[lane][0], (lane / 8 * 100 + lane % 8) | (lane / 8 * 100 + 10 + lane % 8) << 16);
    }
}

/* --- what has few bits --- */

static u32 whole_bits(f64 value)
{
    return (u32)(s32)value;
}

static u32 e4m3_bits(f64 value)
{
    u32 bits = 0;

    while (bits < 256 && ptx_widen_e4m3(bits) != value)
        bits++;
    cr_assert_lt(bits, 256);
    return bits;
}

static u32 e5m2_bits(f64 value)
{
    u32 bits = 0;

    while (bits < 256 && ptx_widen_e5m2(bits) != value)
        bits++;
    cr_assert_lt(bits, 256);
    return bits;
}

static void put_bits(u32 *words, unsigned index, unsigned bits, u32 value)
{
    u32 mask = (1u << bits) - 1, shift = index * bits % 32;

    words[index * bits / 32] = (words[index * bits / 32] & ~(mask << shift)) | (value & mask) << shift;
}

/* Registers of A are in turn in the lane's row and eight rows on, and then further along the depth; of B along the depth. */
static void deal_narrow(unsigned rows, unsigned depth, unsigned bits, u32 (*a)(f64), u32 (*b)(f64))
{
    unsigned each = 32 / bits;

    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned group = lane >> 2, within = lane % 4;

        for (unsigned i = 0; i < rows * depth / 32; i++) {
            bool is_lower = rows == 16 && i / each % 2, is_right = i >= (rows == 16 ? 2 : 1) * each;

            put_bits(
                a_words[lane], i, bits,
                a(left[group + (is_lower ? 8 : 0)][within * each + i % each + (is_right ? 4 * each : 0)]));
        }
        for (unsigned i = 0; i < 8 * depth / 32; i++)
            put_bits(b_words[lane], i, bits,
                     b(right[within * each + i % each + (i >= each ? 4 * each : 0)][group]));
    }
}

static void compare_rows(unsigned rows, bool is_float)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < rows / 4; i++) {
            f64 value = is_float ? ptx_float_b32(d_words[lane][i]) : (f64)(s32)d_words[lane][i];

            cr_assert_eq(value, product[row_of(lane, i)][column_of(lane, i)], "lane %u, element %u", lane, i);
        }
}

BODY(m16n8k64_row_col_s32_s4_s4_s32)
BODY(m16n8k32_row_col_s32_s4_s4_s32)
BODY(m8n8k32_row_col_s32_s4_s4_s32)
BODY(m16n8k64_row_col_s32_u4_u4_s32)
BODY(m16n8k32_row_col_satfinite_s32_u4_u4_s32)
BODY(m8n8k32_row_col_s32_u4_u4_s32)
BODY(m16n8k32_row_col_f32_e4m3_e5m2_f32)
BODY(m16n8k16_row_col_f32_e5m2_e4m3_f32)
BODY(m16n8k256_row_col_s32_b1_b1_s32_xor_popc)
BODY(m16n8k128_row_col_s32_b1_b1_s32_xor_popc)
BODY(m8n8k128_row_col_s32_b1_b1_s32_xor_popc)
BODY(m16n8k256_row_col_s32_b1_b1_s32_and_popc)
BODY(m16n8k128_row_col_s32_b1_b1_s32_and_popc)
BODY(m8n8k128_row_col_s32_b1_b1_s32_and_popc)

static void multiply_narrow(thread_body *body, unsigned rows, unsigned depth, int least, int most)
{
    fill(depth, least, most);
    deal_start(false);
    deal_narrow(rows, depth, 4, whole_bits, whole_bits);
    run(body);
    compare_rows(rows, false);
}

Test(matrix, fours_of_bits_have_signs_or_have_none)
{
    multiply_narrow(m16n8k64_row_col_s32_s4_s4_s32, 16, 64, -8, 7);
    multiply_narrow(m16n8k32_row_col_s32_s4_s4_s32, 16, 32, -8, 7);
    multiply_narrow(m8n8k32_row_col_s32_s4_s4_s32, 8, 32, -8, 7);
    multiply_narrow(m16n8k64_row_col_s32_u4_u4_s32, 16, 64, 0, 15);
    multiply_narrow(m16n8k32_row_col_satfinite_s32_u4_u4_s32, 16, 32, 0, 15);
    multiply_narrow(m8n8k32_row_col_s32_u4_u4_s32, 8, 32, 0, 15);
    for (unsigned i = 0; i < 128; i++)
        c_words[i / 4][i % 4] = 0x7fffffff;
    run(m16n8k32_row_col_satfinite_s32_u4_u4_s32);
    cr_assert_eq(d_words[7][2], 0x7fffffffu);
}

/* Bits that differ are counted, or those that are both there. */
static void count_bits(thread_body *differs, thread_body *both, unsigned rows, unsigned depth)
{
    fill(depth, 0, 1);
    deal_start(false);
    deal_narrow(rows, depth, 1, whole_bits, whole_bits);
    run(both);
    compare_rows(rows, false);
    for (unsigned i = 0; i < 128; i++) {
        product[i / 8][i % 8] = start[i / 8][i % 8];
        for (unsigned k = 0; k < depth; k++)
            product[i / 8][i % 8] += left[i / 8][k] != right[k][i % 8];
    }
    run(differs);
    compare_rows(rows, false);
}

Test(matrix, bits_are_counted)
{
    count_bits(m16n8k256_row_col_s32_b1_b1_s32_xor_popc, m16n8k256_row_col_s32_b1_b1_s32_and_popc, 16, 256);
    count_bits(m16n8k128_row_col_s32_b1_b1_s32_xor_popc, m16n8k128_row_col_s32_b1_b1_s32_and_popc, 16, 128);
    count_bits(m8n8k128_row_col_s32_b1_b1_s32_xor_popc, m8n8k128_row_col_s32_b1_b1_s32_and_popc, 8, 128);
}

Test(matrix, floats_of_eight_bits_are_multiplied_in_both_depths)
{
    fill(32, -4, 4);
    deal_start(true);
    deal_narrow(16, 32, 8, e4m3_bits, e5m2_bits);
    run(m16n8k32_row_col_f32_e4m3_e5m2_f32);
    compare_rows(16, true);
    fill(16, -4, 4);
    deal_start(true);
    deal_narrow(16, 16, 8, e5m2_bits, e4m3_bits);
    run(m16n8k16_row_col_f32_e5m2_e4m3_f32);
    compare_rows(16, true);
}

/* By rows of 16, as NVIDIA's figures have it: element i of A is in row group or group + 8 by turns. */
static void multiply64_by_sixteens(struct ptx_thread *t, const u8 *params)
{
    f64 a[8], b[4], c[4] = {1, 2, 3, 4}, d[4];
    u32 group = t->lane / 4, within = t->lane % 4;

    (void)params;
    for (u32 i = 0; i < 8; i++)
        a[i] = left[group + (i & 1 ? 8 : 0)][within + 4 * (i / 2)];
    for (u32 i = 0; i < 4; i++)
        b[i] = right[within + 4 * i][group];
    ptx_mma_m16n8k16_row_col_f64_f64_f64_f64(t, d, a, b, c, PTX_RN);
    for (u32 i = 0; i < 4; i++)
        start[row_of(t->lane, i)][column_of(t->lane, i)] = d[i] - c[i];
    ptx_mma_m16n8k4_row_col_f64_f64_f64_f64(t, d, a, b, c, PTX_RN);
    ptx_mma_m16n8k8_row_col_f64_f64_f64_f64(t, d, a + 2, b + 1, d, PTX_RN);
    ptx_mma_m16n8k4_row_col_f64_f64_f64_f64(t, d, a + 6, b + 3, d, PTX_RN);
    for (u32 i = 0; i < 4; i++)
        a_words[t->lane][i] = d[i] - c[i] == start[row_of(t->lane, i)][column_of(t->lane, i)];
}

/* A product in four steps is the same. */
Test(matrix, numbers_of_64_bits_are_multiplied_by_sixteens)
{
    fill(16, -1000, 1000);
    for (u32 i = 0; i < ROWS * COLUMNS; i++)
        product[i / COLUMNS][i % COLUMNS] -= start[i / COLUMNS][i % COLUMNS];
    run(multiply64_by_sixteens);
    for (u32 i = 0; i < 128; i++) {
        cr_assert_eq(start[i / 8][i % 8], product[i / 8][i % 8], "%u", i);
        cr_assert(a_words[i / 4][i % 4]);
    }
}

static f64 left64[8][4], right64[4][8];

static void multiply64(struct ptx_thread *t, const u8 *params)
{
    f64 c[2] = {1, 2}, d[2];
    u32 group = t->lane / 4, within = t->lane % 4;

    (void)params;
    ptx_mma_m8n8k4_row_col_f64_f64_f64_f64(t, d, &left64[group][within], &right64[within][group], c, PTX_RN);
    memcpy(d_words[t->lane], d, sizeof d);
}

Test(matrix, numbers_of_64_bits_are_multiplied_by_fours)
{
    for (u32 i = 0; i < 32; i++) {
        left64[i / 4][i % 4] = rand() % 1000;
        right64[i / 8][i % 8] = rand() % 1000;
    }
    run(multiply64);
    for (u32 lane = 0; lane < 32; lane++) {
        f64 d[2];

        memcpy(d, d_words[lane], sizeof d);
        for (u32 i = 0; i < 2; i++) {
            f64 sum = 1 + i;

            for (u32 k = 0; k < 4; k++)
                sum += left64[lane / 4][k] * right64[k][lane % 4 * 2 + i];
            cr_assert_eq(d[i], sum);
        }
    }
}
