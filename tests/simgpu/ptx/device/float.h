/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic of f32 and f64 as IEEE 754 has it, in each direction of rounding. The payload of a NaN is not kept on
 * hardware; here it is whatever the host gives, except where PTX says which NaN it is.
 */
#ifndef PTX_FLOAT_H
#define PTX_FLOAT_H

#define PTX_NAN32 0x7fffffffu
#define PTX_NAN64 0x7fffffffffffffffull

#define PTX_BITS(FLOAT, BITS)                                                                                \
    PTX_DEVICE u##BITS ptx_bits_##FLOAT(FLOAT value)                                                         \
    {                                                                                                        \
        u##BITS bits;                                                                                        \
                                                                                                             \
        __builtin_memcpy(&bits, &value, sizeof bits);                                                        \
        return bits;                                                                                         \
    }                                                                                                        \
    PTX_DEVICE FLOAT ptx_float_b##BITS(u##BITS bits)                                                         \
    {                                                                                                        \
        FLOAT value;                                                                                         \
                                                                                                             \
        __builtin_memcpy(&value, &bits, sizeof value);                                                       \
        return value;                                                                                        \
    }

PTX_BITS(f32, 32)
PTX_BITS(f64, 64)

/* The processor's direction of rounding, while it is another than to nearest. PTX_HOLD keeps a value's computation
 * from moving past it. */
#if defined(__x86_64__)
#define PTX_HOLD(value) __asm__ volatile("" : "+x"(value))

PTX_DEVICE void ptx_direction(enum ptx_rounding round)
{
    u32 control = __builtin_ia32_stmxcsr() & ~0x6000u;

    control |= round == PTX_RZ ? 0x6000 : round == PTX_RM ? 0x2000 : round == PTX_RP ? 0x4000 : 0;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
}
#elif defined(__aarch64__)
#define PTX_HOLD(value) __asm__ volatile("" : "+w"(value))

PTX_DEVICE void ptx_direction(enum ptx_rounding round)
{
    u64 control, mode = round == PTX_RZ ? 3 : round == PTX_RM ? 2 : round == PTX_RP ? 1 : 0;

    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control = (control & ~((u64)3 << 22)) | mode << 22;
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}
#else
#error "no rounding for this machine"
#endif

/*
 * ptx_directed_NAME_TYPE(a, b, c, round): EXPRESSION of a and b and c, rounded in that direction. A function of its own,
 * never inlined: the compiler would move what is rounded to nearest in between.
 */
#define PTX_DIRECTED(NAME, FLOAT, FROM, EXPRESSION)                                                          \
    PTX_COLD                                                                                                 \
    FLOAT ptx_directed_##NAME##_##FLOAT(FROM a, FROM b, FROM c, enum ptx_rounding round)                     \
    {                                                                                                        \
        FLOAT value;                                                                                         \
                                                                                                             \
        ptx_direction(round);                                                                                \
        PTX_HOLD(a);                                                                                         \
        PTX_HOLD(b);                                                                                         \
        PTX_HOLD(c);                                                                                         \
        value = EXPRESSION;                                                                                  \
        PTX_HOLD(value);                                                                                     \
        ptx_direction(PTX_RN);                                                                               \
        return value;                                                                                        \
    }

PTX_DEVICE f32 ptx_ftz_f32(f32 value)
{
    u32 bits = ptx_bits_f32(value);

    return (bits & 0x7f800000) == 0 ? ptx_float_b32(bits & 0x80000000) : value;
}

/* f64 has no such modifier; the generated functions below name it all the same. */
PTX_DEVICE f64 ptx_ftz_f64(f64 value)
{
    return value;
}

/* +0 for what is not above it, NaN included. */
PTX_DEVICE f32 ptx_sat_f32(f32 value)
{
    return value > 0.0f ? value < 1.0f ? value : 1.0f : 0.0f;
}

PTX_DEVICE f64 ptx_sat_f64(f64 value)
{
    return value > 0.0 ? value < 1.0 ? value : 1.0 : 0.0;
}

PTX_DEVICE f32 ptx_fma_host_f32(f32 a, f32 b, f32 c)
{
    return __builtin_fmaf(a, b, c);
}

PTX_DEVICE f64 ptx_fma_host_f64(f64 a, f64 b, f64 c)
{
    return __builtin_fma(a, b, c);
}

#define PTX_ROUNDED(round, NAME, FLOAT, a, b, c, EXPRESSION)                                                 \
    ((round) == PTX_RN ? (EXPRESSION) : ptx_directed_##NAME##_##FLOAT(a, b, c, round))

#define PTX_ARITHMETIC2(NAME, FLOAT, EXPRESSION)                                                             \
    PTX_DIRECTED(NAME, FLOAT, FLOAT, EXPRESSION)                                                             \
    PTX_DEVICE FLOAT ptx_##NAME##_##FLOAT(FLOAT a, FLOAT b, enum ptx_rounding round, u32 flags)              \
    {                                                                                                        \
        FLOAT value;                                                                                         \
                                                                                                             \
        if (flags & PTX_FTZ) {                                                                               \
            a = ptx_ftz_##FLOAT(a);                                                                          \
            b = ptx_ftz_##FLOAT(b);                                                                          \
        }                                                                                                    \
        value = PTX_ROUNDED(round, NAME, FLOAT, a, b, 0, EXPRESSION);                                        \
        if (flags & PTX_FTZ)                                                                                 \
            value = ptx_ftz_##FLOAT(value);                                                                  \
        return flags & PTX_SAT ? ptx_sat_##FLOAT(value) : value;                                             \
    }

PTX_ARITHMETIC2(add, f32, a + b)
PTX_ARITHMETIC2(sub, f32, a - b)
PTX_ARITHMETIC2(mul, f32, a *b)
PTX_ARITHMETIC2(div, f32, a / b)
PTX_ARITHMETIC2(add, f64, a + b)
PTX_ARITHMETIC2(sub, f64, a - b)
PTX_ARITHMETIC2(mul, f64, a *b)
PTX_ARITHMETIC2(div, f64, a / b)

#define PTX_ARITHMETIC3(FLOAT)                                                                               \
    PTX_DIRECTED(fma, FLOAT, FLOAT, ptx_fma_host_##FLOAT(a, b, c))                                           \
    PTX_DEVICE FLOAT ptx_fma_##FLOAT(FLOAT a, FLOAT b, FLOAT c, enum ptx_rounding round, u32 flags)          \
    {                                                                                                        \
        FLOAT value;                                                                                         \
                                                                                                             \
        if (flags & PTX_FTZ) {                                                                               \
            a = ptx_ftz_##FLOAT(a);                                                                          \
            b = ptx_ftz_##FLOAT(b);                                                                          \
            c = ptx_ftz_##FLOAT(c);                                                                          \
        }                                                                                                    \
        value = PTX_ROUNDED(round, fma, FLOAT, a, b, c, ptx_fma_host_##FLOAT(a, b, c));                      \
        if (flags & PTX_FTZ)                                                                                 \
            value = ptx_ftz_##FLOAT(value);                                                                  \
        return flags & PTX_SAT ? ptx_sat_##FLOAT(value) : value;                                             \
    }

PTX_ARITHMETIC3(f32)
PTX_ARITHMETIC3(f64)

#define PTX_ARITHMETIC1(NAME, FLOAT, EXPRESSION)                                                             \
    PTX_DIRECTED(NAME, FLOAT, FLOAT, EXPRESSION)                                                             \
    PTX_DEVICE FLOAT ptx_##NAME##_##FLOAT(FLOAT a, enum ptx_rounding round, u32 flags)                       \
    {                                                                                                        \
        FLOAT value;                                                                                         \
                                                                                                             \
        if (flags & PTX_FTZ)                                                                                 \
            a = ptx_ftz_##FLOAT(a);                                                                          \
        value = PTX_ROUNDED(round, NAME, FLOAT, a, 0, 0, EXPRESSION);                                        \
        return flags & PTX_FTZ ? ptx_ftz_##FLOAT(value) : value;                                             \
    }

PTX_ARITHMETIC1(rcp, f32, 1.0f / a)
PTX_ARITHMETIC1(rcp, f64, 1.0 / a)
PTX_ARITHMETIC1(sqrt, f32, __builtin_sqrtf(a))
PTX_ARITHMETIC1(sqrt, f64, __builtin_sqrt(a))

/*
 * The sign: a NaN keeps it or loses it, which PTX leaves open. min and max: a NaN is no number to choose, -0 is less
 * than +0, and two NaNs give the canonical one.
 */
#define PTX_CHOOSE(FLOAT, BITS, SIGN, CANONICAL)                                                             \
    PTX_DEVICE FLOAT ptx_abs_##FLOAT(FLOAT a, u32 flags)                                                     \
    {                                                                                                        \
        if (flags & PTX_FTZ)                                                                                 \
            a = ptx_ftz_##FLOAT(a);                                                                          \
        return ptx_float_b##BITS(ptx_bits_##FLOAT(a) & ~SIGN);                                               \
    }                                                                                                        \
    PTX_DEVICE FLOAT ptx_neg_##FLOAT(FLOAT a, u32 flags)                                                     \
    {                                                                                                        \
        if (flags & PTX_FTZ)                                                                                 \
            a = ptx_ftz_##FLOAT(a);                                                                          \
        return ptx_float_b##BITS(ptx_bits_##FLOAT(a) ^ SIGN);                                                \
    }                                                                                                        \
    PTX_DEVICE FLOAT ptx_copysign_##FLOAT(FLOAT a, FLOAT b)                                                  \
    {                                                                                                        \
        return ptx_float_b##BITS((ptx_bits_##FLOAT(a) & SIGN) | (ptx_bits_##FLOAT(b) & ~SIGN));              \
    }                                                                                                        \
    PTX_DEVICE FLOAT ptx_choose_##FLOAT(FLOAT a, FLOAT b, bool least, u32 flags)                             \
    {                                                                                                        \
        u##BITS sign = (ptx_bits_##FLOAT(a) ^ ptx_bits_##FLOAT(b)) & SIGN;                                   \
        FLOAT value;                                                                                         \
                                                                                                             \
        if (flags & PTX_FTZ) {                                                                               \
            a = ptx_ftz_##FLOAT(a);                                                                          \
            b = ptx_ftz_##FLOAT(b);                                                                          \
        }                                                                                                    \
        if (flags & PTX_XORSIGN) {                                                                           \
            a = ptx_abs_##FLOAT(a, 0);                                                                       \
            b = ptx_abs_##FLOAT(b, 0);                                                                       \
        }                                                                                                    \
        if ((a != a && b != b) || ((flags & PTX_NAN) && (a != a || b != b)))                                 \
            return ptx_float_b##BITS(CANONICAL);                                                             \
        if (a != a || b != b)                                                                                \
            value = a != a ? b : a;                                                                          \
        else if (a == b)                                                                                     \
            value = ((ptx_bits_##FLOAT(a) & SIGN) != 0) == least ? a : b;                                    \
        else                                                                                                 \
            value = (a < b) == least ? a : b;                                                                \
        if (flags & PTX_XORSIGN)                                                                             \
            value = ptx_float_b##BITS(ptx_bits_##FLOAT(value) | sign);                                       \
        return value;                                                                                        \
    }                                                                                                        \
    PTX_DEVICE FLOAT ptx_min_##FLOAT(FLOAT a, FLOAT b, u32 flags)                                            \
    {                                                                                                        \
        return ptx_choose_##FLOAT(a, b, true, flags);                                                        \
    }                                                                                                        \
    PTX_DEVICE FLOAT ptx_max_##FLOAT(FLOAT a, FLOAT b, u32 flags)                                            \
    {                                                                                                        \
        return ptx_choose_##FLOAT(a, b, false, flags);                                                       \
    }

PTX_CHOOSE(f32, 32, 0x80000000u, PTX_NAN32)
PTX_CHOOSE(f64, 64, 0x8000000000000000ull, PTX_NAN64)

/* A zero is a normal number. */
#define PTX_TEST(FLOAT, BITS, EXPONENT, FRACTION)                                                            \
    PTX_DEVICE bool ptx_testp_finite_##FLOAT(FLOAT a)                                                        \
    {                                                                                                        \
        return (ptx_bits_##FLOAT(a) & EXPONENT) != EXPONENT;                                                 \
    }                                                                                                        \
    PTX_DEVICE bool ptx_testp_infinite_##FLOAT(FLOAT a)                                                      \
    {                                                                                                        \
        return (ptx_bits_##FLOAT(a) & (EXPONENT | FRACTION)) == EXPONENT;                                    \
    }                                                                                                        \
    PTX_DEVICE bool ptx_testp_notanumber_##FLOAT(FLOAT a)                                                    \
    {                                                                                                        \
        return a != a;                                                                                       \
    }                                                                                                        \
    PTX_DEVICE bool ptx_testp_number_##FLOAT(FLOAT a)                                                        \
    {                                                                                                        \
        return a == a;                                                                                       \
    }                                                                                                        \
    PTX_DEVICE bool ptx_testp_subnormal_##FLOAT(FLOAT a)                                                     \
    {                                                                                                        \
        u##BITS bits = ptx_bits_##FLOAT(a);                                                                  \
                                                                                                             \
        return (bits & EXPONENT) == 0 && (bits & FRACTION) != 0;                                             \
    }                                                                                                        \
    PTX_DEVICE bool ptx_testp_normal_##FLOAT(FLOAT a)                                                        \
    {                                                                                                        \
        return ptx_testp_finite_##FLOAT(a) && !ptx_testp_subnormal_##FLOAT(a);                               \
    }

PTX_TEST(f32, 32, 0x7f800000u, 0x007fffffu)
PTX_TEST(f64, 64, 0x7ff0000000000000ull, 0x000fffffffffffffull)

#define PTX_CHOOSE3(NAME)                                                                                    \
    PTX_DEVICE f32 ptx_##NAME##3_f32(f32 a, f32 b, f32 c, u32 flags)                                         \
    {                                                                                                        \
        return ptx_##NAME##_f32(ptx_##NAME##_f32(a, b, flags), c, flags);                                    \
    }                                                                                                        \
    PTX_DEVICE f32 ptx_##NAME##3_abs_f32(f32 a, f32 b, f32 c, u32 flags)                                     \
    {                                                                                                        \
        return ptx_##NAME##3_f32(ptx_abs_f32(a, 0), ptx_abs_f32(b, 0), ptx_abs_f32(c, 0), flags);            \
    }

PTX_CHOOSE3(min)
PTX_CHOOSE3(max)

/* Two in a word of 64 bits. */
PTX_DEVICE u64 ptx_pair_f32(f32 low, f32 high)
{
    return (u64)ptx_bits_f32(high) << 32 | ptx_bits_f32(low);
}

#define PTX_LOW(x)  ptx_float_b32((u32)(x))
#define PTX_HIGH(x) ptx_float_b32((u32)((x) >> 32))
#define PTX_FLOATS(NAME)                                                                                     \
    PTX_DEVICE u64 ptx_##NAME##_f32x2(u64 a, u64 b, u32 rounding, u32 flags)                                 \
    {                                                                                                        \
        return ptx_pair_f32(ptx_##NAME##_f32(PTX_LOW(a), PTX_LOW(b), rounding, flags),                       \
                            ptx_##NAME##_f32(PTX_HIGH(a), PTX_HIGH(b), rounding, flags));                    \
    }

PTX_FLOATS(add)
PTX_FLOATS(sub)
PTX_FLOATS(mul)

PTX_DEVICE u64 ptx_fma_f32x2(u64 a, u64 b, u64 c, u32 rounding, u32 flags)
{
    return ptx_pair_f32(ptx_fma_f32(PTX_LOW(a), PTX_LOW(b), PTX_LOW(c), rounding, flags),
                        ptx_fma_f32(PTX_HIGH(a), PTX_HIGH(b), PTX_HIGH(c), rounding, flags));
}

#endif
