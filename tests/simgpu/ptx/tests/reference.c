/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/tests/reference.h"

#include <math.h>
#include <string.h>

#include "ptx/tests/numbers.h"

extern const struct row *const __start_reference_rows[], *const __stop_reference_rows[];

size_t rows(const struct row *const **list)
{
    *list = __start_reference_rows;
    return (size_t)(__stop_reference_rows - __start_reference_rows);
}

/* Whether it is a NaN of that kind, of which PTX does not say the bits. */
static bool is_nan(enum kind kind, u64 bits)
{
    return kind == K_f32    ? (bits & 0x7fffffff) > 0x7f800000
           : kind == K_f64  ? (bits & INT64_MAX) > 0x7ff0000000000000
           : kind == K_f16  ? (bits & 0x7fff) > 0x7c00
           : kind == K_bf16 ? (bits & 0x7fff) > 0x7f80
                            : false;
}

static f64 number(enum kind kind, u64 bits)
{
    f64 wide;

    memcpy(&wide, &bits, sizeof wide);
    return kind == K_f16    ? (f64)h((u16)bits)
           : kind == K_bf16 ? (f64)g((u16)bits)
           : kind == K_f64  ? wide
                            : bits32((u32)bits);
}

bool row_accepts(const struct row *row, u64 expected, u64 got)
{
    f64 should, is;

    if (expected == got || (!(row->flags & EXACT) && is_nan(row->d, expected) && is_nan(row->d, got)))
        return true;
    if (row->relative == 0)
        return false;
    should = number(row->d, expected);
    is = number(row->d, got);
    return fabs(is - should) <= fabs(should) * row->relative + row->absolute;
}

const char *kind_type(enum kind kind)
{
    static const char *const types[KINDS] = {"",    "u16", "s16", "u32", "s32", "u64", "s64",
                                             "b16", "b16", "b32", "b32", "f32", "f64"};

    return types[kind];
}

unsigned kind_bytes(enum kind kind)
{
    static const unsigned char bytes[KINDS] = {0, 2, 2, 4, 4, 8, 8, 2, 2, 4, 4, 4, 8};

    return bytes[kind];
}

/* Signed zeros, ones, infinities, NaNs, the smallest and the largest of all, some in between, and ties. */
static const u16 edges_f16[EDGES] = {0,      0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00, 0x7e00,
                                     0xfe01, 1,      0x8001, 0x3ff,  0x400,  0x7bff, 0xfbff,
                                     0x3800, 0x3e00, 0x4100, 0x3c01, 0x6801, 0x7801};
static const u32 edges_f32[EDGES] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                     0xff800000, 0x7fc00000, 0xffc00001, 1,          0x807fffff,
                                     0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f000000, 0x3fc00000,
                                     0x40200000, 0x4b000001, 0x4f000000, 0x477fe001, 0x5f7fffff};
static const u64 edges_f64[EDGES] = {0,
                                     0x8000000000000000,
                                     0x3ff0000000000000,
                                     0xbff0000000000000,
                                     0x7ff0000000000000,
                                     0xfff0000000000000,
                                     0x7ff8000000000000,
                                     0xfff8000000000001,
                                     1,
                                     0x800fffffffffffff,
                                     0x0010000000000000,
                                     0x7fefffffffffffff,
                                     0xffefffffffffffff,
                                     0x3fe0000000000000,
                                     0x4004000000000000,
                                     0x43e0000000000000,
                                     0x41efffffffe00000,
                                     0x47efffffefffffff,
                                     0x36a0000000000001,
                                     0xc3e0000000000001};
static const u64 edges_integer[EDGES] = {0,
                                         1,
                                         (u64)-1,
                                         0x7f,
                                         0x80,
                                         0x7fff,
                                         0x8000,
                                         0xffff,
                                         0x7fffffff,
                                         0x80000000,
                                         0xffffffff,
                                         0x7fffffffffffffff,
                                         0x8000000000000000,
                                         31,
                                         32,
                                         33,
                                         0x0123456789abcdef,
                                         64,
                                         0xffffffffffff8000,
                                         0xff00ff0180017fff};

static u64 edge(enum kind kind, unsigned number_of)
{
    static const u16 edges_bf16[EDGES] = {0,      0x8000, 0x3f80, 0xbf80, 0x7f80, 0xff80, 0x7fc0,
                                          0xffc1, 1,      0x8001, 0x7f,   0x80,   0x7f7f, 0xff7f,
                                          0x3f00, 0x3fc0, 0x4020, 0x3f81, 0x4b01, 0x5f00};

    switch (kind) {
    case K_f16:
        return edges_f16[number_of];
    case K_bf16:
        return edges_bf16[number_of];
    case K_f16x2:
        return edges_f16[number_of] | (u64)edges_f16[(number_of * 7 + 3) % EDGES] << 16;
    case K_bf16x2:
        return edges_bf16[number_of] | (u64)edges_bf16[(number_of * 7 + 3) % EDGES] << 16;
    case K_f32:
        return edges_f32[number_of];
    case K_f64:
        return edges_f64[number_of];
    default:
        return edges_integer[number_of];
    }
}

u64 kind_value(enum kind kind, unsigned number_of, u64 random)
{
    /* Numbers of a middling size meet more often than any bits would. */
    if (number_of >= EDGES && kind == K_f32 && random % 2)
        return (random >> 32 & 0x87ffffff) | 0x3c000000;
    if (number_of >= EDGES && kind == K_f64 && random % 2)
        return (random & 0x807fffffffffffff) | 0x3fc0000000000000;
    if (number_of >= EDGES && kind < K_f16 && random % 4 == 0)
        return random >> 8 & 63;
    return number_of < EDGES ? edge(kind, number_of) : random;
}
