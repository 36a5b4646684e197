/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/tests/numbers.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

f32 flushed(f32 x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

f64 clipped(f64 x)
{
    return isnan(x) || x <= 0 ? 0 : fmin(x, 1);
}

f32 rounded32(char operation, f32 x, f32 y, f32 z, int mode)
{
    volatile f32 a = x, b = y, c = z, value = 0;

    fesetround(mode);
    if (operation == '+')
        value = a + b;
    else if (operation == '-')
        value = a - b;
    else if (operation == '*')
        value = a * b;
    else if (operation == '/')
        value = a / b;
    else if (operation == 'f')
        value = fmaf(a, b, c);
    else
        value = sqrtf(a);
    fesetround(FE_TONEAREST);
    return value;
}

f64 rounded64(char operation, f64 x, f64 y, f64 z, int mode)
{
    volatile f64 a = x, b = y, c = z, value = 0;

    fesetround(mode);
    if (operation == '+')
        value = a + b;
    else if (operation == '-')
        value = a - b;
    else if (operation == '*')
        value = a * b;
    else if (operation == '/')
        value = a / b;
    else if (operation == 'f')
        value = fma(a, b, c);
    else
        value = sqrt(a);
    fesetround(FE_TONEAREST);
    return value;
}

f64 chosen(f64 a, f64 b, bool least, bool nan)
{
    if ((isnan(a) && isnan(b)) || (nan && (isnan(a) || isnan(b))))
        return NAN;
    if (isnan(a) || isnan(b))
        return isnan(a) ? b : a;
    if (a == 0 && b == 0)
        return (least ? signbit(a) || signbit(b) : signbit(a) && signbit(b)) ? -0.0 : 0.0;
    return least ? fmin(a, b) : fmax(a, b);
}

f32 bits32(u32 bits)
{
    f32 value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

u32 canonical32(f64 value)
{
    f32 narrow = (f32)value;
    u32 bits;

    memcpy(&bits, &narrow, sizeof bits);
    return isnan(value) ? 0x7fffffff : bits;
}

/* A float as an integer; low and high are what the type holds. */
u64 integer(long double value, int mode, s128 low, s128 high, bool wide, int bits)
{
    if (isnan(value))
        return wide || bits == 64 ? (u64)1 << (bits - 1) : 0;
    fesetround(mode);
    value = rintl(value);
    fesetround(FE_TONEAREST);
    return value <= (long double)low ? (u64)low : value >= (long double)high ? (u64)high : (u64)(s128)value;
}

/* ---- halves: what each of the numbers is that a format has, in order ---- */

static long double half_number(unsigned bits, int exponent_bits)
{
    int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1));
    unsigned fraction = bits & ((1u << fraction_bits) - 1);
    long double value;

    if (exponent == (1 << exponent_bits) - 1)
        value = fraction ? (long double)NAN : (long double)INFINITY;
    else if (exponent == 0)
        value = ldexpl(fraction, 1 - bias - fraction_bits);
    else
        value = ldexpl(fraction + (1u << fraction_bits), exponent - bias - fraction_bits);
    return bits & 0x8000 ? -value : value;
}

/* The nearest, found by halving the list of all that are not negative; the long double is exact, or sticky. */
u16 half_nearest(long double value, int exponent_bits, int mode)
{
    unsigned infinite = ((1u << exponent_bits) - 1) << (15 - exponent_bits), low = 0, high = infinite;
    u16 sign = signbit(value) ? 0x8000 : 0;
    bool up = mode == FE_UPWARD ? !sign : mode == FE_DOWNWARD ? sign != 0 : false;
    long double size = fabsl(value), below, above;

    if (isnan(value))
        return 0x7fff;
    if (isinf(value))
        return (u16)(sign | infinite);
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (half_number(middle, exponent_bits) <= size)
            low = middle;
        else
            high = middle;
    }
    below = half_number(low, exponent_bits);
    /* Infinity stands where the next number would. */
    above = high == infinite ? 2 * half_number(high - 1, exponent_bits) - half_number(high - 2, exponent_bits)
                             : half_number(high, exponent_bits);
    if (size == below)
        return (u16)(sign | low);
    if (mode == FE_TONEAREST)
        up = size - below > above - size || (size - below == above - size && (low & 1));
    return (u16)(sign | (up ? high : low));
}

long double h(u16 bits)
{
    return half_number(bits, 5);
}

long double g(u16 bits)
{
    return half_number(bits, 8);
}

u16 to_h(long double value)
{
    return half_nearest(value, 5, FE_TONEAREST);
}

u16 to_g(long double value)
{
    return half_nearest(value, 8, FE_TONEAREST);
}

u16 flush_h(u16 bits)
{
    return bits & 0x7c00 ? bits : bits & 0x8000;
}

/* x + y as a long double whose last bit is set where there is more: sums of halves span more than its 64 bits. */
long double sticky_sum(long double x, long double y)
{
    volatile long double sum;
    long double value;
    u64 mantissa;

    fesetround(FE_TOWARDZERO);
    sum = x + y;
    fesetround(FE_TONEAREST);
    if (isnan(sum) || isinf(sum) || (sum - x == y && sum - y == x))
        return sum;
    value = sum;
    memcpy(&mantissa, &value, sizeof mantissa);
    mantissa |= 1;
    memcpy(&value, &mantissa, sizeof mantissa);
    return value;
}

/* ---- rounded from what is wider ---- */

f32 narrow32(long double value, int mode)
{
    volatile long double from = value;
    volatile f32 to;

    fesetround(mode);
    to = (f32)from;
    fesetround(FE_TONEAREST);
    return to;
}

f64 narrow64(long double value, int mode)
{
    volatile long double from = value;
    volatile f64 to;

    fesetround(mode);
    to = (f64)from;
    fesetround(FE_TONEAREST);
    return to;
}

/* ---- eight bits: e4m3 has no infinity, and both stay within what is finite ---- */

static f64 small_number(unsigned bits, int exponent_bits)
{
    int fraction_bits = 7 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1));
    unsigned fraction = bits & ((1u << fraction_bits) - 1);

    return exponent ? ldexp(fraction + (1u << fraction_bits), exponent - bias - fraction_bits)
                    : ldexp(fraction, 1 - bias - fraction_bits);
}

/* The nearest of all that are finite; the even one of two. */
static u32 small_nearest(f64 value, int exponent_bits, unsigned largest)
{
    unsigned best = 0;

    if (isnan(value))
        return 0x7f;
    if (fabs(value) >= small_number(largest, exponent_bits))
        return largest | (signbit(value) ? 0x80 : 0);
    for (unsigned i = 1; i <= largest; i++) {
        f64 off = fabs(fabs(value) - small_number(i, exponent_bits));
        f64 least = fabs(fabs(value) - small_number(best, exponent_bits));

        if (off < least || (off == least && i % 2 == 0))
            best = i;
    }
    return best | (signbit(value) ? 0x80 : 0);
}

u16 to_small(f64 a, f64 b, int exponent_bits, unsigned largest)
{
    return (u16)(small_nearest(a, exponent_bits, largest) << 8 | small_nearest(b, exponent_bits, largest));
}

u16 from_small(unsigned bits, int exponent_bits)
{
    unsigned size = bits & 0x7f;
    bool nan = exponent_bits == 4 ? size == 0x7f : size > 0x7c;
    f64 value = exponent_bits == 5 && size == 0x7c ? INFINITY : small_number(size, exponent_bits);

    return nan ? 0x7fff : to_h(bits & 0x80 ? -value : value);
}
