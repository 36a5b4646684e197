/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/tests/reference.h"

#include <fenv.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

/* A row and the function that knows its result, which is an expression of a, b and c. */
#define ROW_(N, TEXT, D, A, B, C, FLAGS, RELATIVE, ABSOLUTE, ...)                                            \
    static u64 PASTE(result_, N)(u64 first, u64 second, u64 third)                                           \
    {                                                                                                        \
        u64 bits = 0;                                                                                        \
        A a;                                                                                                 \
        B b;                                                                                                 \
        C c;                                                                                                 \
        D d;                                                                                                 \
                                                                                                             \
        memcpy(&a, &first, sizeof a);                                                                        \
        memcpy(&b, &second, sizeof b);                                                                       \
        memcpy(&c, &third, sizeof c);                                                                        \
        (void)a;                                                                                             \
        (void)b;                                                                                             \
        (void)c;                                                                                             \
        d = (D)(__VA_ARGS__);                                                                                \
        memcpy(&bits, &d, sizeof d);                                                                         \
        return bits;                                                                                         \
    }                                                                                                        \
    static const struct row PASTE(row_, N) = {                                                               \
        TEXT, K_##D, K_##A, K_##B, K_##C, FLAGS, RELATIVE, ABSOLUTE, PASTE(result_, N)};                     \
    static const struct row *const PASTE(listed_, N) __attribute__((section("reference_rows"), used)) =      \
        &PASTE(row_, N);
#define ROW(TEXT, D, A, B, C, ...)         ROW_(__COUNTER__, TEXT, D, A, B, C, 0, 0, 0, __VA_ARGS__)
#define ROWF(TEXT, D, A, B, C, FLAGS, ...) ROW_(__COUNTER__, TEXT, D, A, B, C, FLAGS, 0, 0, __VA_ARGS__)
#define NEAR(TEXT, D, A, B, C, RELATIVE, ABSOLUTE, ...)                                                      \
    ROW_(__COUNTER__, TEXT, D, A, B, C, ALONE, RELATIVE, ABSOLUTE, __VA_ARGS__)

extern const struct row *const __start_reference_rows[], *const __stop_reference_rows[];

size_t rows(const struct row *const **list)
{
    *list = __start_reference_rows;
    return (size_t)(__stop_reference_rows - __start_reference_rows);
}

/* Integers. */
static u64 bit_at(u64 value, int at)
{
    return at >= 0 && at < 64 ? value >> at & 1 : 0;
}

static u64 field(u64 a, unsigned position, unsigned length, unsigned bits, bool sign)
{
    unsigned last = position + length - 1 < bits - 1 ? position + length - 1 : bits - 1;
    u64 fill = sign && length ? bit_at(a, (int)last) : 0, value = 0;

    for (unsigned i = 0; i < bits; i++)
        value |= (i < length && position + i < bits ? bit_at(a, (int)(position + i)) : fill) << i;
    return value;
}

static u64 inserted(u64 a, u64 b, unsigned position, unsigned length, unsigned bits)
{
    for (unsigned i = 0; i < length && position + i < bits; i++)
        b = (b & ~((u64)1 << (position + i))) | bit_at(a, (int)i) << (position + i);
    return b;
}

static u32 highest(u64 a, int bits, bool sign)
{
    u64 other = sign ? bit_at(a, bits - 1) : 0;

    for (int i = bits - 1; i >= 0; i--)
        if (bit_at(a, i) != other)
            return (u32)i;
    return 0xffffffff;
}

static u64 reversed(u64 a, int bits)
{
    u64 value = 0;

    for (int i = 0; i < bits; i++)
        value |= bit_at(a, i) << (bits - 1 - i);
    return value;
}

static u32 counted(u64 a)
{
    u32 count = 0;

    for (int i = 0; i < 64; i++)
        count += (u32)bit_at(a, i);
    return count;
}

static u32 permuted(u32 a, u32 b, u32 c)
{
    u8 bytes[8], out[4];
    u32 value;

    memcpy(bytes, &a, 4);
    memcpy(bytes + 4, &b, 4);
    for (int i = 0; i < 4; i++) {
        u8 byte = bytes[c >> 4 * i & 7];

        out[i] = c >> 4 * i & 8 ? (byte > 127 ? 255 : 0) : byte;
    }
    memcpy(&value, out, 4);
    return value;
}

static u32 looked_up(u32 a, u32 b, u32 c, u32 table)
{
    u32 value = 0;

    for (int i = 0; i < 32; i++)
        value |= (table >> (bit_at(a, i) * 4 + bit_at(b, i) * 2 + bit_at(c, i)) & 1) << i;
    return value;
}

static u64 shifted(u64 a, u32 n, int bits, bool left, bool sign)
{
    u64 fill = sign ? bit_at(a, bits - 1) : 0, value = 0;

    for (int i = 0; i < bits; i++) {
        s64 from = left ? (s64)i - n : (s64)i + n;

        value |= (from < 0 ? 0 : from < bits ? bit_at(a, (int)from) : fill) << i;
    }
    return value;
}

static u32 dot(u32 a, u32 b, u32 c, bool a_signed, bool b_signed, int a_bits, int pieces)
{
    s64 sum = a_signed || b_signed ? (s64)(s32)c : (s64)c;

    for (int i = 0; i < pieces; i++) {
        s64 x = a_bits == 8 ? (a >> 8 * i & 255) : (a >> 16 * i & 65535), y = b >> 8 * i & 255;

        if (a_signed && x >= 1 << (a_bits - 1))
            x -= 1 << a_bits;
        if (b_signed && y > 127)
            y -= 256;
        sum += x * y;
    }
    return (u32)sum;
}

static s64 within(s128 value, s64 least, s64 most)
{
    return value < least ? least : value > most ? most : (s64)value;
}

/* Floats. */
static f32 flushed(f32 x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static f64 clipped(f64 x)
{
    return isnan(x) || x <= 0 ? 0 : fmin(x, 1);
}

static f32 rounded32(char operation, f32 x, f32 y, f32 z, int mode)
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

static f64 rounded64(char operation, f64 x, f64 y, f64 z, int mode)
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

static f64 chosen(f64 a, f64 b, bool least, bool nan)
{
    if ((isnan(a) && isnan(b)) || (nan && (isnan(a) || isnan(b))))
        return NAN;
    if (isnan(a) || isnan(b))
        return isnan(a) ? b : a;
    if (a == 0 && b == 0)
        return (least ? signbit(a) || signbit(b) : signbit(a) && signbit(b)) ? -0.0 : 0.0;
    return least ? fmin(a, b) : fmax(a, b);
}

static f32 bits32(u32 bits)
{
    f32 value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static u32 canonical32(f64 value)
{
    f32 narrow = (f32)value;
    u32 bits;

    memcpy(&bits, &narrow, sizeof bits);
    return isnan(value) ? 0x7fffffff : bits;
}

/* A float as an integer; low and high are what the type holds. */
static u64 integer(long double value, int mode, s128 low, s128 high, bool wide, int bits)
{
    if (isnan(value))
        return wide || bits == 64 ? (u64)1 << (bits - 1) : 0;
    fesetround(mode);
    value = rintl(value);
    fesetround(FE_TONEAREST);
    return value <= (long double)low ? (u64)low : value >= (long double)high ? (u64)high : (u64)(s128)value;
}

/* Halves: what each of the numbers is that a format has, in order. */
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
static u16 half_nearest(long double value, int exponent_bits, int mode)
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

static long double h(u16 bits)
{
    return half_number(bits, 5);
}

static long double g(u16 bits)
{
    return half_number(bits, 8);
}

static u16 to_h(long double value)
{
    return half_nearest(value, 5, FE_TONEAREST);
}

static u16 to_g(long double value)
{
    return half_nearest(value, 8, FE_TONEAREST);
}

static u16 flush_h(u16 bits)
{
    return bits & 0x7c00 ? bits : bits & 0x8000;
}

/* x + y as a long double whose last bit is set where there is more: sums of halves span more than its 64 bits. */
static long double sticky_sum(long double x, long double y)
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

#define TWICE(f, x, y) ((u32)f((u16)(x), (u16)(y)) | (u32)f((u16)((x) >> 16), (u16)((y) >> 16)) << 16)

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

#define INTEGERS(T, BITS, WIDE, U)                                                                           \
    ROW("add." #T, T, T, T, none, (U)a + (U)b)                                                               \
    ROW("sub." #T, T, T, T, none, (U)a - (U)b)                                                               \
    ROW("mul.lo." #T, T, T, T, none, (WIDE)a *(WIDE)b)                                                       \
    ROW("mul.hi." #T, T, T, T, none, ((WIDE)a * (WIDE)b) >> BITS)                                            \
    ROW("mad.lo." #T, T, T, T, T, (U)((WIDE)a * (WIDE)b) + (U)c)                                             \
    ROW("mad.hi." #T, T, T, T, T, (U)(((WIDE)a * (WIDE)b) >> BITS) + (U)c)                                   \
    ROW("min." #T, T, T, T, none, a < b ? a : b)                                                             \
    ROW("max." #T, T, T, T, none, a < b ? b : a)                                                             \
    ROW("sad." #T, T, T, T, T, (U)c + (a < b ? (U)b - (U)a : (U)a - (U)b))                                   \
    ROW("or.b" #BITS " $t, $b, 1; div." #T " $d, $a, $t;", T, T, T, none, (WIDE)a / (WIDE)(T)(b | 1))        \
    ROW("or.b" #BITS " $t, $b, 1; rem." #T " $d, $a, $t;", T, T, T, none, (WIDE)a % (WIDE)(T)(b | 1))        \
    ROW("set.lt.u32." #T, u32, T, T, none, a < b ? 0xffffffff : 0)                                           \
    ROW("setp.lt." #T " $p, $a, $b; selp.u32 $d, 7, 9, $p;", u32, T, T, none, a < b ? 7 : 9)                 \
    ROW("setp.le." #T " $p, $a, $b; selp.u32 $d, 7, 9, $p;", u32, T, T, none, a <= b ? 7 : 9)                \
    ROW("setp.gt." #T " $p, $a, $b; selp.u32 $d, 7, 9, $p;", u32, T, T, none, a > b ? 7 : 9)                 \
    ROW("setp.ge." #T " $p, $a, $b; selp.u32 $d, 7, 9, $p;", u32, T, T, none, a >= b ? 7 : 9)                \
    ROW("setp.eq." #T " $p, $a, $b; selp.u32 $d, 7, 9, $p;", u32, T, T, none, a == b ? 7 : 9)                \
    ROW("setp.ne." #T " $p, $a, $b; selp." #T " $d, $a, $b, $p;", T, T, T, none, a != b ? a : b)

INTEGERS(u16, 16, s64, u16)
INTEGERS(s16, 16, s64, u16)
INTEGERS(u32, 32, s128, u32)
INTEGERS(s32, 32, s128, u32)
INTEGERS(u64, 64, u128, u64)
INTEGERS(s64, 64, s128, u64)

#define BITWISE(BITS)                                                                                        \
    ROW("and.b" #BITS, u##BITS, u##BITS, u##BITS, none, a &b)                                                \
    ROW("or.b" #BITS, u##BITS, u##BITS, u##BITS, none, a | b)                                                \
    ROW("xor.b" #BITS, u##BITS, u##BITS, u##BITS, none, a ^ b)                                               \
    ROW("not.b" #BITS, u##BITS, u##BITS, none, none, ~a)                                                     \
    ROW("cnot.b" #BITS, u##BITS, u##BITS, none, none, a == 0)                                                \
    ROW("shl.b" #BITS, u##BITS, u##BITS, u32, none, shifted(a, b, BITS, true, false))                        \
    ROW("shr.u" #BITS, u##BITS, u##BITS, u32, none, shifted(a, b, BITS, false, false))                       \
    ROW("shr.s" #BITS, s##BITS, s##BITS, u32, none, shifted((u64)a, b, BITS, false, true))                   \
    ROW("neg.s" #BITS, s##BITS, s##BITS, none, none, 0 - (u##BITS)a)                                         \
    ROW("abs.s" #BITS, s##BITS, s##BITS, none, none, a < 0 ? 0 - (u##BITS)a : (u##BITS)a)

BITWISE(16)
BITWISE(32)
BITWISE(64)

/* A shift or field whose count stays near the width is more telling than one of any word. */
#define FIELDS(BITS)                                                                                         \
    ROW("popc.b" #BITS, u32, u##BITS, none, none, counted(a))                                                \
    ROW("clz.b" #BITS, u32, u##BITS, none, none, BITS - 1 - (s32)highest(a, BITS, false))                    \
    ROW("brev.b" #BITS, u##BITS, u##BITS, none, none, reversed(a, BITS))                                     \
    ROW("bfind.u" #BITS, u32, u##BITS, none, none, highest(a, BITS, false))                                  \
    ROW("bfind.s" #BITS, u32, s##BITS, none, none, highest((u64)a, BITS, true))                              \
    ROW("bfind.shiftamt.u" #BITS, u32, u##BITS, none, none,                                                  \
        highest(a, BITS, false) == 0xffffffff ? 0xffffffff : BITS - 1 - highest(a, BITS, false))             \
    ROW("bfe.u" #BITS, u##BITS, u##BITS, u32, u32, field(a, b & 255, c & 255, BITS, false))                  \
    ROW("bfe.s" #BITS, s##BITS, s##BITS, u32, u32, field((u64)a, b & 255, c & 255, BITS, true))              \
    ROW("bfi.b" #BITS " $d, $a, $b, 7, 20;", u##BITS, u##BITS, u##BITS, none, inserted(a, b, 7, 20, BITS))   \
    ROW("bfi.b" #BITS " $d, $a, $b, 25, $c;", u##BITS, u##BITS, u##BITS, u32,                                \
        inserted(a, b, 25, c & 255, BITS))

FIELDS(32)
FIELDS(64)

ROW("mul.wide.u16", u32, u16, u16, none, (u32)a *b)
ROW("mul.wide.s16", s32, s16, s16, none, (s32)a *b)
ROW("mul.wide.u32", u64, u32, u32, none, (u64)a *b)
ROW("mul.wide.s32", s64, s32, s32, none, (s64)a *b)
ROW("mad.wide.u32", u64, u32, u32, u64, (u64)a *b + c)
ROW("mad.wide.s32", s64, s32, s32, s64, (u64)((s64)a *b) + (u64)c)
ROW("mad.wide.s16", s32, s16, s16, s32, (u32)((s32)a *b) + (u32)c)
ROW("add.sat.s32", s32, s32, s32, none, within((s128)a + b, INT_MIN, INT_MAX))
ROW("sub.sat.s32", s32, s32, s32, none, within((s128)a - b, INT_MIN, INT_MAX))
ROW("mad.hi.sat.s32", s32, s32, s32, s32, within((((s64)a * b) >> 32) + (s128)c, INT_MIN, INT_MAX))
ROW("mul24.lo.u32", u32, u32, u32, none, (u64)(a % (1 << 24)) * (b % (1 << 24)))
ROW("mul24.hi.u32", u32, u32, u32, none, ((u64)(a % (1 << 24)) * (b % (1 << 24))) >> 16)
ROW("mul24.lo.s32", s32, s32, s32, none, (s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8))
ROW("mul24.hi.s32", s32, s32, s32, none, ((s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8)) >> 16)
ROW("mad24.lo.u32", u32, u32, u32, u32, (u64)(a % (1 << 24)) * (b % (1 << 24)) + c)
ROW("add.cc.u32 $t, $a, $b; addc.u32 $d, $c, 0;", u32, u32, u32, u32, c + (((u64)a + b) >> 32))
ROW("add.cc.u32 $t, $a, $b; addc.cc.u32 $t, $c, $c; addc.u32 $d, 0, 0;", u32, u32, u32, u32,
    ((u64)c + c + (((u64)a + b) >> 32)) >> 32)
ROW("sub.cc.u32 $t, $a, $b; subc.u32 $d, $c, 0;", u32, u32, u32, u32, c - (a < b))
ROW("add.cc.u64 $t, $a, $b; addc.u64 $d, $c, 0;", u64, u64, u64, u64, c + (u64)(((u128)a + b) >> 64))
ROW("sub.cc.u64 $t, $a, $b; subc.cc.u64 $t, 0, $c; subc.u64 $d, 0, 0;", u64, u64, u64, u64,
    (u128)c + (a < b) > 0 ? (u64)-1 : 0)
ROW("mad.lo.cc.u32 $t, $a, $b, $c; madc.hi.u32 $d, $a, $b, $c;", u32, u32, u32, u32,
    (((u64)a * b) >> 32) + c + (((u64)(u32)(a * b) + c) >> 32))
ROW("mad.lo.cc.u64 $t, $a, $b, $c; madc.hi.u64 $d, $a, $b, 0;", u64, u64, u64, u64,
    (u64)(((u128)a * b) >> 64) + (u64)(((u128)(u64)(a * b) + c) >> 64))
ROW("shf.l.wrap.b32", u32, u32, u32, u32, c % 32 ? (b << c % 32) | (a >> (32 - c % 32)) : b)
ROW("shf.r.wrap.b32", u32, u32, u32, u32, c % 32 ? (b << (32 - c % 32)) | (a >> c % 32) : a)
ROW("shf.l.clamp.b32", u32, u32, u32, u32, c > 31 ? a : c ? (b << c) | (a >> (32 - c)) : b)
ROW("shf.r.clamp.b32", u32, u32, u32, u32, c > 31 ? b : c ? (b << (32 - c)) | (a >> c) : a)
ROW("prmt.b32", u32, u32, u32, u32, permuted(a, b, c))
ROW("prmt.b32.f4e", u32, u32, u32, u32, (u32)(((u64)b << 32 | a) >> 8 * (c & 3)))
ROW("prmt.b32.b4e", u32, u32, u32, u32,
    permuted(a, b,
             (c & 3) == 0   ? 0x5670
             : (c & 3) == 1 ? 0x6701
             : (c & 3) == 2 ? 0x7012
                            : 0x0123))
ROW("prmt.b32.rc8", u32, u32, u32, u32, 0x01010101 * (a >> 8 * (c & 3) & 255))
ROW("prmt.b32.rc16", u32, u32, u32, u32, 0x00010001 * (a >> 16 * (c & 1) & 65535))
ROW("lop3.b32 $d, $a, $b, $c, 0x96;", u32, u32, u32, u32, a ^ b ^ c)
ROW("lop3.b32 $d, $a, $b, $c, 0x1d;", u32, u32, u32, u32, looked_up(a, b, c, 0x1d))
ROW("dp4a.u32.u32", u32, u32, u32, u32, dot(a, b, c, false, false, 8, 4))
ROW("dp4a.s32.s32", s32, u32, u32, s32, dot(a, b, (u32)c, true, true, 8, 4))
ROW("dp4a.s32.u32", s32, u32, u32, s32, dot(a, b, (u32)c, true, false, 8, 4))
ROW("dp2a.lo.s32.s32", s32, u32, u32, s32, dot(a, b, (u32)c, true, true, 16, 2))
ROW("dp2a.hi.u32.u32", u32, u32, u32, u32, dot(a, b >> 16, c, false, false, 16, 2))
ROW("bmsk.clamp.b32", u32, u32, u32, none, inserted(0xffffffff, 0, a > 32 ? 32 : a, b > 32 ? 32 : b, 32))
ROW("bmsk.wrap.b32", u32, u32, u32, none, inserted(0xffffffff, 0, a % 32, b % 32, 32))
ROW("szext.clamp.s32", s32, s32, u32, none, b > 31 ? (u32)a : b ? field((u64)(u32)a, 0, b, 32, true) : 0)
ROW("szext.wrap.u32", u32, u32, u32, none, field(a, 0, b % 32, 32, false))
ROW("slct.u32.s32", u32, u32, u32, s32, c >= 0 ? a : b)
ROW("slct.b64.s32", u64, u64, u64, s32, c >= 0 ? a : b)
ROW("slct.f32.f32", f32, f32, f32, f32, c >= 0 ? a : b)
ROW("setp.lo.u32 $p, $a, $b; selp.u32 $d, 1, 0, $p;", u32, u32, u32, none, a < b)
ROW("setp.hs.u64 $p, $a, $b; selp.u32 $d, 1, 0, $p;", u32, u64, u64, none, a >= b)
ROW("setp.eq.b64 $p, $a, $b; selp.u32 $d, 1, 0, $p;", u32, u64, u64, none, a == b)

/* Conversions of integers. */
#define CVT_INT(T, F)            ROW("cvt." #T "." #F, T, F, none, none, a)
#define CVT_SAT(T, F, LOW, HIGH) ROW("cvt.sat." #T "." #F, T, F, none, none, within((s128)a, LOW, HIGH))
CVT_INT(u16, u32)
CVT_INT(u16, u64)
CVT_INT(s16, s32)
CVT_INT(u32, u16)
CVT_INT(u32, s16)
CVT_INT(s32, s16)
CVT_INT(s64, s32) CVT_INT(u64, u32) CVT_INT(u64, s32) CVT_INT(s64, u16) CVT_INT(u32, u64) CVT_INT(
    s32, s64) CVT_SAT(s16, s32, INT16_MIN, INT16_MAX) CVT_SAT(s32, s64, INT_MIN,
                                                              INT_MAX) CVT_SAT(s32, u32, INT_MIN, INT_MAX)
    CVT_SAT(u16, s32, 0, UINT16_MAX) CVT_SAT(u32, s64, 0, UINT32_MAX) CVT_SAT(u32, s32, 0, UINT32_MAX) ROW(
        "cvt.u32.u8", u32, u32,
        none, none,
        (u8)a) ROW("cvt.s32.s8", s32, s32, none, none,
                   (s8)a) ROW("cvt.s64.s8", s64, s64, none, none, (s8)a)
        ROW("cvt.u16.u8", u16, u16, none, none,
            (u8)a) ROW("cvt.sat.u8.s32", u32, s32, none, none,
                       within(a, 0, 255)) ROW("cvt.sat.s8.s32", s32, s32, none, none, within(a, -128, 127))

/* Floats. */
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
            EACH_ROUNDING(FLOAT_ROUNDED, f32, 32) EACH_ROUNDING(FLOAT_ROUNDED, f64, 64)

                ROW("add.f32", f32, f32, f32, none, rounded32('+', a, b, 0, FE_TONEAREST)) ROW(
                    "mul.f64",
                    f64, f64, f64, none, rounded64('*', a, b, 0, FE_TONEAREST))
                    ROW("add.ftz.f32", f32, f32, f32, none, flushed(rounded32('+', flushed(a), flushed(b), 0, FE_TONEAREST))) ROW(
                        "mul.rn.ftz.f32", f32, f32,
                        f32, none, flushed(rounded32('*', flushed(a), flushed(b), 0, FE_TONEAREST)))
                        ROW("add.sat.f32", f32, f32, f32, none, clipped(rounded32('+', a, b, 0, FE_TONEAREST))) ROW(
                            "mul.rz.ftz.sat.f32", f32,
                            f32, f32, none,
                            clipped(flushed(rounded32('*', flushed(a), flushed(b), 0, FE_TOWARDZERO))))
                            ROW("fma.rn.ftz.f32", f32, f32, f32, f32,
                                flushed(rounded32('f', flushed(a), flushed(b), flushed(c), FE_TONEAREST)))
                                ROW("fma.rn.sat.f32", f32, f32, f32, f32, clipped(rounded32('f', a, b, c, FE_TONEAREST))) ROW(
                                    "neg.f32", f32,
                                    f32, none, none, -a) ROW("neg.f64", f64, f64, none,
                                                             none, -a) ROW("abs.f32", f32, f32, none, none, fabsf(a))
                                    ROW("abs.f64", f64, f64, none, none, fabs(a)) ROW(
                                        "abs.ftz.f32", f32,
                                        f32, none, none,
                                        fabsf(flushed(
                                            a))) ROWF("min.f32", f32, f32, f32, none, EXACT,
                                                      bits32(canonical32(chosen(a, b, true, false))))
                                        ROWF("max.f32", f32, f32, f32, none, EXACT,
                                             bits32(canonical32(chosen(a, b, false, false))))
                                            ROWF("min.NaN.f32", f32, f32, f32, none, EXACT,
                                                 bits32(canonical32(chosen(a, b, true, true))))
                                                ROWF("max.NaN.f32", f32, f32, f32, none, EXACT,
                                                     bits32(canonical32(chosen(a, b, false, true))))
                                                    ROWF("max.ftz.f32", f32, f32, f32, none, EXACT,
                                                         bits32(canonical32(
                                                             chosen(flushed(a), flushed(b), false, false))))
                                                        ROWF(
                                                            "min.xorsign.abs.f32", f32,
                                                            f32,
                                                            f32,
                                                            none, ALONE,
                                                            isnan(a) &&
                                                                    isnan(b)
                                                                ? NAN
                                                                : copysign(
                                                                      chosen(fabsf(a), fabsf(b), true, false),
                                                                      !signbit(a) == !signbit(b) ? 1
                                                                                                 : -1))
                                                            ROW("min.f64", f64, f64, f64, none, chosen(a, b, true, false)) ROW(
                                                                "max.f64", f64,
                                                                f64, f64, none,
                                                                chosen(a, b, false, false))
                                                                ROWF("copysign.f32", f32, f32, f32, none,
                                                                     ALONE,
                                                                     copysignf(
                                                                         b,
                                                                         a)) ROWF("copysign.f64", f64, f64, f64, none, ALONE,
                                                                                  copysign(b, a))
#define TESTP(NAME, T, ...)                                                                                  \
    ROW("testp." NAME "." #T " $p, $a; selp.u32 $d, 1, 0, $p;", u32, T, none, none, __VA_ARGS__)
#define TESTPS(T)                                                                                            \
    TESTP("finite", T, isfinite(a) != 0)                                                                     \
    TESTP("infinite", T, isinf(a) != 0)                                                                      \
    TESTP("number", T, !isnan(a))                                                                            \
    TESTP("notanumber", T, isnan(a) != 0)                                                                    \
    TESTP("normal", T, isnormal(a) || a == 0)                                                                \
    TESTP("subnormal", T, fpclassify(a) == FP_SUBNORMAL)
                                                                    TESTPS(
                                                                        f32) TESTPS(f64)

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
                                                                        SETPS(f32, a, b) SETPS(
                                                                            f64, a,
                                                                            b) SETPS(f16, h(a),
                                                                                     h(b)) SETPS(bf16, g(a),
                                                                                                 g(b))
                                                                            SETP("eq.ftz", f32, flushed(a) == flushed(b)) ROW(
                                                                                "set.gt.f32.f32", f32, f32,
                                                                                f32, none,
                                                                                a > b ? 1.0f : 0.0f)
                                                                                ROW("set."
                                                                                    "eq."
                                                                                    "u32."
                                                                                    "f64",
                                                                                    u32, f64, f64, none,
                                                                                    a == b ? 0xffffffff
                                                                                           : 0)
                                                                                    ROW("selp.f32 "
                                                                                        "$d, $a, "
                                                                                        "$b, 1;",
                                                                                        f32, f32, f32, none,
                                                                                        a)

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
                                                                                        EACH_INTEGER("rni", FE_TONEAREST) EACH_INTEGER(
                                                                                            "rzi",
                                                                                            FE_TOWARDZERO)
                                                                                            EACH_INTEGER(
                                                                                                "rmi",
                                                                                                FE_DOWNWARD)
                                                                                                EACH_INTEGER(
                                                                                                    "rpi",
                                                                                                    FE_UPWARD)
                                                                                                    ROW("cvt."
                                                                                                        "rpi."
                                                                                                        "ftz."
                                                                                                        "s32."
                                                                                                        "f32",
                                                                                                        s32,
                                                                                                        f32,
                                                                                                        none,
                                                                                                        none,
                                                                                                        integer(
                                                                                                            flushed(
                                                                                                                a),
                                                                                                            FE_UPWARD,
                                                                                                            INT32_MIN,
                                                                                                            INT32_MAX,
                                                                                                            false,
                                                                                                            32))

                                                                                                        static f32
    narrow32(long double value, int mode)
{
    volatile long double from = value;
    volatile f32 to;

    fesetround(mode);
    to = (f32)from;
    fesetround(FE_TONEAREST);
    return to;
}

static f64 narrow64(long double value, int mode)
{
    volatile long double from = value;
    volatile f64 to;

    fesetround(mode);
    to = (f64)from;
    fesetround(FE_TONEAREST);
    return to;
}

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

/* Pairs of integers, and the small floats: e4m3 has no infinity, and both stay within what is finite. */
static u32 pairs(u32 a, u32 b, char operation, bool sign)
{
    u32 value = 0;

    for (int i = 0; i < 2; i++) {
        s32 x = (s32)(a >> 16 * i & 65535), y = (s32)(b >> 16 * i & 65535);

        x = sign && x > 32767 ? x - 65536 : x;
        y = sign && y > 32767 ? y - 65536 : y;
        value |= (u32)(u16)(operation == '+'   ? x + y
                            : operation == '<' ? (x < y ? x : y)
                                               : (x > y ? x : y))
                 << 16 * i;
    }
    return value;
}

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

static u16 to_small(f64 a, f64 b, int exponent_bits, unsigned largest)
{
    return (u16)(small_nearest(a, exponent_bits, largest) << 8 | small_nearest(b, exponent_bits, largest));
}

static u16 from_small(unsigned bits, int exponent_bits)
{
    unsigned size = bits & 0x7f;
    bool nan = exponent_bits == 4 ? size == 0x7f : size > 0x7c;
    f64 value = exponent_bits == 5 && size == 0x7c ? INFINITY : small_number(size, exponent_bits);

    return nan ? 0x7fff : to_h(bits & 0x80 ? -value : value);
}

static u32 nth_set(u32 mask, u32 base, s32 n)
{
    u32 seen = 0;

    if (base > 31)
        return 0xffffffff;
    if (n == 0)
        return bit_at(mask, (int)base) ? base : 0xffffffff;
    for (s32 i = (s32)base; i >= 0 && i<32; i += n> 0 ? 1 : -1) {
        seen += (u32)bit_at(mask, i);
        if (bit_at(mask, i) && seen == (n > 0 ? (u32)n : 0 - (u32)n))
            return (u32)i;
    }
    return 0xffffffff;
}

ROW("add.u16x2", u32, u32, u32, none, pairs(a, b, '+', false))
ROW("add.s16x2", u32, u32, u32, none, pairs(a, b, '+', true))
ROW("min.u16x2", u32, u32, u32, none, pairs(a, b, '<', false))
ROW("min.s16x2", u32, u32, u32, none, pairs(a, b, '<', true))
ROW("max.u16x2", u32, u32, u32, none, pairs(a, b, '>', false))
ROW("max.s16x2", u32, u32, u32, none, pairs(a, b, '>', true))
ROW("min.relu.s32", s32, s32, s32, none, (a < b ? a : b) < 0 ? 0 : a < b ? a : b)
ROW("max.relu.s32", s32, s32, s32, none, (a > b ? a : b) < 0 ? 0 : a > b ? a : b)
ROW("fns.b32 $d, $a, $b, 2;", u32, u32, u32, none, nth_set(a, b, 2))
ROW("fns.b32", u32, u32, u32, s32, nth_set(a, b, c))
ROW("mad24.hi.sat.s32", s32, s32, s32, s32,
    within((((s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8)) >> 16) % 0x100000000 + (s128)c,
           INT_MIN, INT_MAX))
ROW("lop3.b32 $d, $a, $b, $c, 0xe8;", u32, u32, u32, u32, looked_up(a, b, c, 0xe8))
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
ROW("setp.gt.or.s32 $p, $a, $b, 1; selp.u32 $d, 1, 0, $p;", u32, s32, s32, none, 1)
ROW("{ .reg .pred z; setp.lt.s32 $p|z, $a, $b; selp.u32 $d, 1, 0, z; }", u32, s32, s32, none, !(a < b))
ROW("mov.b32 $d, {$a, $b};", u32, u16, u16, none, (u32)b << 16 | a)
ROW("mov.b64 {$d, $t}, $a;", u32, u64, none, none, a)
ROW("mov.b64 $d, {$a, $b};", u64, u32, u32, none, (u64)b << 32 | a)

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
    return kind == K_f16 ? (f64)h((u16)bits) : bits32((u32)bits);
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
