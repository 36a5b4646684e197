/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floats of 16 bits and less, as bits. An operation is done in f64, which holds every product and, with the last bit
 * kept odd where a sum is not exact, every sum well enough that rounding it once more is rounding it once.
 */
#ifndef PTX_HALF_H
#define PTX_HALF_H

#define PTX_NAN16 0x7fffu

/* A format: so many bits of exponent and fraction; the largest finite number. e4m3 has no infinity. */
struct ptx_format {
    u32 exponent, fraction, largest, nan;
};

#define PTX_F16  ((struct ptx_format){5, 10, 0x7bff, PTX_NAN16})
#define PTX_BF16 ((struct ptx_format){8, 7, 0x7f7f, PTX_NAN16})
#define PTX_TF32 ((struct ptx_format){8, 10, 0x3fbff, 0x3ffff})
#define PTX_E5M2 ((struct ptx_format){5, 2, 0x7b, 0x7f})
#define PTX_E4M3 ((struct ptx_format){4, 3, 0x7e, 0x7f})

/* Whether what is cut off, of so many bits, adds one to the kept part. */
PTX_DEVICE bool ptx_rounds_up(u64 kept, u64 rest, u32 bits, bool negative, enum ptx_rounding round)
{
    u64 half = (u64)1 << (bits - 1);

    if (round == PTX_RN)
        return rest > half || (rest == half && (kept & 1));
    if (round == PTX_RNA)
        return rest >= half;
    return rest != 0 && round == (negative ? PTX_RM : PTX_RP);
}

/* Too large a number is infinite, or the largest where rounding leads there or PTX_SAT says so. */
PTX_DEVICE u32 ptx_overflow(struct ptx_format format, bool negative, enum ptx_rounding round, u32 flags)
{
    bool inwards = round == PTX_RZ || round == (negative ? PTX_RP : PTX_RM);

    return inwards || (flags & PTX_SAT) ? format.largest : format.largest + 1;
}

/* The number in that format, rounded. PTX_SAT: to the largest number instead of beyond it. */
PTX_DEVICE u32 ptx_encode(f64 value, struct ptx_format format, enum ptx_rounding round, u32 flags)
{
    u64 bits = ptx_bits_f64(value), fraction = bits & (((u64)1 << 52) - 1);
    bool negative = bits >> 63;
    s32 exponent = (s32)(bits >> 52 & 0x7ff) - 1023, least = 2 - (1 << (format.exponent - 1));
    u32 sign = (u32)negative << (format.exponent + format.fraction), result, drop;

    if (value != value)
        return format.nan;
    if (exponent == 1024)
        return sign | (flags & PTX_SAT ? format.largest : format.largest + 1);
    if (exponent == -1023)
        exponent = -1022;
    else
        fraction |= (u64)1 << 52;
    if (exponent >= least) {
        drop = 52 - format.fraction;
        least = exponent;
    } else {
        drop = 52 - format.fraction + (u32)(least - exponent);
    }
    if (drop > 62) {
        fraction = fraction != 0;
        drop = 62;
    }
    result = (u32)(fraction >> drop);
    result += ptx_rounds_up(result, fraction & (((u64)1 << drop) - 1), drop, negative, round);
    result += (u32)(least + (1 << (format.exponent - 1)) - 2) << format.fraction;
    if (result > format.largest)
        result = ptx_overflow(format, negative, round, flags);
    return sign | result;
}

/* a + b, exact but for the last bit, which is odd where it is not. */
PTX_DEVICE f64 ptx_sum_odd(f64 a, f64 b)
{
    f64 sum = a + b, part = sum - a, error = (a - (sum - part)) + (b - part);
    u64 bits = ptx_bits_f64(sum);

    if (error == 0 || error != error)
        return sum;
    return ptx_float_b64(((error < 0) == (sum < 0) ? bits : bits - 1) | 1);
}

PTX_DEVICE f32 ptx_widen_f16(u16 a)
{
    u32 magnitude = (u32)(a & 0x7fff) << 13;
    f32 value = ptx_float_b32(magnitude) * 0x1p112f;
    u32 bits = (a & 0x7c00) == 0x7c00 ? magnitude | 0x7f800000 : ptx_bits_f32(value);

    return ptx_float_b32(bits | (u32)(a & 0x8000) << 16);
}

PTX_DEVICE f32 ptx_widen_bf16(u16 a)
{
    return ptx_float_b32((u32)a << 16);
}

PTX_DEVICE u16 ptx_narrow_f16(f64 value, enum ptx_rounding round, u32 flags)
{
    return (u16)ptx_encode(value, PTX_F16, round, flags);
}

PTX_DEVICE u16 ptx_narrow_bf16(f64 value, enum ptx_rounding round, u32 flags)
{
    return (u16)ptx_encode(value, PTX_BF16, round, flags);
}

PTX_DEVICE u16 ptx_ftz_f16(u16 a)
{
    return a & 0x7c00 ? a : a & 0x8000;
}

/* bf16 has no such modifier. */
PTX_DEVICE u16 ptx_ftz_bf16(u16 a)
{
    return a;
}

/* Results: to [0, 1], or not below 0. A NaN is canonical, and 0 for PTX_SAT. */
PTX_DEVICE f64 ptx_bound(f64 value, u32 flags)
{
    if (flags & PTX_SAT)
        return ptx_sat_f64(value);
    return (flags & PTX_RELU) && value <= 0 ? 0 : value;
}

#define PTX_HALF2(NAME, HALF, EXPRESSION)                                                                    \
    PTX_DEVICE u16 ptx_##NAME##_##HALF(u16 a, u16 b, u32 flags)                                              \
    {                                                                                                        \
        f64 x = ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(a) : a);                                   \
        f64 y = ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(b) : b);                                   \
        u16 value = ptx_narrow_##HALF(ptx_bound(EXPRESSION, flags), PTX_RN, 0);                              \
                                                                                                             \
        return flags & PTX_FTZ ? ptx_ftz_##HALF(value) : value;                                              \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_##NAME##_##HALF##x2(u32 a, u32 b, u32 flags)                                          \
    {                                                                                                        \
        return PTX_PAIR(ptx_##NAME##_##HALF((u16)a, (u16)b, flags),                                          \
                        ptx_##NAME##_##HALF((u16)(a >> 16), (u16)(b >> 16), flags));                         \
    }

#define PTX_HALF(HALF)                                                                                       \
    PTX_HALF2(add, HALF, ptx_sum_odd(x, y))                                                                  \
    PTX_HALF2(sub, HALF, ptx_sum_odd(x, -y))                                                                 \
    PTX_HALF2(mul, HALF, x *y)                                                                               \
    PTX_DEVICE u16 ptx_fma_##HALF(u16 a, u16 b, u16 c, u32 flags)                                            \
    {                                                                                                        \
        f64 x = ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(a) : a);                                   \
        f64 y = ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(b) : b);                                   \
        f64 z = ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(c) : c);                                   \
        u16 value = ptx_narrow_##HALF(ptx_bound(ptx_sum_odd(x * y, z), flags), PTX_RN, 0);                   \
                                                                                                             \
        return flags & PTX_FTZ ? ptx_ftz_##HALF(value) : value;                                              \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_fma_##HALF##x2(u32 a, u32 b, u32 c, u32 flags)                                        \
    {                                                                                                        \
        return PTX_PAIR(ptx_fma_##HALF((u16)a, (u16)b, (u16)c, flags),                                       \
                        ptx_fma_##HALF((u16)(a >> 16), (u16)(b >> 16), (u16)(c >> 16), flags));              \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_neg_##HALF(u16 a, u32 flags)                                                          \
    {                                                                                                        \
        return (u16)((flags & PTX_FTZ ? ptx_ftz_##HALF(a) : a) ^ 0x8000);                                    \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_abs_##HALF(u16 a, u32 flags)                                                          \
    {                                                                                                        \
        return (flags & PTX_FTZ ? ptx_ftz_##HALF(a) : a) & 0x7fff;                                           \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_neg_##HALF##x2(u32 a, u32 flags)                                                      \
    {                                                                                                        \
        return PTX_PAIR(ptx_neg_##HALF((u16)a, flags), ptx_neg_##HALF((u16)(a >> 16), flags));               \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_abs_##HALF##x2(u32 a, u32 flags)                                                      \
    {                                                                                                        \
        return PTX_PAIR(ptx_abs_##HALF((u16)a, flags), ptx_abs_##HALF((u16)(a >> 16), flags));               \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_choose_##HALF(u16 a, u16 b, bool least, u32 flags)                                    \
    {                                                                                                        \
        f32 value = ptx_choose_f32(ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(a) : a),                \
                                   ptx_widen_##HALF(flags & PTX_FTZ ? ptx_ftz_##HALF(b) : b), least,         \
                                   flags & ~(u32)PTX_FTZ);                                                   \
                                                                                                             \
        return ptx_narrow_##HALF(value, PTX_RN, 0);                                                          \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_min_##HALF(u16 a, u16 b, u32 flags)                                                   \
    {                                                                                                        \
        return ptx_choose_##HALF(a, b, true, flags);                                                         \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_max_##HALF(u16 a, u16 b, u32 flags)                                                   \
    {                                                                                                        \
        return ptx_choose_##HALF(a, b, false, flags);                                                        \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_min_##HALF##x2(u32 a, u32 b, u32 flags)                                               \
    {                                                                                                        \
        return PTX_PAIR(ptx_min_##HALF((u16)a, (u16)b, flags),                                               \
                        ptx_min_##HALF((u16)(a >> 16), (u16)(b >> 16), flags));                              \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_max_##HALF##x2(u32 a, u32 b, u32 flags)                                               \
    {                                                                                                        \
        return PTX_PAIR(ptx_max_##HALF((u16)a, (u16)b, flags),                                               \
                        ptx_max_##HALF((u16)(a >> 16), (u16)(b >> 16), flags));                              \
    }

PTX_HALF(f16)
PTX_HALF(bf16)

#endif
