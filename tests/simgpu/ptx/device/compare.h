/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons: ptx_cmp_OPERATION_TYPE(a, b, flags). lo ls hi hs are the unsigned ones; with u behind them those of floats
 * hold for a NaN, too.
 */
#ifndef PTX_COMPARE_H
#define PTX_COMPARE_H

#define PTX_CMP(NAME, TYPE, CARRIER, EXPRESSION)                                                             \
    PTX_DEVICE bool ptx_cmp_##NAME##_##TYPE(CARRIER a, CARRIER b, u32 flags)                                 \
    {                                                                                                        \
        (void)flags;                                                                                         \
        return EXPRESSION;                                                                                   \
    }

#define PTX_CMP_BITS(TYPE, CARRIER)                                                                          \
    PTX_CMP(eq, TYPE, CARRIER, a == b)                                                                       \
    PTX_CMP(ne, TYPE, CARRIER, a != b)

#define PTX_CMP_ORDER(TYPE)                                                                                  \
    PTX_CMP_BITS(TYPE, TYPE)                                                                                 \
    PTX_CMP(lt, TYPE, TYPE, a < b)                                                                           \
    PTX_CMP(le, TYPE, TYPE, a <= b)                                                                          \
    PTX_CMP(gt, TYPE, TYPE, a > b)                                                                           \
    PTX_CMP(ge, TYPE, TYPE, a >= b)

#define PTX_CMP_UNSIGNED(TYPE)                                                                               \
    PTX_CMP_ORDER(TYPE)                                                                                      \
    PTX_CMP(lo, TYPE, TYPE, a < b)                                                                           \
    PTX_CMP(ls, TYPE, TYPE, a <= b)                                                                          \
    PTX_CMP(hi, TYPE, TYPE, a > b)                                                                           \
    PTX_CMP(hs, TYPE, TYPE, a >= b)

PTX_CMP_BITS(b16, u16)
PTX_CMP_BITS(b32, u32)
PTX_CMP_BITS(b64, u64)
PTX_CMP_UNSIGNED(u16)
PTX_CMP_UNSIGNED(u32)
PTX_CMP_UNSIGNED(u64)
PTX_CMP_ORDER(s16)
PTX_CMP_ORDER(s32)
PTX_CMP_ORDER(s64)

#define PTX_CMP_FLOAT_ONE(NAME, TYPE, CARRIER, WIDEN, EXPRESSION)                                            \
    PTX_DEVICE bool ptx_cmp_##NAME##_##TYPE(CARRIER first, CARRIER second, u32 flags)                        \
    {                                                                                                        \
        f64 a = WIDEN(first, flags), b = WIDEN(second, flags);                                               \
                                                                                                             \
        (void)flags;                                                                                         \
        return EXPRESSION;                                                                                   \
    }

#define PTX_CMP_FLOAT(TYPE, CARRIER, WIDEN)                                                                  \
    PTX_CMP_FLOAT_ONE(eq, TYPE, CARRIER, WIDEN, a == b)                                                      \
    PTX_CMP_FLOAT_ONE(ne, TYPE, CARRIER, WIDEN, a<b || a> b)                                                 \
    PTX_CMP_FLOAT_ONE(lt, TYPE, CARRIER, WIDEN, a < b)                                                       \
    PTX_CMP_FLOAT_ONE(le, TYPE, CARRIER, WIDEN, a <= b)                                                      \
    PTX_CMP_FLOAT_ONE(gt, TYPE, CARRIER, WIDEN, a > b)                                                       \
    PTX_CMP_FLOAT_ONE(ge, TYPE, CARRIER, WIDEN, a >= b)                                                      \
    PTX_CMP_FLOAT_ONE(equ, TYPE, CARRIER, WIDEN, !(a < b || a > b))                                          \
    PTX_CMP_FLOAT_ONE(neu, TYPE, CARRIER, WIDEN, a != b)                                                     \
    PTX_CMP_FLOAT_ONE(ltu, TYPE, CARRIER, WIDEN, !(a >= b))                                                  \
    PTX_CMP_FLOAT_ONE(leu, TYPE, CARRIER, WIDEN, !(a > b))                                                   \
    PTX_CMP_FLOAT_ONE(gtu, TYPE, CARRIER, WIDEN, !(a <= b))                                                  \
    PTX_CMP_FLOAT_ONE(geu, TYPE, CARRIER, WIDEN, !(a < b))                                                   \
    PTX_CMP_FLOAT_ONE(num, TYPE, CARRIER, WIDEN, a == a && b == b)                                           \
    PTX_CMP_FLOAT_ONE(nan, TYPE, CARRIER, WIDEN, a != a || b != b)

PTX_CMP_FLOAT(f16, u16, PTX_EXACT_f16)
PTX_CMP_FLOAT(bf16, u16, PTX_EXACT_bf16)
PTX_CMP_FLOAT(f32, f32, PTX_EXACT_f32)
PTX_CMP_FLOAT(f64, f64, PTX_EXACT_f64)

/* Of pairs: bit 0 for the lower halves, bit 1 for the upper ones. */
#define PTX_CMP_PAIR(NAME, HALF)                                                                             \
    PTX_DEVICE u32 ptx_cmp_##NAME##_##HALF##x2(u32 a, u32 b, u32 flags)                                      \
    {                                                                                                        \
        return (u32)ptx_cmp_##NAME##_##HALF((u16)a, (u16)b, flags) |                                         \
               (u32)ptx_cmp_##NAME##_##HALF((u16)(a >> 16), (u16)(b >> 16), flags) << 1;                     \
    }
#define PTX_CMP_PAIRS(HALF)                                                                                  \
    PTX_CMP_PAIR(eq, HALF)                                                                                   \
    PTX_CMP_PAIR(ne, HALF)                                                                                   \
    PTX_CMP_PAIR(lt, HALF)                                                                                   \
    PTX_CMP_PAIR(le, HALF)                                                                                   \
    PTX_CMP_PAIR(gt, HALF)                                                                                   \
    PTX_CMP_PAIR(ge, HALF)                                                                                   \
    PTX_CMP_PAIR(equ, HALF)                                                                                  \
    PTX_CMP_PAIR(neu, HALF)                                                                                  \
    PTX_CMP_PAIR(ltu, HALF)                                                                                  \
    PTX_CMP_PAIR(leu, HALF)                                                                                  \
    PTX_CMP_PAIR(gtu, HALF)                                                                                  \
    PTX_CMP_PAIR(geu, HALF)                                                                                  \
    PTX_CMP_PAIR(num, HALF)                                                                                  \
    PTX_CMP_PAIR(nan, HALF)

PTX_CMP_PAIRS(f16)
PTX_CMP_PAIRS(bf16)

#endif
