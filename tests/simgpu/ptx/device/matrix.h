/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of small matrices that a warp holds in its registers. PTX says who holds what: with e elements in a register,
 * lane 4g + i has in register r of A the row g + 8 (r % 2) and from column e (i + 4 (r / 2)) on, in register r of B the
 * column g and from row e (i + 4 r) on, and of C and D rows g and g + 8, columns 2i and 2i + 1. Where A has eight rows its
 * registers follow each other as those of B do.
 *
 * Sums are taken in f64 and rounded once: hardware's order and precision are not documented, but are less.
 */
#ifndef PTX_MATRIX_H
#define PTX_MATRIX_H

enum ptx_element {
    PTX_E_F16,
    PTX_E_BF16,
    PTX_E_TF32,
    PTX_E_E4M3,
    PTX_E_E5M2,
    PTX_E_S8,
    PTX_E_U8,
    PTX_E_S4,
    PTX_E_U4,
    PTX_E_B1
};

/* What D and C are made of. */
enum ptx_sum {
    PTX_SUM_F32,
    PTX_SUM_F16,
    PTX_SUM_S32,
    PTX_SUM_SATURATED
};

/* What is summed: products, or of bits also where they differ. */
enum ptx_meeting {
    PTX_TIMES,
    PTX_DIFFERS
};

enum {
    PTX_DEPTH_MAX = 256
};

struct ptx_shape {
    u32 rows, depth; /* of A; B has eight columns */
    enum ptx_element a, b;
    enum ptx_sum d, c;
    enum ptx_meeting meeting;
};

struct ptx_product {
    const u32 *a, *b, *c;
    u32 *d;
};

PTX_DEVICE u32 ptx_element_bits(enum ptx_element element)
{
    return element == PTX_E_TF32                        ? 32
           : element <= PTX_E_BF16                      ? 16
           : element == PTX_E_S4 || element == PTX_E_U4 ? 4
           : element == PTX_E_B1                        ? 1
                                                        : 8;
}

PTX_DEVICE f64 ptx_element_of(u32 word, u32 index, enum ptx_element element)
{
    u32 bits = word >> index * ptx_element_bits(element);

    return element == PTX_E_F16    ? ptx_widen_f16((u16)bits)
           : element == PTX_E_BF16 ? ptx_widen_bf16((u16)bits)
           : element == PTX_E_TF32 ? ptx_float_b32(bits & ~(u32)0x1fff)
           : element == PTX_E_E4M3 ? ptx_widen_e4m3(bits)
           : element == PTX_E_E5M2 ? ptx_widen_e5m2(bits)
           : element == PTX_E_S8   ? (f64)(s8)bits
           : element == PTX_E_U8   ? (f64)(u8)bits
           : element == PTX_E_S4   ? (f64)((s32)(bits << 28) >> 28)
           : element == PTX_E_U4   ? (f64)(bits & 15)
                                   : (f64)(bits & 1);
}

/* A sum of integers is exact in f64: 256 products of 16 bits at most, and a word. */
PTX_DEVICE u32 ptx_sum_bits(f64 sum, enum ptx_sum kind)
{
    return kind == PTX_SUM_F32   ? ptx_bits_f32((f32)sum)
           : kind == PTX_SUM_F16 ? ptx_narrow_f16(sum, PTX_RN, 0)
           : kind == PTX_SUM_S32 ? (u32)(s64)sum
                                 : (u32)ptx_saturate_s32((s64)sum);
}

PTX_DEVICE void ptx_sum_put(u32 *words, u32 index, f64 sum, enum ptx_sum kind)
{
    u32 bits = ptx_sum_bits(sum, kind);

    if (kind == PTX_SUM_F16)
        words[index / 2] = index % 2 ? (words[index / 2] & 0xffff) | bits << 16 : bits;
    else
        words[index] = bits;
}

PTX_DEVICE f64 ptx_sum_get(const u32 *words, u32 index, enum ptx_sum kind)
{
    return kind == PTX_SUM_F32   ? (f64)ptx_float_b32(words[index])
           : kind == PTX_SUM_F16 ? (f64)ptx_widen_f16((u16)(words[index / 2] >> 16 * (index % 2)))
                                 : (f64)(s32)words[index];
}

/* Row of A or column of B, and place along the depth, of each element of a register. */
PTX_DEVICE void ptx_mma_gather(f64 *lines, const u32 *words, u32 lane, u32 lines_count, u32 depth,
                               enum ptx_element element)
{
    u32 each = 32 / ptx_element_bits(element), halves = lines_count / 8,
        registers = halves * depth / (4 * each);

    for (u32 r = 0; r < registers; r++)
        for (u32 j = 0; j < each; j++)
            lines[(lane / 4 + 8 * (r % halves)) * depth + (lane % 4 + 4 * (r / halves)) * each + j] =
                ptx_element_of(words[r], j, element);
}

PTX_DEVICE f64 ptx_meet(const f64 *a, const f64 *b, u32 depth, enum ptx_meeting meeting)
{
    f64 sum = 0;

    for (u32 k = 0; k < depth; k++)
        sum += meeting == PTX_DIFFERS ? a[k] != b[k] : a[k] * b[k];
    return sum;
}

/* A lane's elements of the result. */
PTX_DEVICE void ptx_mma_deal(const struct ptx_product *product, const struct ptx_shape *shape, u32 lane,
                             const f64 *a, const f64 *b)
{
    for (u32 i = 0; i < shape->rows / 4; i++) {
        u32 row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
        f64 sum = ptx_meet(a + row * shape->depth, b + column * shape->depth, shape->depth, shape->meeting);

        ptx_sum_put(product->d, i, sum + ptx_sum_get(product->c, i, shape->c), shape->d);
    }
}

PTX_DEVICE void ptx_multiply(void *const *lanes, struct ptx_shape shape)
{
    f64 a[16 * PTX_DEPTH_MAX], b[8 * PTX_DEPTH_MAX];

    for (u32 lane = 0; lane < PTX_WARP; lane++) {
        const struct ptx_product *product = lanes[lane];

        ptx_mma_gather(a, product->a, lane, shape.rows, shape.depth, shape.a);
        ptx_mma_gather(b, product->b, lane, 8, shape.depth, shape.b);
    }
    for (u32 lane = 0; lane < PTX_WARP; lane++)
        ptx_mma_deal(lanes[lane], &shape, lane, a, b);
}

/* All lanes have to be there. */
#define PTX_MMA(NAME, ROWS, DEPTH, A, B, D, C) PTX_MMA_OF(NAME, ROWS, DEPTH, A, B, D, C, TIMES)
#define PTX_MMA_OF(NAME, ROWS, DEPTH, A, B, D, C, MEETING)                                                   \
    PTX_COLD void ptx_combine_mma_##NAME(void *const *lanes, u32 mask)                                       \
    {                                                                                                        \
        if (mask == ~(u32)0)                                                                                 \
            ptx_multiply(lanes, (struct ptx_shape){ROWS, DEPTH, PTX_E_##A, PTX_E_##B, PTX_SUM_##D,           \
                                                   PTX_SUM_##C, PTX_##MEETING});                             \
    }                                                                                                        \
    PTX_DEVICE void ptx_mma_##NAME(struct ptx_thread *t, u32 *d, const u32 *a, const u32 *b, const u32 *c)   \
    {                                                                                                        \
        struct ptx_product mine = {a, b, c, d};                                                              \
                                                                                                             \
        t->host->meet(t, ~(u32)0, &mine, ptx_combine_mma_##NAME);                                            \
    }

PTX_MMA(m16n8k16_row_col_f32_f16_f16_f32, 16, 16, F16, F16, F32, F32)
PTX_MMA(m16n8k16_row_col_f16_f16_f16_f16, 16, 16, F16, F16, F16, F16)
PTX_MMA(m16n8k16_row_col_f32_bf16_bf16_f32, 16, 16, BF16, BF16, F32, F32)
PTX_MMA(m16n8k8_row_col_f32_f16_f16_f32, 16, 8, F16, F16, F32, F32)
PTX_MMA(m16n8k8_row_col_f16_f16_f16_f16, 16, 8, F16, F16, F16, F16)
PTX_MMA(m16n8k8_row_col_f32_bf16_bf16_f32, 16, 8, BF16, BF16, F32, F32)
PTX_MMA(m16n8k8_row_col_f32_tf32_tf32_f32, 16, 8, TF32, TF32, F32, F32)
PTX_MMA(m16n8k4_row_col_f32_tf32_tf32_f32, 16, 4, TF32, TF32, F32, F32)
PTX_MMA(m16n8k16_row_col_f16_f16_f16_f32, 16, 16, F16, F16, F16, F32)
PTX_MMA(m16n8k16_row_col_f32_f16_f16_f16, 16, 16, F16, F16, F32, F16)

#define PTX_MMA_EIGHTHS(AT, BT, A, B)                                                                        \
    PTX_MMA(m16n8k32_row_col_f32_##AT##_##BT##_f32, 16, 32, A, B, F32, F32)                                  \
    PTX_MMA(m16n8k32_row_col_f16_##AT##_##BT##_f16, 16, 32, A, B, F16, F16)                                  \
    PTX_MMA(m16n8k16_row_col_f32_##AT##_##BT##_f32, 16, 16, A, B, F32, F32)                                  \
    PTX_MMA(m16n8k16_row_col_f16_##AT##_##BT##_f16, 16, 16, A, B, F16, F16)

PTX_MMA_EIGHTHS(e4m3, e4m3, E4M3, E4M3)
PTX_MMA_EIGHTHS(e4m3, e5m2, E4M3, E5M2)
PTX_MMA_EIGHTHS(e5m2, e4m3, E5M2, E4M3)
PTX_MMA_EIGHTHS(e5m2, e5m2, E5M2, E5M2)

#define PTX_MMA_BYTES(AT, BT, A, B)                                                                          \
    PTX_MMA(m16n8k32_row_col_s32_##AT##_##BT##_s32, 16, 32, A, B, S32, S32)                                  \
    PTX_MMA(m16n8k16_row_col_s32_##AT##_##BT##_s32, 16, 16, A, B, S32, S32)                                  \
    PTX_MMA(m8n8k16_row_col_s32_##AT##_##BT##_s32, 8, 16, A, B, S32, S32)                                    \
    PTX_MMA(m16n8k32_row_col_satfinite_s32_##AT##_##BT##_s32, 16, 32, A, B, SATURATED, S32)                  \
    PTX_MMA(m16n8k16_row_col_satfinite_s32_##AT##_##BT##_s32, 16, 16, A, B, SATURATED, S32)                  \
    PTX_MMA(m8n8k16_row_col_satfinite_s32_##AT##_##BT##_s32, 8, 16, A, B, SATURATED, S32)

PTX_MMA_BYTES(s8, s8, S8, S8)
PTX_MMA_BYTES(s8, u8, S8, U8)
PTX_MMA_BYTES(u8, s8, U8, S8)
PTX_MMA_BYTES(u8, u8, U8, U8)

#define PTX_MMA_FOURS(AT, BT, A, B)                                                                          \
    PTX_MMA(m16n8k64_row_col_s32_##AT##_##BT##_s32, 16, 64, A, B, S32, S32)                                  \
    PTX_MMA(m16n8k32_row_col_s32_##AT##_##BT##_s32, 16, 32, A, B, S32, S32)                                  \
    PTX_MMA(m8n8k32_row_col_s32_##AT##_##BT##_s32, 8, 32, A, B, S32, S32)                                    \
    PTX_MMA(m16n8k64_row_col_satfinite_s32_##AT##_##BT##_s32, 16, 64, A, B, SATURATED, S32)                  \
    PTX_MMA(m16n8k32_row_col_satfinite_s32_##AT##_##BT##_s32, 16, 32, A, B, SATURATED, S32)                  \
    PTX_MMA(m8n8k32_row_col_satfinite_s32_##AT##_##BT##_s32, 8, 32, A, B, SATURATED, S32)

PTX_MMA_FOURS(s4, s4, S4, S4)
PTX_MMA_FOURS(s4, u4, S4, U4)
PTX_MMA_FOURS(u4, s4, U4, S4)
PTX_MMA_FOURS(u4, u4, U4, U4)

#define PTX_MMA_BITS(OPERATION, MEETING)                                                                     \
    PTX_MMA_OF(m16n8k256_row_col_s32_b1_b1_s32_##OPERATION##_popc, 16, 256, B1, B1, S32, S32, MEETING)       \
    PTX_MMA_OF(m16n8k128_row_col_s32_b1_b1_s32_##OPERATION##_popc, 16, 128, B1, B1, S32, S32, MEETING)       \
    PTX_MMA_OF(m8n8k128_row_col_s32_b1_b1_s32_##OPERATION##_popc, 8, 128, B1, B1, S32, S32, MEETING)

PTX_MMA_BITS(xor, DIFFERS)
PTX_MMA_BITS(and, TIMES)

/* Of f64 in the same places, each number a register of its own. */
struct ptx_product64 {
    const f64 *a, *b, *c;
    f64 *d;
    enum ptx_rounding rounding; /* of each product and sum */
};

PTX_DEVICE f64 ptx_left64(void *const *lanes, u32 rows, u32 row, u32 k)
{
    const struct ptx_product64 *from = lanes[row % 8 * 4 + k % 4];

    return from->a[k / 4 * (rows / 8) + row / 8];
}

PTX_DEVICE void ptx_multiply64(void *const *lanes, u32 rows, u32 depth)
{
    for (u32 lane = 0; lane < PTX_WARP; lane++) {
        struct ptx_product64 *product = lanes[lane];

        for (u32 i = 0; i < rows / 4; i++) {
            u32 row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
            f64 sum = product->c[i];

            for (u32 k = 0; k < depth; k++)
                sum = ptx_fma_f64(ptx_left64(lanes, rows, row, k),
                                  ((const struct ptx_product64 *)lanes[column * 4 + k % 4])->b[k / 4], sum,
                                  product->rounding, 0);
            product->d[i] = sum;
        }
    }
}

#define PTX_MMA64(NAME, ROWS, DEPTH)                                                                         \
    PTX_COLD void ptx_combine_mma_##NAME(void *const *lanes, u32 mask)                                       \
    {                                                                                                        \
        if (mask == ~(u32)0)                                                                                 \
            ptx_multiply64(lanes, ROWS, DEPTH);                                                              \
    }                                                                                                        \
    PTX_DEVICE void ptx_mma_##NAME(struct ptx_thread *t, void *d, const void *a, const void *b,              \
                                   const void *c, enum ptx_rounding rounding)                                \
    {                                                                                                        \
        struct ptx_product64 mine = {a, b, c, d, rounding};                                                  \
                                                                                                             \
        t->host->meet(t, ~(u32)0, &mine, ptx_combine_mma_##NAME);                                            \
    }

PTX_MMA64(m8n8k4_row_col_f64_f64_f64_f64, 8, 4)
PTX_MMA64(m16n8k4_row_col_f64_f64_f64_f64, 16, 4)
PTX_MMA64(m16n8k8_row_col_f64_f64_f64_f64, 16, 8)
PTX_MMA64(m16n8k16_row_col_f64_f64_f64_f64, 16, 16)

/* Matrices of 8 by 8 halves in shared memory: lane 8m + i brings the address of row i of matrix m, and lane 4g + i gets
 * columns 2i and 2i + 1 of row g. */
struct ptx_rows {
    u8 *row;
    u32 *words;
    u32 count;
    bool transposed, stores;
};

PTX_DEVICE u8 *ptx_rows_at(void *const *lanes, u32 matrix, u32 lane, u32 half, bool transposed)
{
    u32 row = lane / 4, column = lane % 4 * 2 + half;
    const struct ptx_rows *from = lanes[8 * matrix + (transposed ? column : row)];

    return from->row + 2 * (transposed ? row : column);
}

PTX_COLD void ptx_combine_rows(void *const *lanes, u32 mask)
{
    for (u32 lane = 0; lane < PTX_WARP && mask == ~(u32)0; lane++) {
        const struct ptx_rows *mine = lanes[lane];

        for (u32 i = 0; i < 2 * mine->count; i++) {
            u8 *at = ptx_rows_at(lanes, i / 2, lane, i % 2, mine->transposed);
            u8 *word = (u8 *)&mine->words[i / 2] + 2 * (i % 2);

            __builtin_memcpy(mine->stores ? at : word, mine->stores ? word : at, 2);
        }
    }
}

PTX_DEVICE void ptx_ldmatrix(struct ptx_thread *t, u32 count, bool transposed, u32 *d, u8 *row)
{
    struct ptx_rows mine = {row, d, count, transposed, false};

    t->host->meet(t, ~(u32)0, &mine, ptx_combine_rows);
}

PTX_DEVICE void ptx_stmatrix(struct ptx_thread *t, u32 count, bool transposed, const u32 *a, u8 *row)
{
    u32 words[4];
    struct ptx_rows mine = {row, words, count, transposed, true};

    __builtin_memcpy(words, a, count * sizeof *words);
    t->host->meet(t, ~(u32)0, &mine, ptx_combine_rows);
}

/* One such matrix across the warp's registers, transposed. */
PTX_COLD void ptx_combine_transpose(void *const *lanes, u32 mask)
{
    u16 matrix[8][8];

    for (u32 lane = 0; lane < PTX_WARP && mask == ~(u32)0; lane++)
        __builtin_memcpy(&matrix[lane / 4][lane % 4 * 2], lanes[lane], 4);
    for (u32 lane = 0; lane < PTX_WARP && mask == ~(u32)0; lane++)
        *(u32 *)lanes[lane] = PTX_PAIR(matrix[lane % 4 * 2][lane / 4], matrix[lane % 4 * 2 + 1][lane / 4]);
}

PTX_DEVICE u32 ptx_movmatrix(struct ptx_thread *t, u32 a)
{
    t->host->meet(t, ~(u32)0, &a, ptx_combine_transpose);
    return a;
}

#endif
