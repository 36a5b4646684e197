/* SPDX-License-Identifier: Apache-2.0 */
/* reference_integer.c - integers and bits, by loops over them. */
#include <limits.h>
#include <stdlib.h>

#include "ptx/tests/rows.h"

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

/* What x + y + carry has more than the type holds. */
static u64 carried(u64 x, u64 y, u64 carry, int bits)
{
    return (u64)(((u128)x + y + carry) >> bits);
}

static u64 borrowed(u64 x, u64 y, u64 borrow)
{
    return (u128)y + borrow > x;
}

/* The carry of: upper half of the product and c, lower half and c, upper half and c, each with what the last one carried. */
static u64 carried_thrice(u64 low, u64 high, u64 c, int bits)
{
    u64 carry = carried(high, c, 0, bits);

    carry = carried(low, c, carry, bits);
    return carried(high, c, carry, bits);
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
    ROW("shr.b" #BITS, u##BITS, u##BITS, u32, none, shifted(a, b, BITS, false, false))                       \
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
    ROW("bfind.shiftamt.s" #BITS, u32, s##BITS, none, none,                                                  \
        highest((u64)a, BITS, true) == 0xffffffff ? 0xffffffff : BITS - 1 - highest((u64)a, BITS, true))     \
    ROW("bfe.u" #BITS, u##BITS, u##BITS, u32, u32, field(a, b & 255, c & 255, BITS, false))                  \
    ROW("bfe.s" #BITS, s##BITS, s##BITS, u32, u32, field((u64)a, b & 255, c & 255, BITS, true))              \
    ROW("bfi.b" #BITS " $d, $a, $b, 7, 20;", u##BITS, u##BITS, u##BITS, none, inserted(a, b, 7, 20, BITS))   \
    ROW("bfi.b" #BITS " $d, $a, $b, 25, $c;", u##BITS, u##BITS, u##BITS, u32,                                \
        inserted(a, b, 25, c & 255, BITS))

FIELDS(32)
FIELDS(64)

#define CARRIES(T, U, BITS, WIDE)                                                                            \
    ROW("add.cc." #T " $t, $a, $b; addc." #T " $d, $c, 0;", T, T, T, T, (U)c + carried((U)a, (U)b, 0, BITS)) \
    ROW("add.cc." #T " $t, $a, $b; addc.cc." #T " $t, $c, $c; addc." #T " $d, 0, 0;", T, T, T, T,            \
        carried((U)c, (U)c, carried((U)a, (U)b, 0, BITS), BITS))                                             \
    ROW("sub.cc." #T " $t, $a, $b; subc." #T " $d, $c, 0;", T, T, T, T, (U)c - borrowed((U)a, (U)b, 0))      \
    ROW("sub.cc." #T " $t, $a, $b; subc.cc." #T " $t, $a, $c; subc." #T " $d, $b, $c;", T, T, T, T,          \
        (U)b - (U)c - borrowed((U)a, (U)c, borrowed((U)a, (U)b, 0)))                                         \
    ROW("mad.lo.cc." #T " $t, $a, $b, $c; madc.hi." #T " $d, $a, $b, $c;", T, T, T, T,                       \
        (U)(((WIDE)a * (WIDE)b) >> BITS) + (U)c + carried((U)((U)a * (U)b), (U)c, 0, BITS))                  \
    ROW("mad.hi.cc." #T " $t, $a, $b, $c; madc.lo.cc." #T " $t, $a, $b, $c; madc.hi.cc." #T                  \
        " $t, $a, $b, $c; madc.lo." #T " $d, $a, $b, 0;",                                                    \
        T, T, T, T,                                                                                          \
        (U)a *(U)b + carried_thrice((U)((U)a * (U)b), (U)(((WIDE)a * (WIDE)b) >> BITS), (U)c, BITS))
CARRIES(u32, u32, 32, u128)
CARRIES(s32, u32, 32, s128)
CARRIES(u64, u64, 64, u128)
CARRIES(s64, u64, 64, s128)

#define CHOICES(T, C)                                                                                        \
    ROW("setp.lt.s32 $p, $c, 0; selp." #T " $d, $a, $b, $p;", C, C, C, s32, c < 0 ? a : b)                   \
    ROW("slct." #T ".s32", C, C, C, s32, c >= 0 ? a : b)                                                     \
    ROW("slct." #T ".f32", C, C, C, f32, c >= 0 ? a : b)
CHOICES(b16, u16)
CHOICES(u16, u16)
CHOICES(s16, s16)
CHOICES(b32, u32)
CHOICES(u32, u32)
CHOICES(s32, s32)
CHOICES(b64, u64)
CHOICES(u64, u64)
CHOICES(s64, s64)
CHOICES(f32, f32)
CHOICES(f64, f64)

/* Predicates: whether a and b are negative. */
#define OF_PREDICATES(TEXT, ...)                                                                             \
    ROW("{ .reg .pred x, y; setp.lt.s32 x, $a, 0; setp.lt.s32 y, $b, 0; " TEXT "; selp.u32 $d, 1, 0, $p; }", \
        u32, s32, s32, none, __VA_ARGS__)
OF_PREDICATES("and.pred $p, x, y", a < 0 && b < 0)
OF_PREDICATES("or.pred $p, x, y", a < 0 || b < 0)
OF_PREDICATES("xor.pred $p, x, y", (a < 0) != (b < 0))
OF_PREDICATES("not.pred $p, y", b >= 0)

ROW("mul.wide.u16", u32, u16, u16, none, (u32)a *b)
ROW("mad.wide.u16", u32, u16, u16, u32, (u32)a *b + c)
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
ROW("mad24.hi.u32", u32, u32, u32, u32, (((u64)(a % (1 << 24)) * (b % (1 << 24))) >> 16) + c)
ROW("mad24.lo.s32", s32, s32, s32, s32,
    (u64)((s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8)) + (u64)c)
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
ROW("prmt.b32.ecl", u32, u32, u32, u32,
    permuted(a, b,
             (c & 3) == 0   ? 0x3210
             : (c & 3) == 1 ? 0x3211
             : (c & 3) == 2 ? 0x3222
                            : 0x3333))
ROW("prmt.b32.ecr", u32, u32, u32, u32,
    permuted(a, b,
             (c & 3) == 0   ? 0x0000
             : (c & 3) == 1 ? 0x1110
             : (c & 3) == 2 ? 0x2210
                            : 0x3210))
ROW("lop3.b32 $d, $a, $b, $c, 0x96;", u32, u32, u32, u32, a ^ b ^ c)
ROW("lop3.b32 $d, $a, $b, $c, 0x1d;", u32, u32, u32, u32, looked_up(a, b, c, 0x1d))
ROW("dp4a.u32.u32", u32, u32, u32, u32, dot(a, b, c, false, false, 8, 4))
ROW("dp4a.s32.s32", s32, u32, u32, s32, dot(a, b, (u32)c, true, true, 8, 4))
ROW("dp4a.s32.u32", s32, u32, u32, s32, dot(a, b, (u32)c, true, false, 8, 4))
ROW("dp4a.u32.s32", s32, u32, u32, s32, dot(a, b, (u32)c, false, true, 8, 4))
#define DOT_OF_TWO(A, B, SIGNED_A, SIGNED_B)                                                                 \
    ROW("dp2a.lo." A "." B, s32, u32, u32, s32, dot(a, b, (u32)c, SIGNED_A, SIGNED_B, 16, 2))                \
    ROW("dp2a.hi." A "." B, s32, u32, u32, s32, dot(a, b >> 16, (u32)c, SIGNED_A, SIGNED_B, 16, 2))
DOT_OF_TWO("u32", "u32", false, false)
DOT_OF_TWO("u32", "s32", false, true)
DOT_OF_TWO("s32", "u32", true, false)
DOT_OF_TWO("s32", "s32", true, true)
ROW("bmsk.clamp.b32", u32, u32, u32, none, inserted(0xffffffff, 0, a > 32 ? 32 : a, b > 32 ? 32 : b, 32))
ROW("bmsk.wrap.b32", u32, u32, u32, none, inserted(0xffffffff, 0, a % 32, b % 32, 32))
ROW("szext.clamp.s32", s32, s32, u32, none, b > 31 ? (u32)a : b ? field((u64)(u32)a, 0, b, 32, true) : 0)
ROW("szext.clamp.u32", u32, u32, u32, none, b > 31 ? a : field(a, 0, b, 32, false))
ROW("szext.wrap.s32", s32, s32, u32, none, b % 32 ? field((u64)(u32)a, 0, b % 32, 32, true) : 0)
ROW("szext.wrap.u32", u32, u32, u32, none, field(a, 0, b % 32, 32, false))
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
CVT_INT(s64, s32)
CVT_INT(u64, u32)
CVT_INT(u64, s32)
CVT_INT(s64, u16)
CVT_INT(u32, u64)
CVT_INT(s32, s64)
CVT_SAT(s16, s32, INT16_MIN, INT16_MAX)
CVT_SAT(s32, s64, INT_MIN, INT_MAX)
CVT_SAT(s32, u32, INT_MIN, INT_MAX)
CVT_SAT(u16, s32, 0, UINT16_MAX)
CVT_SAT(u32, s64, 0, UINT32_MAX)
CVT_SAT(u32, s32, 0, UINT32_MAX)
ROW("cvt.u32.u8", u32, u32, none, none, (u8)a)
ROW("cvt.s32.s8", s32, s32, none, none, (s8)a)
ROW("cvt.s64.s8", s64, s64, none, none, (s8)a)
ROW("cvt.u16.u8", u16, u16, none, none, (u8)a)
ROW("cvt.sat.u8.s32", u32, s32, none, none, within(a, 0, 255))
ROW("cvt.sat.s8.s32", s32, s32, none, none, within(a, -128, 127))

/* Pairs, and what is left. */
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
ROW("setp.gt.or.s32 $p, $a, $b, 1; selp.u32 $d, 1, 0, $p;", u32, s32, s32, none, 1)
ROW("{ .reg .pred z; setp.lt.s32 $p|z, $a, $b; selp.u32 $d, 1, 0, z; }", u32, s32, s32, none, !(a < b))
ROW("mov.b32 $d, {$a, $b};", u32, u16, u16, none, (u32)b << 16 | a)
ROW("mov.b64 {$d, $t}, $a;", u32, u64, none, none, a)
ROW("mov.b64 $d, {$a, $b};", u64, u32, u32, none, (u64)b << 32 | a)

static u32 pairs_not_below_zero(u32 a, u32 b, char operation)
{
    u32 value = pairs(a, b, operation, true);

    return (value & 0x8000 ? 0 : value & 0xffff) | (value >> 31 ? 0 : value & 0xffff0000);
}

static u32 packed(s32 a, s32 b, u32 c, unsigned bits, s32 least, s32 most)
{
    const s32 values[] = {b, a};
    u64 value = 0;

    for (unsigned i = 0; i < 2; i++) {
        s32 bound = values[i] < least ? least : values[i] > most ? most : values[i];

        for (unsigned k = 0; k < bits; k++)
            value |= bit_at((u32)bound, (int)k) << (i * bits + k);
    }
    for (unsigned k = 2 * bits; k < 32; k++)
        value |= bit_at(c, (int)(k - 2 * bits)) << k;
    return (u32)value;
}

ROW("min.relu.s16x2", u32, u32, u32, none, pairs_not_below_zero(a, b, '<'))
ROW("max.relu.s16x2", u32, u32, u32, none, pairs_not_below_zero(a, b, '>'))
ROW("cvt.pack.sat.u16.s32", u32, s32, s32, none, packed(a, b, 0, 16, 0, 65535))
ROW("cvt.pack.sat.s16.s32", u32, s32, s32, none, packed(a, b, 0, 16, -32768, 32767))
ROW("cvt.pack.sat.u8.s32.b32", u32, s32, s32, u32, packed(a, b, c, 8, 0, 255))
ROW("cvt.pack.sat.s8.s32.b32", u32, s32, s32, u32, packed(a, b, c, 8, -128, 127))
ROW("cvt.pack.sat.u4.s32.b32", u32, s32, s32, u32, packed(a, b, c, 4, 0, 15))
ROW("cvt.pack.sat.s4.s32.b32", u32, s32, s32, u32, packed(a, b, c, 4, -8, 7))
ROW("cvt.pack.sat.u2.s32.b32", u32, s32, s32, u32, packed(a, b, c, 2, 0, 3))
ROW("cvt.pack.sat.s2.s32.b32", u32, s32, s32, u32, packed(a, b, c, 2, -2, 1))
ROW("{ .reg .pred x; setp.gt.s32 x, $a, 7; lop3.or.b32 $t|$p, $a, $b, $c, 0x96, x; selp.u32 $d, 1, 0, $p; "
    "xor.b32 $d, $d, $t; }",
    u32, u32, u32, u32, ((a ^ b ^ c) != 0 || (s32)a > 7) ^ a ^ b ^ c)
ROW("{ .reg .pred x; setp.gt.s32 x, $a, 7; lop3.and.b32 _|$p, $a, $b, $c, 0x80, !x; selp.u32 $d, 1, 0, $p; }",
    u32, u32, u32, u32, (a & b & c) != 0 && (s32)a <= 7)

/* A byte or half of a word as a number. */
static s32 part(u32 word, int at, int bits, bool sign)
{
    s32 value = 0;

    for (int i = 0; i < bits; i++)
        value |= (s32)(bit_at(word, at + i) << i);
    return sign && bit_at(word, at + bits - 1) ? value - (1 << bits) : value;
}

enum whole {
    ADDED,
    BOUND,
    CUT
};

/* Each part of a word by an operation of its own; types is one letter for D, A and B. */
static u32 parts(u32 a, u32 b, u32 c, int bits, const char *types, char operation, enum whole whole)
{
    s32 least = types[0] == 's' ? -(1 << (bits - 1)) : 0, most = least + (1 << bits) - 1;
    u32 word = 0;

    for (int at = 0; at < 32; at += bits) {
        s32 x = part(a, at, bits, types[1] == 's'), y = part(b, at, bits, types[2] == 's');
        s32 value = operation == '+'   ? x + y
                    : operation == '-' ? x - y
                    : operation == '/' ? (x + y) / 2 + ((x + y) % 2 == 1) - ((x + y) % 2 == -1)
                    : operation == '<' ? (x < y ? x : y)
                    : operation == '>' ? (x > y ? x : y)
                    : operation == '|' ? abs(x - y)
                    : operation == '=' ? x == y
                    : operation == '!' ? x != y
                    : operation == 'l' ? x < y
                    : operation == 'L' ? x <= y
                    : operation == 'g' ? x > y
                                       : x >= y;

        if (whole == BOUND)
            value = value < least ? least : value > most ? most : value;
        if (whole == ADDED)
            c += (u32)value;
        for (int i = 0; i < bits; i++)
            word |= (u32)bit_at((u32)value, i) << (at + i);
    }
    return whole == ADDED ? c : word;
}

#define VIDEO(NAME, BITS, OPERATION)                                                                         \
    ROW(NAME ".u32.u32.u32", u32, u32, u32, u32, parts(a, b, c, BITS, "uuu", OPERATION, CUT))                \
    ROW(NAME ".s32.s32.s32.sat", u32, u32, u32, u32, parts(a, b, c, BITS, "sss", OPERATION, BOUND))          \
    ROW(NAME ".u32.s32.u32.sat", u32, u32, u32, u32, parts(a, b, c, BITS, "usu", OPERATION, BOUND))          \
    ROW(NAME ".s32.u32.s32.add", u32, u32, u32, u32, parts(a, b, c, BITS, "sus", OPERATION, ADDED))
#define VIDEOS(NAME, OPERATION)                                                                              \
    VIDEO(NAME "2", 16, OPERATION)                                                                           \
    VIDEO(NAME "4", 8, OPERATION)
VIDEOS("vadd", '+')
VIDEOS("vsub", '-')
VIDEOS("vavrg", '/')
VIDEOS("vmin", '<')
VIDEOS("vmax", '>')
VIDEOS("vabsdiff", '|')
#define VIDEO_SET(COMPARISON, OPERATION)                                                                     \
    ROW("vset4.u32.s32." COMPARISON, u32, u32, u32, u32, parts(a, b, c, 8, "uus", OPERATION, CUT))           \
    ROW("vset2.s32.s32." COMPARISON ".add", u32, u32, u32, u32, parts(a, b, c, 16, "uss", OPERATION, ADDED))
VIDEO_SET("eq", '=')
VIDEO_SET("ne", '!')
VIDEO_SET("lt", 'l')
VIDEO_SET("le", 'L')
VIDEO_SET("gt", 'g')
VIDEO_SET("ge", 'G')
