/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments (wmma): which element of a matrix is in whose registers is left open by PTX. Here a matrix is dealt out line by
 * line, A, C and D by rows and B by columns: each lane in turn has as many elements as a fragment holds, from the beginning
 * again where the warp has room for more. Elements of 4 bits and of one come by words, whose line they are in.
 */
#ifndef PTX_WMMA_H
#define PTX_WMMA_H

struct ptx_tile {
    u32 lines, length; /* as it is dealt out */
    u32 bytes;         /* of an element */
    u32 elements;      /* of a lane */
};

/* Where an element of the lane's is in memory: along its lines, or across them. */
PTX_DEVICE u64 ptx_tile_at(const struct ptx_tile *tile, u32 lane, u32 element, u64 address, bool along,
                           u32 stride)
{
    u32 number = (lane * tile->elements + element) % (tile->lines * tile->length);
    u64 line = number / tile->length, place = number % tile->length;

    return address + (along ? line * stride + place : place * stride + line) * tile->bytes;
}

/* site: NULL for shared memory. All lanes have loaded before one of them stores, and stored before one goes on. */
PTX_DEVICE void ptx_tile_load(struct ptx_thread *t, u64 *site, u64 address, struct ptx_tile tile, bool along,
                              u32 stride, void *to)
{
    ptx_bar_warp(t, ~(u32)0);
    for (u32 i = 0; i < tile.elements; i++) {
        u64 at = ptx_tile_at(&tile, t->lane, i, address, along, stride);

        if (site)
            ptx_touch(t, site, at, tile.bytes);
        __builtin_memcpy((u8 *)to + i * tile.bytes, (const u8 *)at, tile.bytes);
    }
}

PTX_DEVICE void ptx_tile_store(struct ptx_thread *t, u64 *site, u64 address, struct ptx_tile tile, bool along,
                               u32 stride, const void *from)
{
    ptx_bar_warp(t, ~(u32)0);
    for (u32 i = 0; i < tile.elements; i++) {
        u64 at = ptx_tile_at(&tile, t->lane, i, address, along, stride);

        if (site)
            ptx_touch(t, site, at, tile.bytes);
        __builtin_memcpy((u8 *)at, (const u8 *)from + i * tile.bytes, tile.bytes);
    }
    ptx_bar_warp(t, ~(u32)0);
}

struct ptx_wmma {
    u32 rows, columns, depth;
    enum ptx_element element;
    u32 left, right; /* registers of A and B that a lane has */
    enum ptx_sum d_kind, c_kind;
    enum ptx_meeting meeting;
    const u32 *a, *b, *c;
    u32 *d;
};

PTX_DEVICE void ptx_wmma_gather(f64 *lines, u32 count, const u32 *words, u32 lane, u32 registers,
                                enum ptx_element element)
{
    u32 each = 32 / ptx_element_bits(element), elements = registers * each;

    for (u32 i = 0; i < elements; i++)
        lines[(lane * elements + i) % count] = ptx_element_of(words[i / each], i % each, element);
}

/* All lanes bring the same shape and kinds. */
PTX_COLD void ptx_combine_wmma(void *const *lanes, u32 mask)
{
    const struct ptx_wmma *all = lanes[0];
    f64 a[8 * 128], b[8 * 128]; /* the most elements that a shape has */

    if (mask != ~(u32)0)
        return;
    for (u32 lane = 0; lane < PTX_WARP; lane++) {
        const struct ptx_wmma *mine = lanes[lane];

        ptx_wmma_gather(a, all->rows * all->depth, mine->a, lane, all->left, all->element);
        ptx_wmma_gather(b, all->columns * all->depth, mine->b, lane, all->right, all->element);
    }
    for (u32 i = 0; i < all->rows * all->columns; i++) {
        u32 each = all->rows * all->columns / PTX_WARP, row = i / all->columns, column = i % all->columns;
        const struct ptx_wmma *mine = lanes[i / each];
        f64 sum = ptx_meet(a + row * all->depth, b + column * all->depth, all->depth, all->meeting);

        ptx_sum_put(mine->d, i % each, sum + ptx_sum_get(mine->c, i % each, all->c_kind), all->d_kind);
    }
}

PTX_DEVICE void ptx_wmma(struct ptx_thread *t, struct ptx_wmma mine)
{
    t->host->meet(t, ~(u32)0, &mine, ptx_combine_wmma);
}

#endif
