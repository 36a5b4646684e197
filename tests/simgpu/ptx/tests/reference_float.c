/* SPDX-License-Identifier: Apache-2.0 */
/* reference_float.c - floats of every width and conversions, by the C library's rounding. */
#include <fenv.h>
#include <limits.h>
#include <math.h>

#include "ptx/tests/numbers.h"
#include "ptx/tests/rows.h"

#define TWICE(f, x, y) ((u32)f((u16)(x), (u16)(y)) | (u32)f((u16)((x) >> 16), (u16)((y) >> 16)) << 16)

#define THRICE(f, x, y, z)                                                                                   \
    ((u32)f((u16)(x), (u16)(y), (u16)(z)) | (u32)f((u16)((x) >> 16), (u16)((y) >> 16), (u16)((z) >> 16))     \
                                                << 16)

static u16 add_h(u16 a, u16 b)
{
    return to_h(h(a) + h(b));
}

static u16 mul_h(u16 a, u16 b)
{
    return to_h(h(a) * h(b));
}

static u16 max_h(u16 a, u16 b)
{
    return to_h(chosen((f64)h(a), (f64)h(b), false, false));
}

static u16 add_g(u16 a, u16 b)
{
    return to_g(sticky_sum(g(a), g(b)));
}

static u16 min_g(u16 a, u16 b)
{
    return to_g(chosen((f64)g(a), (f64)g(b), true, false));
}

static u16 sub_h(u16 a, u16 b)
{
    return to_h(h(a) - h(b));
}

static u16 min_h(u16 a, u16 b)
{
    return to_h(chosen((f64)h(a), (f64)h(b), true, false));
}

static u16 fma_h(u16 a, u16 b, u16 c)
{
    return to_h(sticky_sum(h(a) * h(b), h(c)));
}

static u16 sub_g(u16 a, u16 b)
{
    return to_g(sticky_sum(g(a), -g(b)));
}

static u16 mul_g(u16 a, u16 b)
{
    return to_g(g(a) * g(b));
}

static u16 max_g(u16 a, u16 b)
{
    return to_g(chosen((f64)g(a), (f64)g(b), false, false));
}

static u16 fma_g(u16 a, u16 b, u16 c)
{
    return to_g(sticky_sum(g(a) * g(b), g(c)));
}

/* The upper word of an f64, of which subnormal numbers are zeros: all that these approximations look at. */
static f64 upper(f64 x)
{
    u64 bits;

    memcpy(&bits, &x, sizeof bits);
    bits &= 0xffffffff00000000;
    memcpy(&x, &bits, sizeof x);
    return fpclassify(x) == FP_SUBNORMAL ? copysign(0, x) : x;
}

#define EACH_ROUNDING(DO, ...)                                                                               \
    DO("rn", FE_TONEAREST, __VA_ARGS__)                                                                      \
    DO("rz", FE_TOWARDZERO, __VA_ARGS__)                                                                     \
    DO("rm", FE_DOWNWARD, __VA_ARGS__)                                                                       \
    DO("rp", FE_UPWARD, __VA_ARGS__)
#define FLOAT_ROUNDED(R, MODE, T, BITS)                                                                      \
    ROW("add." R "." #T, T, T, T, none, rounded##BITS('+', a, b, 0, MODE))                                   \
    ROW("sub." R "." #T, T, T, T, none, rounded##BITS('-', a, b, 0, MODE))                                   \
    ROW("mul." R "." #T, T, T, T, none, rounded##BITS('*', a, b, 0, MODE))                                   \
    ROW("div." R "." #T, T, T, T, none, rounded##BITS('/', a, b, 0, MODE))                                   \
    ROW("rcp." R "." #T, T, T, none, none, rounded##BITS('/', 1, a, 0, MODE))                                \
    ROW("sqrt." R "." #T, T, T, none, none, rounded##BITS('q', a, 0, 0, MODE))                               \
    ROW("fma." R "." #T, T, T, T, T, rounded##BITS('f', a, b, c, MODE))                                      \
    ROW("mad." R "." #T, T, T, T, T, rounded##BITS('f', a, b, c, MODE))
EACH_ROUNDING(FLOAT_ROUNDED, f32, 32)
EACH_ROUNDING(FLOAT_ROUNDED, f64, 64)

ROW("add.f32", f32, f32, f32, none, rounded32('+', a, b, 0, FE_TONEAREST))
ROW("mul.f64", f64, f64, f64, none, rounded64('*', a, b, 0, FE_TONEAREST))
ROW("add.ftz.f32", f32, f32, f32, none, flushed(rounded32('+', flushed(a), flushed(b), 0, FE_TONEAREST)))
ROW("mul.rn.ftz.f32", f32, f32, f32, none, flushed(rounded32('*', flushed(a), flushed(b), 0, FE_TONEAREST)))
ROW("add.sat.f32", f32, f32, f32, none, clipped(rounded32('+', a, b, 0, FE_TONEAREST)))
ROW("mul.rz.ftz.sat.f32", f32, f32, f32, none,
    clipped(flushed(rounded32('*', flushed(a), flushed(b), 0, FE_TOWARDZERO))))
ROW("fma.rn.ftz.f32", f32, f32, f32, f32,
    flushed(rounded32('f', flushed(a), flushed(b), flushed(c), FE_TONEAREST)))
ROW("fma.rn.sat.f32", f32, f32, f32, f32, clipped(rounded32('f', a, b, c, FE_TONEAREST)))
ROW("sub.ftz.f32", f32, f32, f32, none, flushed(rounded32('-', flushed(a), flushed(b), 0, FE_TONEAREST)))
ROW("sub.rp.sat.f32", f32, f32, f32, none, clipped(rounded32('-', a, b, 0, FE_UPWARD)))
ROW("mad.rm.ftz.sat.f32", f32, f32, f32, f32,
    clipped(flushed(rounded32('f', flushed(a), flushed(b), flushed(c), FE_DOWNWARD))))
ROW("div.rn.ftz.f32", f32, f32, f32, none, flushed(rounded32('/', flushed(a), flushed(b), 0, FE_TONEAREST)))
ROW("rcp.rz.ftz.f32", f32, f32, none, none, flushed(rounded32('/', 1, flushed(a), 0, FE_TOWARDZERO)))
ROW("sqrt.rp.ftz.f32", f32, f32, none, none, flushed(rounded32('q', flushed(a), 0, 0, FE_UPWARD)))
ROW("neg.ftz.f32", f32, f32, none, none, -flushed(a))
ROW("neg.f32", f32, f32, none, none, -a)
ROW("neg.f64", f64, f64, none, none, -a)
ROW("abs.f32", f32, f32, none, none, fabsf(a))
ROW("abs.f64", f64, f64, none, none, fabs(a))
ROW("abs.ftz.f32", f32, f32, none, none, fabsf(flushed(a)))
ROWF("min.f32", f32, f32, f32, none, EXACT, bits32(canonical32(chosen(a, b, true, false))))
ROWF("max.f32", f32, f32, f32, none, EXACT, bits32(canonical32(chosen(a, b, false, false))))
ROWF("min.NaN.f32", f32, f32, f32, none, EXACT, bits32(canonical32(chosen(a, b, true, true))))
ROWF("max.NaN.f32", f32, f32, f32, none, EXACT, bits32(canonical32(chosen(a, b, false, true))))
ROWF("max.ftz.f32", f32, f32, f32, none, EXACT,
     bits32(canonical32(chosen(flushed(a), flushed(b), false, false))))
ROWF("min.xorsign.abs.f32", f32, f32, f32, none, ALONE,
     isnan(a) && isnan(b)
         ? NAN
         : copysign(chosen(fabsf(a), fabsf(b), true, false), !signbit(a) == !signbit(b) ? 1 : -1))
ROWF("min.ftz.f32", f32, f32, f32, none, EXACT,
     bits32(canonical32(chosen(flushed(a), flushed(b), true, false))))
ROWF("max.xorsign.abs.f32", f32, f32, f32, none, ALONE,
     isnan(a) && isnan(b)
         ? NAN
         : copysign(chosen(fabsf(a), fabsf(b), false, false), !signbit(a) == !signbit(b) ? 1 : -1))
ROW("slct.ftz.u32.f32", u32, u32, u32, f32, flushed(c) >= 0 ? a : b)
ROW("min.f64", f64, f64, f64, none, chosen(a, b, true, false))
ROW("max.f64", f64, f64, f64, none, chosen(a, b, false, false))
ROWF("copysign.f32", f32, f32, f32, none, ALONE, copysignf(b, a))
ROWF("copysign.f64", f64, f64, f64, none, ALONE, copysign(b, a))
#define TESTP(NAME, T, ...)                                                                                  \
    ROW("testp." NAME "." #T " $p, $a; selp.u32 $d, 1, 0, $p;", u32, T, none, none, __VA_ARGS__)
#define TESTPS(T)                                                                                            \
    TESTP("finite", T, isfinite(a) != 0)                                                                     \
    TESTP("infinite", T, isinf(a) != 0)                                                                      \
    TESTP("number", T, !isnan(a))                                                                            \
    TESTP("notanumber", T, isnan(a) != 0)                                                                    \
    TESTP("normal", T, isnormal(a) || a == 0)                                                                \
    TESTP("subnormal", T, fpclassify(a) == FP_SUBNORMAL)
TESTPS(f32)
TESTPS(f64)

#define SETP(NAME, T, ...)                                                                                   \
    ROW("setp." NAME "." #T " $p, $a, $b; selp.u32 $d, 1, 0, $p;", u32, T, T, none, __VA_ARGS__)
#define SETPS(T, X, Y)                                                                                       \
    SETP("eq", T, !isunordered(X, Y) && X == Y)                                                              \
    SETP("ne", T, !isunordered(X, Y) && X != Y)                                                              \
    SETP("lt", T, isless(X, Y))                                                                              \
    SETP("le", T, islessequal(X, Y))                                                                         \
    SETP("gt", T, isgreater(X, Y))                                                                           \
    SETP("ge", T, isgreaterequal(X, Y))                                                                      \
    SETP("equ", T, isunordered(X, Y) || X == Y)                                                              \
    SETP("neu", T, isunordered(X, Y) || X != Y)                                                              \
    SETP("ltu", T, isunordered(X, Y) || X < Y)                                                               \
    SETP("leu", T, isunordered(X, Y) || X <= Y)                                                              \
    SETP("gtu", T, isunordered(X, Y) || X > Y)                                                               \
    SETP("geu", T, isunordered(X, Y) || X >= Y)                                                              \
    SETP("num", T, !isunordered(X, Y))                                                                       \
    SETP("nan", T, isunordered(X, Y))
SETPS(f32, a, b)
SETPS(f64, a, b)
SETPS(f16, h(a), h(b))
SETPS(bf16, g(a), g(b))
SETP("eq.ftz", f32, flushed(a) == flushed(b))
ROW("set.gt.f32.f32", f32, f32, f32, none, a > b ? 1.0f : 0.0f)
ROW("set.eq.u32.f64", u32, f64, f64, none, a == b ? 0xffffffff : 0)
ROW("selp.f32 $d, $a, $b, 1;", f32, f32, f32, none, a)

/* Conversions of floats. */
#define CVT_TO_INT(R, MODE, T, BITS, LOW, HIGH)                                                              \
    ROW("cvt." R "." #T ".f32", T, f32, none, none, integer(a, MODE, LOW, HIGH, false, BITS))                \
    ROW("cvt." R "." #T ".f64", T, f64, none, none, integer(a, MODE, LOW, HIGH, true, BITS))                 \
    ROW("cvt." R "." #T ".f16", T, f16, none, none, integer(h(a), MODE, LOW, HIGH, false, BITS))
#define EACH_INTEGER(R, MODE, ...)                                                                           \
    CVT_TO_INT(R, MODE, u16, 16, 0, UINT16_MAX)                                                              \
    CVT_TO_INT(R, MODE, s16, 16, INT16_MIN, INT16_MAX)                                                       \
    CVT_TO_INT(R, MODE, u32, 32, 0, UINT32_MAX)                                                              \
    CVT_TO_INT(R, MODE, s32, 32, INT32_MIN, INT32_MAX)                                                       \
    CVT_TO_INT(R, MODE, u64, 64, 0, UINT64_MAX)                                                              \
    CVT_TO_INT(R, MODE, s64, 64, INT64_MIN, INT64_MAX)
EACH_INTEGER("rni", FE_TONEAREST)
EACH_INTEGER("rzi", FE_TOWARDZERO)
EACH_INTEGER("rmi", FE_DOWNWARD)
EACH_INTEGER("rpi", FE_UPWARD)
ROW("cvt.rpi.ftz.s32.f32", s32, f32, none, none,
    integer(flushed(a), FE_UPWARD, INT32_MIN, INT32_MAX, false, 32))

#define CVT_FROM_INT(R, MODE, F)                                                                             \
    ROW("cvt." R ".f32." #F, f32, F, none, none, narrow32(a, MODE))                                          \
    ROW("cvt." R ".f64." #F, f64, F, none, none, narrow64(a, MODE))                                          \
    ROW("cvt." R ".f16." #F, f16, F, none, none, half_nearest(a, 5, MODE))
EACH_ROUNDING(CVT_FROM_INT, u16)
EACH_ROUNDING(CVT_FROM_INT, s16)
EACH_ROUNDING(CVT_FROM_INT, u32)
EACH_ROUNDING(CVT_FROM_INT, s32)
EACH_ROUNDING(CVT_FROM_INT, u64)
EACH_ROUNDING(CVT_FROM_INT, s64)

#define CVT_FLOATS(R, MODE, ...)                                                                             \
    ROW("cvt." R ".f32.f64", f32, f64, none, none, narrow32(a, MODE))                                        \
    ROW("cvt." R ".f16.f32", f16, f32, none, none, half_nearest(a, 5, MODE))                                 \
    ROW("cvt." R ".f16.f64", f16, f64, none, none, half_nearest(a, 5, MODE))
EACH_ROUNDING(CVT_FLOATS, )
ROW("cvt.rn.bf16.f32", bf16, f32, none, none, to_g(a))
ROW("cvt.rz.bf16.f32", bf16, f32, none, none, half_nearest(a, 8, FE_TOWARDZERO))
ROW("cvt.rn.f16x2.f32", f16x2, f32, f32, none, (u32)to_h(a) << 16 | to_h(b))
ROW("cvt.rn.relu.f16x2.f32", f16x2, f32, f32, none, (u32)to_h(a <= 0 ? 0 : a) << 16 | to_h(b <= 0 ? 0 : b))
ROW("cvt.rn.bf16x2.f32", bf16x2, f32, f32, none, (u32)to_g(a) << 16 | to_g(b))
ROW("cvt.f32.f16", f32, f16, none, none, h(a))
ROW("cvt.f64.f16", f64, f16, none, none, h(a))
ROW("cvt.f32.bf16", f32, bf16, none, none, g(a))
ROW("cvt.f64.f32", f64, f32, none, none, a)
ROW("cvt.ftz.f64.f32", f64, f32, none, none, flushed(a))
ROW("cvt.sat.f32.f32", f32, f32, none, none, clipped(a))
ROW("cvt.rni.f32.f32", f32, f32, none, none, rintf(a))
ROW("cvt.rzi.f32.f32", f32, f32, none, none, truncf(a))
ROW("cvt.rmi.f64.f64", f64, f64, none, none, floor(a))
ROW("cvt.rpi.ftz.f32.f32", f32, f32, none, none, ceilf(flushed(a)))
ROW("cvt.rni.f16.f16", f16, f16, none, none, to_h(rintl(h(a))))

/* Halves: exact sums in a long double, but for those that are sticky. */
ROWF("add.f16", f16, f16, f16, none, EXACT, to_h(h(a) + h(b)))
ROWF("sub.f16", f16, f16, f16, none, EXACT, to_h(h(a) - h(b)))
ROWF("mul.f16", f16, f16, f16, none, EXACT, to_h(h(a) * h(b)))
ROWF("fma.rn.f16", f16, f16, f16, f16, EXACT, to_h(sticky_sum(h(a) * h(b), h(c))))
ROWF("add.ftz.f16", f16, f16, f16, none, EXACT, flush_h(to_h(h(flush_h(a)) + h(flush_h(b)))))
ROWF("mul.sat.f16", f16, f16, f16, none, EXACT, to_h(clipped((f64)(h(a) * h(b)))))
ROWF("fma.rn.relu.f16", f16, f16, f16, f16, EXACT,
     sticky_sum(h(a) * h(b), h(c)) <= 0 ? 0 : to_h(sticky_sum(h(a) * h(b), h(c))))
ROWF("min.f16", f16, f16, f16, none, EXACT, to_h(chosen((f64)h(a), (f64)h(b), true, false)))
ROWF("max.NaN.f16", f16, f16, f16, none, EXACT, to_h(chosen((f64)h(a), (f64)h(b), false, true)))
ROWF("neg.f16", f16, f16, none, none, 0, a ^ 0x8000)
ROWF("abs.f16", f16, f16, none, none, 0, a & 0x7fff)
ROWF("fma.rn.bf16", bf16, bf16, bf16, bf16, EXACT, to_g(sticky_sum(g(a) * g(b), g(c))))
ROWF("add.rn.bf16", bf16, bf16, bf16, none, EXACT, add_g(a, b))
ROWF("mul.rn.bf16", bf16, bf16, bf16, none, EXACT, to_g(g(a) * g(b)))
ROWF("max.bf16", bf16, bf16, bf16, none, EXACT, to_g(chosen((f64)g(a), (f64)g(b), false, false)))
ROWF("neg.bf16", bf16, bf16, none, none, 0, a ^ 0x8000)
ROWF("abs.bf16", bf16, bf16, none, none, 0, a & 0x7fff)
ROWF("add.f16x2", f16x2, f16x2, f16x2, none, EXACT, TWICE(add_h, a, b))
ROWF("mul.f16x2", f16x2, f16x2, f16x2, none, EXACT, TWICE(mul_h, a, b))
ROWF("max.f16x2", f16x2, f16x2, f16x2, none, EXACT, TWICE(max_h, a, b))
ROWF("min.bf16x2", bf16x2, bf16x2, bf16x2, none, EXACT, TWICE(min_g, a, b))

ROWF("sub.ftz.f16", f16, f16, f16, none, EXACT, flush_h(to_h(h(flush_h(a)) - h(flush_h(b)))))
ROWF("neg.ftz.f16", f16, f16, none, none, 0, flush_h(a) ^ 0x8000)
ROWF("abs.ftz.f16", f16, f16, none, none, 0, flush_h(a) & 0x7fff)
ROWF("min.ftz.f16", f16, f16, f16, none, EXACT,
     to_h(chosen((f64)h(flush_h(a)), (f64)h(flush_h(b)), true, false)))
ROWF("max.f16", f16, f16, f16, none, EXACT, max_h(a, b))
ROWF("min.NaN.f16", f16, f16, f16, none, EXACT, to_h(chosen((f64)h(a), (f64)h(b), true, true)))
ROWF("sub.rn.bf16", bf16, bf16, bf16, none, EXACT, sub_g(a, b))
ROWF("min.bf16", bf16, bf16, bf16, none, EXACT, min_g(a, b))
ROWF("max.NaN.bf16", bf16, bf16, bf16, none, EXACT, to_g(chosen((f64)g(a), (f64)g(b), false, true)))
ROWF("fma.rn.relu.bf16", bf16, bf16, bf16, bf16, EXACT,
     sticky_sum(g(a) * g(b), g(c)) <= 0 ? 0 : fma_g(a, b, c))
ROWF("sub.f16x2", f16x2, f16x2, f16x2, none, EXACT, TWICE(sub_h, a, b))
ROWF("fma.rn.f16x2", f16x2, f16x2, f16x2, f16x2, EXACT, THRICE(fma_h, a, b, c))
ROWF("min.f16x2", f16x2, f16x2, f16x2, none, EXACT, TWICE(min_h, a, b))
ROWF("neg.f16x2", f16x2, f16x2, none, none, 0, a ^ 0x80008000)
ROWF("abs.f16x2", f16x2, f16x2, none, none, 0, a & 0x7fff7fff)
ROWF("add.rn.bf16x2", bf16x2, bf16x2, bf16x2, none, EXACT, TWICE(add_g, a, b))
ROWF("sub.rn.bf16x2", bf16x2, bf16x2, bf16x2, none, EXACT, TWICE(sub_g, a, b))
ROWF("mul.rn.bf16x2", bf16x2, bf16x2, bf16x2, none, EXACT, TWICE(mul_g, a, b))
ROWF("fma.rn.bf16x2", bf16x2, bf16x2, bf16x2, bf16x2, EXACT, THRICE(fma_g, a, b, c))
ROWF("max.bf16x2", bf16x2, bf16x2, bf16x2, none, EXACT, TWICE(max_g, a, b))
ROWF("neg.bf16x2", bf16x2, bf16x2, none, none, 0, a ^ 0x80008000)
ROWF("abs.bf16x2", bf16x2, bf16x2, none, none, 0, a & 0x7fff7fff)

/* Small floats, and what is left. */
ROW("cvt.rn.satfinite.e4m3x2.f32", u16, f32, f32, none, to_small(a, b, 4, 0x7e))
ROW("cvt.rn.satfinite.e5m2x2.f32", u16, f32, f32, none, to_small(a, b, 5, 0x7b))
ROW("cvt.rn.f16x2.e4m3x2", f16x2, u16, none, none, from_small(a & 255, 4) | (u32)from_small(a >> 8, 4) << 16)
ROW("cvt.rn.f16x2.e5m2x2", f16x2, u16, none, none, from_small(a & 255, 5) | (u32)from_small(a >> 8, 5) << 16)
ROW("cvt.rna.tf32.f32", u32, f32, none, none,
    isnan(a)   ? 0x7fffffff
    : isinf(a) ? canonical32(a)
               : (canonical32(a) + 0x1000) & ~0x1fffu)
ROW("cvt.rn.relu.f16.f32", f16, f32, none, none, to_h(a <= 0 ? 0 : a))
ROW("cvt.rn.satfinite.f16x2.f32", f16x2, f32, f32, none,
    (isnan(a)     ? 0x7fffu
     : a > 65504  ? 0x7bffu
     : a < -65504 ? 0xfbffu
                  : to_h(a))
            << 16 |
        (isnan(b)     ? 0x7fffu
         : b > 65504  ? 0x7bffu
         : b < -65504 ? 0xfbffu
                      : to_h(b)))
ROW("setp.lt.and.f32 $p, $a, $b, 1; selp.u32 $d, 1, 0, $p;", u32, f32, f32, none, isless(a, b))

/* Approximations, and how far they may be off. */
NEAR("rcp.approx.f32", f32, f32, none, none, 0x1p-22, 0, 1.0 / a)
NEAR("rcp.approx.ftz.f32", f32, f32, none, none, 0x1p-22, 0, flushed((f32)(1.0 / flushed(a))))
NEAR("sqrt.approx.f32", f32, f32, none, none, 0x1p-22, 0, sqrt(a))
NEAR("rsqrt.approx.f32", f32, f32, none, none, 0x1p-22, 0, 1 / sqrt(a))
NEAR("ex2.approx.f32", f32, f32, none, none, 0x1p-21, 0x1p-149, exp2(a))
NEAR("lg2.approx.f32", f32, f32, none, none, 0x1p-22, 0x1p-22, log2(a))
NEAR("tanh.approx.f32", f32, f32, none, none, 0x1p-10, 0, tanh(a))
NEAR("sin.approx.f32", f32, f32, none, none, 0x1p-20, 0x1p-20, sin(a))
NEAR("cos.approx.f32", f32, f32, none, none, 0x1p-20, 0x1p-20, cos(a))
NEAR("div.full.f32", f32, f32, f32, none, 0x1p-21, 0x1p-148, (f64)a / b)
NEAR("div.approx.f32", f32, f32, f32, none, 0x1p-21, 0x1p-148,
     fabsf(b) > 0x1p126f && !isinf(b)
         ? (isinf(a) || isnan(a) ? NAN : copysign(0, signbit(a) == signbit(b) ? 1 : -1))
         : (f64)a / b)
NEAR("ex2.approx.f16", f16, f16, none, none, 0x1p-9, 0x1p-24, to_h(exp2l(h(a))))
NEAR("tanh.approx.f16", f16, f16, none, none, 0x1p-9, 0x1p-24, to_h(tanhl(h(a))))
NEAR("div.full.ftz.f32", f32, f32, f32, none, 0x1p-21, 0, flushed((f32)((f64)flushed(a) / flushed(b))))
NEAR("sqrt.approx.ftz.f32", f32, f32, none, none, 0x1p-22, 0, sqrt(flushed(a)))
NEAR("rsqrt.approx.ftz.f32", f32, f32, none, none, 0x1p-22, 0, 1 / sqrt(flushed(a)))
NEAR("ex2.approx.ftz.f32", f32, f32, none, none, 0x1p-21, 0, flushed((f32)exp2(flushed(a))))
NEAR("lg2.approx.ftz.f32", f32, f32, none, none, 0x1p-22, 0x1p-22, log2(flushed(a)))
NEAR("sin.approx.ftz.f32", f32, f32, none, none, 0x1p-20, 0x1p-20, sin(flushed(a)))
NEAR("cos.approx.ftz.f32", f32, f32, none, none, 0x1p-20, 0x1p-20, cos(flushed(a)))
NEAR("rcp.approx.ftz.f64", f64, f64, none, none, 0x1p-19, 0, upper(1 / upper(a)))
NEAR("rsqrt.approx.f64", f64, f64, none, none, 0x1p-19, 0, 1 / sqrt(upper(a)))
NEAR("rsqrt.approx.ftz.f64", f64, f64, none, none, 0x1p-19, 0, 1 / sqrt(upper(a)))
NEAR("ex2.approx.ftz.bf16", bf16, bf16, none, none, 0x1p-7, 0, to_g(exp2l(g(a))))
NEAR("tanh.approx.bf16", bf16, bf16, none, none, 0x1p-7, 0, to_g(tanhl(g(a))))

/* Each half of a pair by itself. */
#define NEAR_HALVES(TEXT, HALF, RELATIVE, ABSOLUTE, F)                                                       \
    NEAR("{ .reg .b16 low, high; .reg .b32 both; " TEXT                                                      \
         " both, $a; mov.b32 {low, high}, both; mov.b16 $d, low; }",                                         \
         HALF, HALF##x2, none, none, RELATIVE, ABSOLUTE, F((u16)a))                                          \
    NEAR("{ .reg .b16 low, high; .reg .b32 both; " TEXT                                                      \
         " both, $a; mov.b32 {low, high}, both; mov.b16 $d, high; }",                                        \
         HALF, HALF##x2, none, none, RELATIVE, ABSOLUTE, F((u16)(a >> 16)))
#define EX2_H(x)  to_h(exp2l(h(x)))
#define TANH_H(x) to_h(tanhl(h(x)))
#define EX2_G(x)  to_g(exp2l(g(x)))
#define TANH_G(x) to_g(tanhl(g(x)))
NEAR_HALVES("ex2.approx.f16x2", f16, 0x1p-9, 0x1p-24, EX2_H)
NEAR_HALVES("tanh.approx.f16x2", f16, 0x1p-9, 0x1p-24, TANH_H)
NEAR_HALVES("ex2.approx.ftz.bf16x2", bf16, 0x1p-7, 0, EX2_G)
NEAR_HALVES("tanh.approx.bf16x2", bf16, 0x1p-7, 0, TANH_G)

/* Two words at once, by each half of the result. */
#define WORDS_OF(TEXT, LOW, HIGH)                                                                            \
    ROW("{ .reg .b64 x, y, z; mov.b64 x, {$a, $b}; mov.b64 y, {$c, $a}; mov.b64 z, {$b, $c}; " TEXT          \
        "; mov.b64 {$d, _}, x; }",                                                                           \
        f32, f32, f32, f32, LOW)                                                                             \
    ROW("{ .reg .b64 x, y, z; mov.b64 x, {$a, $b}; mov.b64 y, {$c, $a}; mov.b64 z, {$b, $c}; " TEXT          \
        "; mov.b64 {_, $d}, x; }",                                                                           \
        f32, f32, f32, f32, HIGH)
#define WORDS_ROUNDED(R, MODE, ...)                                                                          \
    WORDS_OF("add." R ".f32x2 x, x, y", rounded32('+', a, c, 0, MODE), rounded32('+', b, a, 0, MODE))        \
    WORDS_OF("sub." R ".f32x2 x, x, y", rounded32('-', a, c, 0, MODE), rounded32('-', b, a, 0, MODE))        \
    WORDS_OF("mul." R ".f32x2 x, x, y", rounded32('*', a, c, 0, MODE), rounded32('*', b, a, 0, MODE))        \
    WORDS_OF("fma." R ".f32x2 x, x, y, z", rounded32('f', a, c, b, MODE), rounded32('f', b, a, c, MODE))
#define FLUSHED(OPERATION, X, Y, Z)                                                                          \
    flushed(rounded32(OPERATION, flushed(X), flushed(Y), flushed(Z), FE_TONEAREST))
EACH_ROUNDING(WORDS_ROUNDED, )
WORDS_OF("add.ftz.f32x2 x, x, y", FLUSHED('+', a, c, 0), FLUSHED('+', b, a, 0))
WORDS_OF("sub.rn.ftz.f32x2 x, x, y", FLUSHED('-', a, c, 0), FLUSHED('-', b, a, 0))
WORDS_OF("mul.ftz.f32x2 x, x, y", FLUSHED('*', a, c, 0), FLUSHED('*', b, a, 0))
WORDS_OF("fma.rn.ftz.f32x2 x, x, y, z", FLUSHED('f', a, c, b), FLUSHED('f', b, a, c))

/* A half and a word. */
#define MIXED_ROUNDED(R, MODE, F, WIDE)                                                                      \
    ROW("add." R ".f32." #F, f32, F, f32, none, rounded32('+', WIDE(a), b, 0, MODE))                         \
    ROW("sub." R ".f32." #F, f32, F, f32, none, rounded32('-', WIDE(a), b, 0, MODE))                         \
    ROW("fma." R ".f32." #F, f32, F, F, f32, rounded32('f', WIDE(a), WIDE(b), c, MODE))
EACH_ROUNDING(MIXED_ROUNDED, f16, h)
EACH_ROUNDING(MIXED_ROUNDED, bf16, g)
ROW("add.sat.f32.f16", f32, f16, f32, none, clipped(rounded32('+', h(a), b, 0, FE_TONEAREST)))
ROW("sub.sat.f32.bf16", f32, bf16, f32, none, clipped(rounded32('-', g(a), b, 0, FE_TONEAREST)))
ROW("fma.rn.sat.f32.f16", f32, f16, f16, f32, clipped(rounded32('f', h(a), h(b), c, FE_TONEAREST)))

/* Three words. */
#define CHOSEN3(LEAST, NAN_TOO, X, Y, Z)                                                                     \
    bits32(canonical32(chosen(chosen(X, Y, LEAST, NAN_TOO), Z, LEAST, NAN_TOO)))
#define CHOOSE3(NAME, LEAST)                                                                                 \
    ROWF(NAME ".f32", f32, f32, f32, f32, EXACT, CHOSEN3(LEAST, false, a, b, c))                             \
    ROWF(NAME ".NaN.f32", f32, f32, f32, f32, EXACT, CHOSEN3(LEAST, true, a, b, c))                          \
    ROWF(NAME ".ftz.f32", f32, f32, f32, f32, EXACT,                                                         \
         CHOSEN3(LEAST, false, flushed(a), flushed(b), flushed(c)))                                          \
    ROWF(NAME ".abs.f32", f32, f32, f32, f32, EXACT, CHOSEN3(LEAST, false, fabsf(a), fabsf(b), fabsf(c)))    \
    ROWF(NAME ".ftz.NaN.abs.f32", f32, f32, f32, f32, EXACT,                                                 \
         CHOSEN3(LEAST, true, fabsf(flushed(a)), fabsf(flushed(b)), fabsf(flushed(c))))
CHOOSE3("min", true)
CHOOSE3("max", false)

/* Both halves of a pair, each combined with the same predicate. */
#define COMBINED(BY, SIGN)                                                                                   \
    ROW("{ .reg .pred x, y, z; setp.lt.s32 z, $c, 0; setp.lt." BY                                            \
        ".f16x2 x|y, $a, $b, z; selp.u32 $d, 1, 0, "                                                         \
        "x; @y or.b32 $d, $d, 2; }",                                                                         \
        u32, f16x2, f16x2, s32,                                                                              \
        ((isless(h((u16)a), h((u16)b)) != 0) SIGN(c < 0)) |                                                  \
            ((isless(h((u16)(a >> 16)), h((u16)(b >> 16))) != 0) SIGN(c < 0)) << 1)                          \
    ROW("{ .reg .pred x, y, z; setp.lt.s32 z, $c, 0; setp.neu." BY                                           \
        ".bf16x2 x|y, $a, $b, !z; selp.u32 $d, 1, 0, x; @y or.b32 $d, $d, 2; }",                             \
        u32, bf16x2, bf16x2, s32,                                                                            \
        (!(g((u16)a) == g((u16)b)) SIGN(c >= 0)) | (!(g((u16)(a >> 16)) == g((u16)(b >> 16))) SIGN(c >= 0))  \
                                                       << 1)
COMBINED("and", &)
COMBINED("or", |)
COMBINED("xor", ^)
