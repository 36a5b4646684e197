/* SPDX-License-Identifier: Apache-2.0 */
/* Two integers of 16 bits in a word. */
#ifndef PTX_PACKED_H
#define PTX_PACKED_H

#define PTX_PAIR(low, high) ((u32)(u16)(low) | (u32)(u16)(high) << 16)

#define PTX_PACKED(NAME, TYPE, OPERATION)                                                                    \
    PTX_DEVICE u32 ptx_##NAME##_##TYPE##x2(u32 a, u32 b)                                                     \
    {                                                                                                        \
        return PTX_PAIR(OPERATION((TYPE)a, (TYPE)b), OPERATION((TYPE)(a >> 16), (TYPE)(b >> 16)));           \
    }
#define PTX_SUM(a, b) ((a) + (b))

PTX_PACKED(add, u16, PTX_SUM)
PTX_PACKED(add, s16, PTX_SUM)
PTX_PACKED(min, u16, ptx_min_u16)
PTX_PACKED(min, s16, ptx_min_s16)
PTX_PACKED(max, u16, ptx_max_u16)
PTX_PACKED(max, s16, ptx_max_s16)

PTX_DEVICE u32 ptx_min_relu_s16x2(u32 a, u32 b)
{
    return ptx_max_s16x2(ptx_min_s16x2(a, b), 0);
}

PTX_DEVICE u32 ptx_max_relu_s16x2(u32 a, u32 b)
{
    return ptx_max_s16x2(ptx_max_s16x2(a, b), 0);
}

#endif
