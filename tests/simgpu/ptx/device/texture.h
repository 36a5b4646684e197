/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel wants of a texture or a surface. The machine has the formulas. */
#ifndef PTX_TEXTURE_H
#define PTX_TEXTURE_H

/* The texels that a texture is asked for. */
struct ptx_fetch {
    u8 dimensions; /* 1 to 3; a cube map has 3 */
    bool is_cube, is_layered;
    bool is_whole;    /* coordinates and level are s32, not f32 */
    bool is_gathered; /* four texels' component */
    bool has_level, has_gradients;
    u8 component;
    u32 layer;
    u32 at[3]; /* bits */
    u32 level;
    s32 offset[3]; /* in texels */
    f32 dx[3], dy[3];
};

enum ptx_outside {
    PTX_OUTSIDE_TRAP,
    PTX_OUTSIDE_CLAMP, /* to the next that is inside */
    PTX_OUTSIDE_ZERO   /* reads are 0, and writes nothing */
};

/* The place in a surface that is read or written. */
struct ptx_place {
    u8 dimensions;
    bool is_layered;
    bool is_counted; /* x counts texels, and not bytes */
    u8 outside;      /* enum ptx_outside */
    u32 bytes;       /* that are wanted there; 0: a texel's */
    u32 layer;
    s32 at[3];
};

/* What may be asked about either. */
enum ptx_question {
    PTX_ASK_WIDTH, /* in texels, as all of these */
    PTX_ASK_HEIGHT,
    PTX_ASK_DEPTH,
    PTX_ASK_ARRAY_SIZE, /* layers; 1 without */
    PTX_ASK_LEVELS,
    PTX_ASK_SAMPLES,
    PTX_ASK_CHANNEL_TYPE, /* as OpenCL numbers it */
    PTX_ASK_CHANNEL_ORDER,
    PTX_ASK_NORMALIZED, /* 1: coordinates are parts of one */
    PTX_ASK_UNNORMALIZED,
    PTX_ASK_FILTER,
    PTX_ASK_ADDRESS_0, /* and the two other ways below */
    PTX_ASK_ADDRESS_1,
    PTX_ASK_ADDRESS_2,
    PTX_ASK_LAYOUT
};

#endif
