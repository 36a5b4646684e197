/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversions: ptx_cvt_DESTINATION_SOURCE(value, rounding, flags) for every pair. Between floats of one type
 * it is a move; ptx_rint_TYPE rounds to an integer within the type.
 */
#ifndef PTX_CONVERT_H
#define PTX_CONVERT_H

#define PTX_INTEGERS(DO, ...)                                                                                \
    DO(u8, ##__VA_ARGS__)                                                                                    \
    DO(s8, ##__VA_ARGS__)                                                                                    \
    DO(u16, ##__VA_ARGS__)                                                                                   \
    DO(s16, ##__VA_ARGS__)                                                                                   \
    DO(u32, ##__VA_ARGS__)                                                                                   \
    DO(s32, ##__VA_ARGS__)                                                                                   \
    DO(u64, ##__VA_ARGS__)                                                                                   \
    DO(s64, ##__VA_ARGS__)

#define PTX_IS_SIGNED(TYPE) ((TYPE)-1 < (TYPE)1)
#define PTX_LEAST(TYPE)     (PTX_IS_SIGNED(TYPE) ? (s128)((u128)-1 << (8 * sizeof(TYPE) - 1)) : 0)
#define PTX_MOST(TYPE)      ((s128)(((u128)1 << (8 * sizeof(TYPE) - PTX_IS_SIGNED(TYPE))) - 1))

PTX_DEVICE s128 ptx_clamp(s128 value, s128 least, s128 most)
{
    return PTX_CLAMP(value, least, most);
}

/* Integer to integer. */
#define PTX_CVT_INTEGER(TO, FROM)                                                                            \
    PTX_DEVICE TO ptx_cvt_##TO##_##FROM(FROM value, enum ptx_rounding round, u32 flags)                      \
    {                                                                                                        \
        (void)round;                                                                                         \
        return flags & PTX_SAT ? (TO)ptx_clamp(value, PTX_LEAST(TO), PTX_MOST(TO)) : (TO)value;              \
    }
#define PTX_CVT_FROM(FROM)                                                                                   \
    PTX_CVT_INTEGER(u8, FROM)                                                                                \
    PTX_CVT_INTEGER(s8, FROM)                                                                                \
    PTX_CVT_INTEGER(u16, FROM)                                                                               \
    PTX_CVT_INTEGER(s16, FROM)                                                                               \
    PTX_CVT_INTEGER(u32, FROM)                                                                               \
    PTX_CVT_INTEGER(s32, FROM)                                                                               \
    PTX_CVT_INTEGER(u64, FROM)                                                                               \
    PTX_CVT_INTEGER(s64, FROM)

PTX_INTEGERS(PTX_CVT_FROM)

/* A number of 64 bits in an f64, with the last bit odd where it does not fit. */
PTX_DEVICE f64 ptx_odd_u64(u64 value)
{
    return value >> 53 ? (f64)(value >> 11 | ((value & 2047) != 0)) * 2048.0 : (f64)value;
}

PTX_DEVICE f64 ptx_odd_s64(s64 value)
{
    return value < 0 ? -ptx_odd_u64(0 - (u64)value) : ptx_odd_u64((u64)value);
}

#define PTX_ODD(TYPE, value) (PTX_IS_SIGNED(TYPE) ? ptx_odd_s64((s64)(value)) : ptx_odd_u64((u64)(value)))

/* As PTX_DIRECTED. */
#define PTX_DIRECTED_FROM(FLOAT, FROM)                                                                       \
    PTX_COLD                                                                                                 \
    FLOAT ptx_directed_##FLOAT##_##FROM(FROM from, enum ptx_rounding round)                                  \
    {                                                                                                        \
        FLOAT value;                                                                                         \
                                                                                                             \
        ptx_direction(round);                                                                                \
        __asm__ volatile("" : "+r"(from));                                                                   \
        value = (FLOAT)from;                                                                                 \
        PTX_HOLD(value);                                                                                     \
        ptx_direction(PTX_RN);                                                                               \
        return value;                                                                                        \
    }

/* Integer to float. */
#define PTX_CVT_TO_FLOAT(FROM)                                                                               \
    PTX_DIRECTED_FROM(f32, FROM)                                                                             \
    PTX_DIRECTED_FROM(f64, FROM)                                                                             \
    PTX_DEVICE u16 ptx_cvt_f16_##FROM(FROM value, enum ptx_rounding round, u32 flags)                        \
    {                                                                                                        \
        return ptx_narrow_f16(ptx_bound(PTX_ODD(FROM, value), flags), round, 0);                             \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_cvt_bf16_##FROM(FROM value, enum ptx_rounding round, u32 flags)                       \
    {                                                                                                        \
        return ptx_narrow_bf16(ptx_bound(PTX_ODD(FROM, value), flags), round, 0);                            \
    }                                                                                                        \
    PTX_DEVICE f32 ptx_cvt_f32_##FROM(FROM value, enum ptx_rounding round, u32 flags)                        \
    {                                                                                                        \
        f32 to = round == PTX_RN ? (f32)value : ptx_directed_f32_##FROM(value, round);                       \
                                                                                                             \
        return flags & PTX_SAT ? ptx_sat_f32(to) : to;                                                       \
    }                                                                                                        \
    PTX_DEVICE f64 ptx_cvt_f64_##FROM(FROM value, enum ptx_rounding round, u32 flags)                        \
    {                                                                                                        \
        f64 to = round == PTX_RN ? (f64)value : ptx_directed_f64_##FROM(value, round);                       \
                                                                                                             \
        return flags & PTX_SAT ? ptx_sat_f64(to) : to;                                                       \
    }
PTX_INTEGERS(PTX_CVT_TO_FLOAT)

/* To an integer, in f64, which holds every float. */
PTX_DEVICE f64 ptx_whole(f64 value, enum ptx_rounding round)
{
    return round == PTX_RZ   ? __builtin_trunc(value)
           : round == PTX_RM ? __builtin_floor(value)
           : round == PTX_RP ? __builtin_ceil(value)
                             : __builtin_rint(value);
}

/*
 * Float to integer: what is too large becomes the nearest there is, and a NaN zero, or a one in the highest place where
 * either side has 64 bits.
 */
#define PTX_CVT_TO_INTEGER(TO, FROM, VALUE)                                                                  \
    PTX_DEVICE TO ptx_cvt_##TO##_##FROM(PTX_CARRIER_##FROM from, enum ptx_rounding round, u32 flags)         \
    {                                                                                                        \
        f64 value = ptx_whole(VALUE(from, flags), round);                                                    \
                                                                                                             \
        (void)flags;                                                                                         \
        if (value != value)                                                                                  \
            return PTX_WIDE_##FROM || sizeof(TO) == 8 ? (TO)((u64)1 << (8 * sizeof(TO) - 1)) : (TO)0;        \
        if (value <= (f64)PTX_LEAST(TO))                                                                     \
            return (TO)PTX_LEAST(TO);                                                                        \
        if (value >= (f64)PTX_MOST(TO))                                                                      \
            return (TO)PTX_MOST(TO);                                                                         \
        return PTX_IS_SIGNED(TO) ? (TO)(s64)value : (TO)(u64)value;                                          \
    }
#define PTX_CARRIER_f16      u16
#define PTX_CARRIER_bf16     u16
#define PTX_CARRIER_f32      f32
#define PTX_CARRIER_f64      f64
#define PTX_WIDE_f16         0
#define PTX_WIDE_bf16        0
#define PTX_WIDE_f32         0
#define PTX_WIDE_f64         1
#define PTX_EXACT_f16(a, f)  ptx_widen_f16((f)&PTX_FTZ ? ptx_ftz_f16(a) : (a))
#define PTX_EXACT_bf16(a, f) ptx_widen_bf16(a)
#define PTX_EXACT_f32(a, f)  ((f)&PTX_FTZ ? ptx_ftz_f32(a) : (a))
#define PTX_EXACT_f64(a, f)  (a)
#define PTX_CVT_FROM_FLOAT(TO)                                                                               \
    PTX_CVT_TO_INTEGER(TO, f16, PTX_EXACT_f16)                                                               \
    PTX_CVT_TO_INTEGER(TO, bf16, PTX_EXACT_bf16)                                                             \
    PTX_CVT_TO_INTEGER(TO, f32, PTX_EXACT_f32)                                                               \
    PTX_CVT_TO_INTEGER(TO, f64, PTX_EXACT_f64)

PTX_INTEGERS(PTX_CVT_FROM_FLOAT)

/* Float to float. PTX_SAT is [0, 1]; for the pairs and small formats below it is the largest finite number. */
#define PTX_CVT_TO_HALF(HALF, FROM)                                                                          \
    PTX_DEVICE u16 ptx_cvt_##HALF##_##FROM(PTX_CARRIER_##FROM from, enum ptx_rounding round, u32 flags)      \
    {                                                                                                        \
        u16 value = ptx_narrow_##HALF(ptx_bound(PTX_EXACT_##FROM(from, flags), flags), round, 0);            \
                                                                                                             \
        return value;                                                                                        \
    }

PTX_CVT_TO_HALF(f16, f16)
PTX_CVT_TO_HALF(f16, bf16)
PTX_CVT_TO_HALF(f16, f32)
PTX_CVT_TO_HALF(f16, f64)
PTX_CVT_TO_HALF(bf16, f16)
PTX_CVT_TO_HALF(bf16, bf16)
PTX_CVT_TO_HALF(bf16, f32)
PTX_CVT_TO_HALF(bf16, f64)

PTX_DEVICE f32 ptx_cvt_f32_f16(u16 from, enum ptx_rounding round, u32 flags)
{
    f32 value = ptx_widen_f16(from);

    (void)round;
    if (flags & PTX_FTZ)
        value = ptx_ftz_f32(value);
    return flags & PTX_SAT ? ptx_sat_f32(value) : value;
}

PTX_DEVICE f32 ptx_cvt_f32_bf16(u16 from, enum ptx_rounding round, u32 flags)
{
    f32 value = ptx_widen_bf16(from);

    (void)round;
    if (flags & PTX_FTZ)
        value = ptx_ftz_f32(value);
    return flags & PTX_SAT ? ptx_sat_f32(value) : value;
}

PTX_DEVICE f32 ptx_cvt_f32_f32(f32 value, enum ptx_rounding round, u32 flags)
{
    (void)round;
    if (flags & PTX_FTZ)
        value = ptx_ftz_f32(value);
    return flags & PTX_SAT ? ptx_sat_f32(value) : value;
}

PTX_DIRECTED(narrow, f32, f64, (f32)a)

PTX_DEVICE f32 ptx_cvt_f32_f64(f64 from, enum ptx_rounding round, u32 flags)
{
    f32 value = round == PTX_RN ? (f32)from : ptx_directed_narrow_f32(from, 0, 0, round);

    return ptx_cvt_f32_f32(value, PTX_RN, flags);
}

#define PTX_CVT_TO_DOUBLE(FROM)                                                                              \
    PTX_DEVICE f64 ptx_cvt_f64_##FROM(PTX_CARRIER_##FROM from, enum ptx_rounding round, u32 flags)           \
    {                                                                                                        \
        f64 value = PTX_EXACT_##FROM(from, flags);                                                           \
                                                                                                             \
        (void)round;                                                                                         \
        return flags & PTX_SAT ? ptx_sat_f64(value) : value;                                                 \
    }

PTX_CVT_TO_DOUBLE(f16)
PTX_CVT_TO_DOUBLE(bf16)
PTX_CVT_TO_DOUBLE(f32)
PTX_CVT_TO_DOUBLE(f64)

/* To an integer of the same type. */
PTX_DEVICE f32 ptx_rint_f32(f32 value, enum ptx_rounding round, u32 flags)
{
    return ptx_cvt_f32_f32((f32)ptx_whole(PTX_EXACT_f32(value, flags), round), PTX_RN, flags);
}

PTX_DEVICE f64 ptx_rint_f64(f64 value, enum ptx_rounding round, u32 flags)
{
    value = ptx_whole(value, round);
    return flags & PTX_SAT ? ptx_sat_f64(value) : value;
}

PTX_DEVICE u16 ptx_rint_f16(u16 value, enum ptx_rounding round, u32 flags)
{
    return ptx_narrow_f16(ptx_bound(ptx_whole(ptx_widen_f16(value), round), flags), PTX_RN, 0);
}

PTX_DEVICE u16 ptx_rint_bf16(u16 value, enum ptx_rounding round, u32 flags)
{
    return ptx_narrow_bf16(ptx_bound(ptx_whole(ptx_widen_bf16(value), round), flags), PTX_RN, 0);
}

/* Pairs and small formats: the first operand is the upper half. */
PTX_DEVICE f64 ptx_relu(f64 value, u32 flags)
{
    return ptx_bound(value, flags & PTX_RELU);
}

#define PTX_CVT_PAIR(HALF, FORMAT)                                                                           \
    PTX_DEVICE u32 ptx_cvt_##HALF##x2_f32(f32 a, f32 b, enum ptx_rounding round, u32 flags)                  \
    {                                                                                                        \
        return ptx_encode(ptx_relu(b, flags), FORMAT, round, flags) |                                        \
               ptx_encode(ptx_relu(a, flags), FORMAT, round, flags) << 16;                                   \
    }

PTX_CVT_PAIR(f16, PTX_F16)
PTX_CVT_PAIR(bf16, PTX_BF16)

PTX_DEVICE u32 ptx_cvt_tf32_f32(f32 a, enum ptx_rounding round, u32 flags)
{
    u32 value = ptx_encode(ptx_relu(a, flags), PTX_TF32, round, flags);

    return a != a ? PTX_NAN32 : value << 13;
}

/* From an e4m3 or e5m2, which is the upper byte of an f16 but for its exponent. */
PTX_DEVICE f32 ptx_widen_e5m2(u32 a)
{
    return ptx_widen_f16((u16)((a & 255) << 8));
}

PTX_DEVICE f32 ptx_widen_e4m3(u32 a)
{
    f32 value = ptx_float_b32((a & 127) << 20) * 0x1p120f;

    if ((a & 127) == 127)
        return ptx_float_b32(PTX_NAN32);
    return a & 128 ? -value : value;
}

#define PTX_CVT_SMALL(SMALL, FORMAT)                                                                         \
    PTX_DEVICE u16 ptx_cvt_##SMALL##x2_f32(f32 a, f32 b, u32 flags)                                          \
    {                                                                                                        \
        return (u16)(ptx_encode(ptx_relu(b, flags), FORMAT, PTX_RN, PTX_SAT) |                               \
                     ptx_encode(ptx_relu(a, flags), FORMAT, PTX_RN, PTX_SAT) << 8);                          \
    }                                                                                                        \
    PTX_DEVICE u16 ptx_cvt_##SMALL##x2_f16x2(u32 a, u32 flags)                                               \
    {                                                                                                        \
        return ptx_cvt_##SMALL##x2_f32(ptx_widen_f16((u16)(a >> 16)), ptx_widen_f16((u16)a), flags);         \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_cvt_f16x2_##SMALL##x2(u16 a, u32 flags)                                               \
    {                                                                                                        \
        return ptx_cvt_f16x2_f32(ptx_widen_##SMALL(a >> 8), ptx_widen_##SMALL(a), PTX_RN, flags & PTX_RELU); \
    }

PTX_CVT_SMALL(e4m3, PTX_E4M3)
PTX_CVT_SMALL(e5m2, PTX_E5M2)

#endif
