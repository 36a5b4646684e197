/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer and bit instructions that C has no operator for, or one of another meaning. Arithmetic wraps: the text is
 * compiled with -fwrapv.
 */
#ifndef PTX_INTEGER_H
#define PTX_INTEGER_H

#define PTX_CLAMP(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))

/* TYPE is the C type, WIDE one that holds the product, BITS the width. */
#define PTX_INTEGER(TYPE, WIDE, UNSIGNED, BITS)                                                              \
    PTX_DEVICE TYPE ptx_min_##TYPE(TYPE a, TYPE b)                                                           \
    {                                                                                                        \
        return a < b ? a : b;                                                                                \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_max_##TYPE(TYPE a, TYPE b)                                                           \
    {                                                                                                        \
        return a > b ? a : b;                                                                                \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_mul_hi_##TYPE(TYPE a, TYPE b)                                                        \
    {                                                                                                        \
        return (TYPE)(((WIDE)a * (WIDE)b) >> BITS);                                                          \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_sad_##TYPE(TYPE a, TYPE b, TYPE c)                                                   \
    {                                                                                                        \
        UNSIGNED distance = (UNSIGNED)(a < b ? (UNSIGNED)b - (UNSIGNED)a : (UNSIGNED)a - (UNSIGNED)b);       \
                                                                                                             \
        return (TYPE)((UNSIGNED)c + distance);                                                               \
    }

PTX_INTEGER(u16, u32, u16, 16)
PTX_INTEGER(s16, s32, u16, 16)
PTX_INTEGER(u32, u64, u32, 32)
PTX_INTEGER(s32, s64, u32, 32)
PTX_INTEGER(u64, u128, u64, 64)
PTX_INTEGER(s64, s128, u64, 64)

#define PTX_WIDE(TYPE, WIDE)                                                                                 \
    PTX_DEVICE WIDE ptx_mul_wide_##TYPE(TYPE a, TYPE b)                                                      \
    {                                                                                                        \
        return (WIDE)a * (WIDE)b;                                                                            \
    }

PTX_WIDE(u16, u32)
PTX_WIDE(s16, s32)
PTX_WIDE(u32, u64)
PTX_WIDE(s32, s64)

/* A division by zero gives some value, and must not trap. */
#define PTX_DIVIDE_UNSIGNED(TYPE)                                                                            \
    PTX_DEVICE TYPE ptx_div_##TYPE(TYPE a, TYPE b)                                                           \
    {                                                                                                        \
        return b ? (TYPE)(a / b) : (TYPE) ~(TYPE)0;                                                          \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_rem_##TYPE(TYPE a, TYPE b)                                                           \
    {                                                                                                        \
        return b ? (TYPE)(a % b) : a;                                                                        \
    }

PTX_DIVIDE_UNSIGNED(u16)
PTX_DIVIDE_UNSIGNED(u32)
PTX_DIVIDE_UNSIGNED(u64)

#define PTX_DIVIDE_SIGNED(TYPE)                                                                              \
    PTX_DEVICE TYPE ptx_div_##TYPE(TYPE a, TYPE b)                                                           \
    {                                                                                                        \
        return b == -1 ? (TYPE)-a : b ? (TYPE)(a / b) : (TYPE)-1;                                            \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_rem_##TYPE(TYPE a, TYPE b)                                                           \
    {                                                                                                        \
        return b == -1 ? 0 : b ? (TYPE)(a % b) : a;                                                          \
    }

PTX_DIVIDE_SIGNED(s16)
PTX_DIVIDE_SIGNED(s32)
PTX_DIVIDE_SIGNED(s64)

#define PTX_ABSOLUTE(TYPE)                                                                                   \
    PTX_DEVICE TYPE ptx_abs_##TYPE(TYPE a)                                                                   \
    {                                                                                                        \
        return (TYPE)(a < 0 ? -a : a);                                                                       \
    }

PTX_ABSOLUTE(s16)
PTX_ABSOLUTE(s32)
PTX_ABSOLUTE(s64)

PTX_DEVICE s32 ptx_saturate_s32(s64 value)
{
    return (s32)PTX_CLAMP(value, (s64)INT32_MIN, (s64)INT32_MAX);
}

PTX_DEVICE s32 ptx_add_sat_s32(s32 a, s32 b)
{
    return ptx_saturate_s32((s64)a + b);
}

PTX_DEVICE s32 ptx_sub_sat_s32(s32 a, s32 b)
{
    return ptx_saturate_s32((s64)a - b);
}

PTX_DEVICE s32 ptx_mad_hi_sat_s32(s32 a, s32 b, s32 c)
{
    return ptx_saturate_s32((s64)ptx_mul_hi_s32(a, b) + c);
}

PTX_DEVICE s32 ptx_min_relu_s32(s32 a, s32 b)
{
    return ptx_max_s32(ptx_min_s32(a, b), 0);
}

PTX_DEVICE s32 ptx_max_relu_s32(s32 a, s32 b)
{
    return ptx_max_s32(ptx_max_s32(a, b), 0);
}

/* 24 bits of each operand: the low half of the product's 48 bits, or the 32 above its 16 lowest. */
PTX_DEVICE s64 ptx_product24_s32(s32 a, s32 b)
{
    return (s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8);
}

PTX_DEVICE u64 ptx_product24_u32(u32 a, u32 b)
{
    return (u64)(a & 0xffffff) * (b & 0xffffff);
}

#define PTX_MULTIPLY24(TYPE)                                                                                 \
    PTX_DEVICE TYPE ptx_mul24_lo_##TYPE(TYPE a, TYPE b)                                                      \
    {                                                                                                        \
        return (TYPE)ptx_product24_##TYPE(a, b);                                                             \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_mul24_hi_##TYPE(TYPE a, TYPE b)                                                      \
    {                                                                                                        \
        return (TYPE)(ptx_product24_##TYPE(a, b) >> 16);                                                     \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_mad24_lo_##TYPE(TYPE a, TYPE b, TYPE c)                                              \
    {                                                                                                        \
        return (TYPE)(ptx_mul24_lo_##TYPE(a, b) + c);                                                        \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_mad24_hi_##TYPE(TYPE a, TYPE b, TYPE c)                                              \
    {                                                                                                        \
        return (TYPE)(ptx_mul24_hi_##TYPE(a, b) + c);                                                        \
    }

PTX_MULTIPLY24(u32)
PTX_MULTIPLY24(s32)

PTX_DEVICE s32 ptx_mad24_hi_sat_s32(s32 a, s32 b, s32 c)
{
    return ptx_saturate_s32((s64)ptx_mul24_hi_s32(a, b) + c);
}

/* Carries. carry_in is 0 or 1; *carry is set to 0 or 1 (a borrow for differences). */
#define PTX_CARRY(TYPE, UNSIGNED)                                                                            \
    PTX_DEVICE TYPE ptx_add_cc_##TYPE(TYPE a, TYPE b, u32 carry_in, u32 *carry)                              \
    {                                                                                                        \
        UNSIGNED part = (UNSIGNED)a + (UNSIGNED)b, sum = part + carry_in;                                    \
                                                                                                             \
        *carry = (part < (UNSIGNED)a) | (sum < part);                                                        \
        return (TYPE)sum;                                                                                    \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_sub_cc_##TYPE(TYPE a, TYPE b, u32 borrow_in, u32 *borrow)                            \
    {                                                                                                        \
        UNSIGNED part = (UNSIGNED)a - (UNSIGNED)b;                                                           \
                                                                                                             \
        *borrow = ((UNSIGNED)a < (UNSIGNED)b) | (part < borrow_in);                                          \
        return (TYPE)(part - borrow_in);                                                                     \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_mad_lo_cc_##TYPE(TYPE a, TYPE b, TYPE c, u32 carry_in, u32 *carry)                   \
    {                                                                                                        \
        return ptx_add_cc_##TYPE((TYPE)((UNSIGNED)a * (UNSIGNED)b), c, carry_in, carry);                     \
    }                                                                                                        \
    PTX_DEVICE TYPE ptx_mad_hi_cc_##TYPE(TYPE a, TYPE b, TYPE c, u32 carry_in, u32 *carry)                   \
    {                                                                                                        \
        return ptx_add_cc_##TYPE(ptx_mul_hi_##TYPE(a, b), c, carry_in, carry);                               \
    }

PTX_CARRY(u32, u32)
PTX_CARRY(s32, u32)
PTX_CARRY(u64, u64)
PTX_CARRY(s64, u64)

/* Shifts by the width or more leave nothing but signs. */
#define PTX_SHIFT(BITS)                                                                                      \
    PTX_DEVICE u##BITS ptx_shl_b##BITS(u##BITS a, u32 n)                                                     \
    {                                                                                                        \
        return n < BITS ? (u##BITS)(a << n) : 0;                                                             \
    }                                                                                                        \
    PTX_DEVICE u##BITS ptx_shr_u##BITS(u##BITS a, u32 n)                                                     \
    {                                                                                                        \
        return n < BITS ? (u##BITS)(a >> n) : 0;                                                             \
    }                                                                                                        \
    PTX_DEVICE u##BITS ptx_shr_b##BITS(u##BITS a, u32 n)                                                     \
    {                                                                                                        \
        return ptx_shr_u##BITS(a, n);                                                                        \
    }                                                                                                        \
    PTX_DEVICE s##BITS ptx_shr_s##BITS(s##BITS a, u32 n)                                                     \
    {                                                                                                        \
        return (s##BITS)(a >> (n < BITS ? n : BITS - 1));                                                    \
    }                                                                                                        \
    PTX_DEVICE u##BITS ptx_cnot_b##BITS(u##BITS a)                                                           \
    {                                                                                                        \
        return a == 0;                                                                                       \
    }

PTX_SHIFT(16)
PTX_SHIFT(32)
PTX_SHIFT(64)

/* Of the pair {b, a}: the upper half shifted left, or the lower one shifted right. */
PTX_DEVICE u32 ptx_shf_l_clamp_b32(u32 a, u32 b, u32 c)
{
    u32 n = c < 32 ? c : 32;

    return (u32)((((u64)b << 32 | a) << n) >> 32);
}

PTX_DEVICE u32 ptx_shf_r_clamp_b32(u32 a, u32 b, u32 c)
{
    u32 n = c < 32 ? c : 32;

    return (u32)(((u64)b << 32 | a) >> n);
}

PTX_DEVICE u32 ptx_shf_l_wrap_b32(u32 a, u32 b, u32 c)
{
    return ptx_shf_l_clamp_b32(a, b, c & 31);
}

PTX_DEVICE u32 ptx_shf_r_wrap_b32(u32 a, u32 b, u32 c)
{
    return ptx_shf_r_clamp_b32(a, b, c & 31);
}

PTX_DEVICE u32 ptx_popc_b32(u32 a)
{
    return (u32)__builtin_popcount(a);
}

PTX_DEVICE u32 ptx_popc_b64(u64 a)
{
    return (u32)__builtin_popcountll(a);
}

PTX_DEVICE u32 ptx_clz_b32(u32 a)
{
    return a ? (u32)__builtin_clz(a) : 32;
}

PTX_DEVICE u32 ptx_clz_b64(u64 a)
{
    return a ? (u32)__builtin_clzll(a) : 64;
}

PTX_DEVICE u32 ptx_brev_b32(u32 a)
{
    a = (a & 0x55555555) << 1 | (a >> 1 & 0x55555555);
    a = (a & 0x33333333) << 2 | (a >> 2 & 0x33333333);
    a = (a & 0x0f0f0f0f) << 4 | (a >> 4 & 0x0f0f0f0f);
    return __builtin_bswap32(a);
}

PTX_DEVICE u64 ptx_brev_b64(u64 a)
{
    return (u64)ptx_brev_b32((u32)a) << 32 | ptx_brev_b32((u32)(a >> 32));
}

/* The highest bit that is no sign; all ones where there is none. */
#define PTX_FIND(BITS)                                                                                       \
    PTX_DEVICE u32 ptx_bfind_u##BITS(u##BITS a)                                                              \
    {                                                                                                        \
        return a ? BITS - 1 - ptx_clz_b##BITS(a) : ~(u32)0;                                                  \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_bfind_s##BITS(s##BITS a)                                                              \
    {                                                                                                        \
        return ptx_bfind_u##BITS((u##BITS)(a < 0 ? ~a : a));                                                 \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_bfind_shiftamt_u##BITS(u##BITS a)                                                     \
    {                                                                                                        \
        return a ? ptx_clz_b##BITS(a) : ~(u32)0;                                                             \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_bfind_shiftamt_s##BITS(s##BITS a)                                                     \
    {                                                                                                        \
        return ptx_bfind_shiftamt_u##BITS((u##BITS)(a < 0 ? ~a : a));                                        \
    }

PTX_FIND(32)
PTX_FIND(64)

/* Fields: position and length count up to 255; what lies past the top is no part of the field. */
#define PTX_FIELD(BITS)                                                                                      \
    PTX_DEVICE u##BITS ptx_low_b##BITS(u32 length)                                                           \
    {                                                                                                        \
        return length < BITS ? ((u##BITS)1 << length) - 1 : ~(u##BITS)0;                                     \
    }                                                                                                        \
    PTX_DEVICE u##BITS ptx_bfe_u##BITS(u##BITS a, u32 b, u32 c)                                              \
    {                                                                                                        \
        return ptx_shr_u##BITS(a, b & 255) & ptx_low_b##BITS(c & 255);                                       \
    }                                                                                                        \
    PTX_DEVICE s##BITS ptx_bfe_s##BITS(s##BITS a, u32 b, u32 c)                                              \
    {                                                                                                        \
        u32 position = b & 255, length = c & 255, left = position < BITS ? BITS - position : 0;              \
        u##BITS field = (u##BITS)ptx_shr_s##BITS(a, position);                                               \
                                                                                                             \
        if (length == 0)                                                                                     \
            return 0;                                                                                        \
        if (length >= left)                                                                                  \
            return (s##BITS)field;                                                                           \
        return (s##BITS)(field << (BITS - length)) >> (BITS - length);                                       \
    }                                                                                                        \
    PTX_DEVICE u##BITS ptx_bfi_b##BITS(u##BITS a, u##BITS b, u32 c, u32 d)                                   \
    {                                                                                                        \
        u##BITS mask = ptx_shl_b##BITS(ptx_low_b##BITS(d & 255), c & 255);                                   \
                                                                                                             \
        return (ptx_shl_b##BITS(a, c & 255) & mask) | (b & ~mask);                                           \
    }

PTX_FIELD(32)
PTX_FIELD(64)

PTX_DEVICE u32 ptx_bmsk_wrap_b32(u32 a, u32 b)
{
    return ptx_low_b32(b & 31) << (a & 31);
}

PTX_DEVICE u32 ptx_bmsk_clamp_b32(u32 a, u32 b)
{
    return ptx_shl_b32(ptx_low_b32(b), a);
}

PTX_DEVICE u32 ptx_szext_clamp_u32(u32 a, u32 b)
{
    return a & ptx_low_b32(b);
}

PTX_DEVICE u32 ptx_szext_wrap_u32(u32 a, u32 b)
{
    return a & ptx_low_b32(b & 31);
}

PTX_DEVICE s32 ptx_szext_clamp_s32(s32 a, u32 b)
{
    return b == 0 ? 0 : b >= 32 ? a : (s32)((u32)a << (32 - b)) >> (32 - b);
}

PTX_DEVICE s32 ptx_szext_wrap_s32(s32 a, u32 b)
{
    return ptx_szext_clamp_s32(a, b & 31);
}

/* The n-th set bit from base on, upwards or, n negative, downwards. */
PTX_DEVICE u32 ptx_fns_b32(u32 mask, u32 base, s32 n)
{
    s64 left = n < 0 ? -(s64)n : n;

    if (base > 31)
        return ~(u32)0;
    if (n == 0)
        return mask >> base & 1 ? base : ~(u32)0;
    for (s32 at = (s32)base; at >= 0 && at<32; at += n> 0 ? 1 : -1)
        if ((mask >> at & 1) && --left == 0)
            return (u32)at;
    return ~(u32)0;
}

/* Bit 4a + 2b + c of the table is the result for the bits a, b, c. */
PTX_DEVICE u32 ptx_lop3_b32(u32 a, u32 b, u32 c, u32 table)
{
    u32 result = 0;

    for (u32 i = 0; i < 8; i++)
        if (table >> i & 1)
            result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return result;
}

/* Each nibble of the selector takes a byte of {b, a}, or eight copies of its sign. */
PTX_DEVICE u32 ptx_prmt_b32(u32 a, u32 b, u32 selector)
{
    u64 bytes = (u64)b << 32 | a;
    u32 result = 0;

    for (u32 i = 0; i < 4; i++) {
        u32 nibble = selector >> 4 * i & 15, byte = (u32)(bytes >> 8 * (nibble & 7)) & 255;

        if (nibble & 8)
            byte = byte & 128 ? 255 : 0;
        result |= byte << 8 * i;
    }
    return result;
}

/* The modes are selectors, chosen by the two low bits. */
#define PTX_PERMUTE(MODE, S0, S1, S2, S3)                                                                    \
    PTX_DEVICE u32 ptx_prmt_##MODE##_b32(u32 a, u32 b, u32 c)                                                \
    {                                                                                                        \
        u32 which = c & 3;                                                                                   \
                                                                                                             \
        return ptx_prmt_b32(a, b, which == 0 ? S0 : which == 1 ? S1 : which == 2 ? S2 : S3);                 \
    }

PTX_PERMUTE(f4e, 0x3210, 0x4321, 0x5432, 0x6543)
PTX_PERMUTE(b4e, 0x5670, 0x6701, 0x7012, 0x0123)
PTX_PERMUTE(rc8, 0x0000, 0x1111, 0x2222, 0x3333)
PTX_PERMUTE(ecl, 0x3210, 0x3211, 0x3222, 0x3333)
PTX_PERMUTE(ecr, 0x0000, 0x1110, 0x2210, 0x3210)
PTX_PERMUTE(rc16, 0x1010, 0x3232, 0x1010, 0x3232)

/* Dot products of bytes, and of halves with bytes. */
#define PTX_DOT(AT, BT, A8, A16, B8)                                                                         \
    PTX_DEVICE u32 ptx_dp4a_##AT##_##BT(u32 a, u32 b, u32 c)                                                 \
    {                                                                                                        \
        for (u32 i = 0; i < 4; i++)                                                                          \
            c += (u32)((s32)(A8)(a >> 8 * i) * (s32)(B8)(b >> 8 * i));                                       \
        return c;                                                                                            \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_dp2a_lo_##AT##_##BT(u32 a, u32 b, u32 c)                                              \
    {                                                                                                        \
        for (u32 i = 0; i < 2; i++)                                                                          \
            c += (u32)((s32)(A16)(a >> 16 * i) * (s32)(B8)(b >> 8 * i));                                     \
        return c;                                                                                            \
    }                                                                                                        \
    PTX_DEVICE u32 ptx_dp2a_hi_##AT##_##BT(u32 a, u32 b, u32 c)                                              \
    {                                                                                                        \
        return ptx_dp2a_lo_##AT##_##BT(a, b >> 16, c);                                                       \
    }

PTX_DOT(u32, u32, u8, u16, u8)
PTX_DOT(u32, s32, u8, u16, s8)
PTX_DOT(s32, u32, s8, s16, u8)
PTX_DOT(s32, s32, s8, s16, s8)

/* Two numbers bound to so many bits, the second one below the first, and what there was above them. */
PTX_DEVICE u32 ptx_cvt_pack(s32 a, s32 b, u32 c, u32 bits, s32 least, s32 most)
{
    u32 mask = ((u32)1 << bits) - 1,
        high = (u32)(a < least  ? least
                     : a > most ? most
                                : a) &
               mask,
        low = (u32)(b < least  ? least
                    : b > most ? most
                               : b) &
              mask;

    return (bits < 16 ? c << 2 * bits : 0) | high << bits | low;
}

#endif
