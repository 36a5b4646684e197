/* SPDX-License-Identifier: Apache-2.0 */
/* Approximate instructions: the host's functions, which are nearer to the truth than what PTX promises. */
#ifndef PTX_APPROXIMATE_H
#define PTX_APPROXIMATE_H

#define PTX_APPROXIMATE(NAME, EXPRESSION)                                                                    \
    PTX_DEVICE f32 ptx_##NAME##_approx_f32(f32 a, u32 flags)                                                 \
    {                                                                                                        \
        f32 value;                                                                                           \
                                                                                                             \
        if (flags & PTX_FTZ)                                                                                 \
            a = ptx_ftz_f32(a);                                                                              \
        value = EXPRESSION;                                                                                  \
        return flags & PTX_FTZ ? ptx_ftz_f32(value) : value;                                                 \
    }

PTX_APPROXIMATE(rcp, 1.0f / a)
PTX_APPROXIMATE(sqrt, __builtin_sqrtf(a))
PTX_APPROXIMATE(rsqrt, (f32)(1.0 / __builtin_sqrt(a)))
PTX_APPROXIMATE(sin, __builtin_sinf(a))
PTX_APPROXIMATE(cos, __builtin_cosf(a))
PTX_APPROXIMATE(ex2, __builtin_exp2f(a))
PTX_APPROXIMATE(lg2, __builtin_log2f(a))
PTX_APPROXIMATE(tanh, __builtin_tanhf(a))

PTX_DEVICE f32 ptx_div_full_f32(f32 a, f32 b, u32 flags)
{
    return ptx_div_f32(a, b, PTX_RN, flags);
}

/* a times the reciprocal of b, which is 0 for a large b. */
PTX_DEVICE f32 ptx_div_approx_f32(f32 a, f32 b, u32 flags)
{
    if (__builtin_fabsf(b) > 0x1p126f)
        return ptx_mul_f32(a, __builtin_copysignf(0.0f, b), PTX_RN, flags);
    return ptx_div_f32(a, b, PTX_RN, flags);
}

/* Of f64 the upper word is read and written alone. */
PTX_DEVICE f64 ptx_upper_f64(f64 a)
{
    return ptx_float_b64(ptx_bits_f64(a) & 0xffffffff00000000ull);
}

/* Subnormal numbers are zeros here. */
PTX_DEVICE f64 ptx_flush_f64(f64 a)
{
    return ptx_testp_subnormal_f64(a) ? ptx_copysign_f64(a, 0) : a;
}

PTX_DEVICE f64 ptx_rcp_approx_f64(f64 a)
{
    return ptx_upper_f64(ptx_flush_f64(1.0 / ptx_flush_f64(ptx_upper_f64(a))));
}

PTX_DEVICE f64 ptx_rsqrt_approx_f64(f64 a)
{
    return ptx_upper_f64(1.0 / __builtin_sqrt(ptx_flush_f64(ptx_upper_f64(a))));
}

#define PTX_APPROXIMATE_HALF(NAME, HALF, FUNCTION)                                                           \
    PTX_DEVICE u16 ptx_##NAME##_approx_##HALF(u16 a)                                                         \
    {                                                                                                        \
        return ptx_narrow_##HALF(FUNCTION((f64)ptx_widen_##HALF(a)), PTX_RN, 0);                             \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_##NAME##_approx_##HALF##x2(u32 a)                                                     \
    {                                                                                                        \
        return PTX_PAIR(ptx_##NAME##_approx_##HALF((u16)a), ptx_##NAME##_approx_##HALF((u16)(a >> 16)));     \
    }

PTX_APPROXIMATE_HALF(ex2, f16, __builtin_exp2)
PTX_APPROXIMATE_HALF(ex2, bf16, __builtin_exp2)
PTX_APPROXIMATE_HALF(tanh, f16, __builtin_tanh)
PTX_APPROXIMATE_HALF(tanh, bf16, __builtin_tanh)

#endif
