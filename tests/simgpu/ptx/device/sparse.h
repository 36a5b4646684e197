/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products whose left matrix is half empty, and those of four small matrices at once.
 *
 * Half empty: of each chunk of A's columns two elements are stored (of 4 bits, two pairs; of 32, one of two), as a matrix that
 * is half as deep. Four bits of metadata for each chunk say where they belong. Words of metadata come from some lanes of each
 * group of four, from which one on the selector says. Where elements have 16 bits or more a word is of two rows, g and g + 8,
 * and 16 columns' worth of four chunks; else of one row and eight chunks, and the next lane has that of row g + 8.
 */
#ifndef PTX_SPARSE_H
#define PTX_SPARSE_H

struct ptx_sparse {
    struct ptx_product product;
    struct ptx_shape shape;
    u32 metadata, selector;
};

/* The four bits of a chunk. */
PTX_DEVICE u32 ptx_sparse_chunk(void *const *lanes, u32 row, u32 chunk, bool is_wide)
{
    const struct ptx_sparse *first = lanes[0];
    u32 chunks = is_wide ? 4 : 8, each = is_wide ? 1 : 2; /* of a word; lanes that have the same columns */
    u32 count = first->shape.depth /
                (first->shape.a == PTX_E_TF32            ? 2
                 : ptx_element_bits(first->shape.a) == 4 ? 8
                                                         : 4) /
                chunks * each;
    u32 lane = row % 8 * 4 + first->selector * count + chunk / chunks * each + (is_wide ? 0 : row / 8);
    u32 shift = chunk % chunks * 4 + (is_wide ? row / 8 * 16 : 0);

    return ((const struct ptx_sparse *)lanes[lane % PTX_WARP])->metadata >> shift & 15;
}

/* A as it is meant, out of what is stored. */
PTX_DEVICE void ptx_sparse_spread(f64 *a, const f64 *stored, void *const *lanes)
{
    const struct ptx_shape *shape = &((const struct ptx_sparse *)lanes[0])->shape;
    u32 bits = ptx_element_bits(shape->a), unit = bits == 4 ? 2 : 1, width = bits == 32 ? 2 : 4 * unit;

    for (u32 i = 0; i < shape->rows * shape->depth; i++)
        a[i] = 0;
    for (u32 row = 0; row < shape->rows; row++)
        for (u32 chunk = 0; chunk < shape->depth / width; chunk++) {
            u32 places = ptx_sparse_chunk(lanes, row, chunk, bits >= 16);
            f64 *to = a + row * shape->depth + chunk * width;
            const f64 *from = stored + row * shape->depth / 2 + chunk * width / 2;

            for (u32 i = 0; i < width / 2; i++)
                to[bits == 32 ? (places & 3) / 2 : (places >> i / unit * 2 & 3) * unit + i % unit] = from[i];
        }
}

PTX_COLD void ptx_combine_sparse(void *const *lanes, u32 mask)
{
    f64 stored[8 * PTX_DEPTH_MAX / 2], a[16 * PTX_DEPTH_MAX / 2], b[8 * PTX_DEPTH_MAX / 2];

    if (mask != ~(u32)0)
        return;
    for (u32 lane = 0; lane < PTX_WARP; lane++) {
        const struct ptx_sparse *mine = lanes[lane];

        ptx_mma_gather(stored, mine->product.a, lane, 16, mine->shape.depth / 2, mine->shape.a);
        ptx_mma_gather(b, mine->product.b, lane, 8, mine->shape.depth, mine->shape.b);
    }
    ptx_sparse_spread(a, stored, lanes);
    for (u32 lane = 0; lane < PTX_WARP; lane++) {
        const struct ptx_sparse *mine = lanes[lane];

        ptx_mma_deal(&mine->product, &mine->shape, lane, a, b);
    }
}

PTX_DEVICE void ptx_mma_sparse(struct ptx_thread *t, struct ptx_sparse mine)
{
    t->host->meet(t, ~(u32)0, &mine, ptx_combine_sparse);
}

/*
 * Four products of 8 by 8 by 4 halves. Lanes 4q to 4q + 3 and those 16 further on have product q: the first ones the upper
 * four rows of A, C and D and the left four columns of B.
 */
struct ptx_quad {
    struct ptx_product product;
    bool a_by_rows, b_by_rows;
    enum ptx_sum d, c;
};

struct ptx_quad_place {
    u32 lane, index;
};

/* Of element (line, place): a lane has a whole line of four, or one place of each line. */
PTX_DEVICE f64 ptx_quad_half(void *const *lanes, u32 quad, u32 line, u32 place, bool is_left)
{
    const struct ptx_quad *all = lanes[0];
    bool by_lines = is_left ? all->a_by_rows : !all->b_by_rows;
    const struct ptx_quad *from = lanes[4 * quad + (by_lines ? line % 4 : place) + line / 4 * 16];
    u32 index = by_lines ? place : line % 4;

    return ptx_element_of((is_left ? from->product.a : from->product.b)[index / 2], index % 2, PTX_E_F16);
}

/* Of a sum: of halves a lane has one row, of words two columns in two rows, twice. */
PTX_DEVICE struct ptx_quad_place ptx_quad_sum(u32 quad, u32 row, u32 column, enum ptx_sum kind)
{
    u32 lane = 4 * quad + row / 4 * 16;

    if (kind == PTX_SUM_F16)
        return (struct ptx_quad_place){lane + row % 4, column};
    return (struct ptx_quad_place){lane + (row & 1) + (column & 2), (column & 5) + (row & 2)};
}

PTX_COLD void ptx_combine_quads(void *const *lanes, u32 mask)
{
    const struct ptx_quad *all = lanes[0];

    for (u32 i = 0; i < 4 * 64 && mask == ~(u32)0; i++) {
        u32 quad = i / 64, row = i / 8 % 8, column = i % 8;
        struct ptx_quad_place to = ptx_quad_sum(quad, row, column, all->d);
        struct ptx_quad_place from = ptx_quad_sum(quad, row, column, all->c);
        f64 sum = 0;

        for (u32 k = 0; k < 4; k++)
            sum += ptx_quad_half(lanes, quad, row, k, true) * ptx_quad_half(lanes, quad, column, k, false);
        sum += ptx_sum_get(((const struct ptx_quad *)lanes[from.lane])->product.c, from.index, all->c);
        ptx_sum_put(((const struct ptx_quad *)lanes[to.lane])->product.d, to.index, sum, all->d);
    }
}

PTX_DEVICE void ptx_mma_quads(struct ptx_thread *t, struct ptx_quad mine)
{
    t->host->meet(t, ~(u32)0, &mine, ptx_combine_quads);
}

#endif
