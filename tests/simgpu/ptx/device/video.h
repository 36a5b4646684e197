/* SPDX-License-Identifier: Apache-2.0 */
/* Two or four integers in a word, each on its own, or their sum added to a third operand. */
#ifndef PTX_VIDEO_H
#define PTX_VIDEO_H

enum ptx_video_operation {
    PTX_VIDEO_ADD,
    PTX_VIDEO_SUB,
    PTX_VIDEO_AVERAGE, /* away from zero where it is no whole number */
    PTX_VIDEO_MIN,
    PTX_VIDEO_MAX,
    PTX_VIDEO_DISTANCE,
    PTX_VIDEO_EQ,
    PTX_VIDEO_NE,
    PTX_VIDEO_LT,
    PTX_VIDEO_LE,
    PTX_VIDEO_GT,
    PTX_VIDEO_GE
};

struct ptx_video {
    u32 count; /* of integers in a word */
    bool d_signed, a_signed, b_signed, saturates, adds;
};

PTX_DEVICE s32 ptx_video_one(enum ptx_video_operation operation, s32 a, s32 b)
{
    switch (operation) {
    case PTX_VIDEO_ADD:
        return a + b;
    case PTX_VIDEO_SUB:
        return a - b;
    case PTX_VIDEO_AVERAGE:
        return (a + b + (a + b >= 0)) >> 1;
    case PTX_VIDEO_MIN:
        return a < b ? a : b;
    case PTX_VIDEO_MAX:
        return a > b ? a : b;
    case PTX_VIDEO_DISTANCE:
        return a > b ? a - b : b - a;
    case PTX_VIDEO_EQ:
        return a == b;
    case PTX_VIDEO_NE:
        return a != b;
    case PTX_VIDEO_LT:
        return a < b;
    case PTX_VIDEO_LE:
        return a <= b;
    case PTX_VIDEO_GT:
        return a > b;
    default:
        return a >= b;
    }
}

PTX_DEVICE s32 ptx_video_get(u32 word, u32 at, u32 bits, bool is_signed)
{
    u32 value = word << (32 - bits - at);

    return is_signed ? (s32)value >> (32 - bits) : (s32)(value >> (32 - bits));
}

PTX_DEVICE u32 ptx_video(enum ptx_video_operation operation, struct ptx_video how, u32 a, u32 b, u32 c)
{
    u32 bits = 32 / how.count, mask = ((u32)1 << bits) - 1, word = 0;
    s32 least = how.d_signed ? -(s32)(mask / 2 + 1) : 0, most = (s32)(how.d_signed ? mask / 2 : mask);

    for (u32 at = 0; at < 32; at += bits) {
        s32 value = ptx_video_one(operation, ptx_video_get(a, at, bits, how.a_signed),
                                  ptx_video_get(b, at, bits, how.b_signed));

        if (how.saturates)
            value = value < least ? least : value > most ? most : value;
        if (how.adds)
            c += (u32)value;
        else
            word |= ((u32)value & mask) << at;
    }
    return how.adds ? c : word;
}

#endif
