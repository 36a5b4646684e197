/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instructions of PTX give, said once more and by other means than the device code: rounding by the C library's
 * modes, halves by a table of all of them, integers by loops over their bits. Shares nothing with what is tested.
 */
#ifndef SIMGPU_PTX_TESTS_REFERENCE_H
#define SIMGPU_PTX_TESTS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;
typedef uint8_t u8;
typedef int8_t s8;
typedef float f32;
typedef double f64;
typedef u16 f16;  /* bits */
typedef u16 bf16; /* bits */
typedef u32 f16x2;
typedef u32 bf16x2;
typedef char none;

/* Types of operands and results, and sets of values for them. */
enum kind {
    K_none,
    K_u16,
    K_s16,
    K_u32,
    K_s32,
    K_u64,
    K_s64,
    K_f16,
    K_bf16,
    K_f16x2,
    K_bf16x2,
    K_f32,
    K_f64,
    KINDS
};

enum {
    EXACT = 1, /* NaNs have to be the same bits */
    ALONE = 2  /* not in sequences: the sign of a NaN would show */
};

/* One instruction, or a few that belong together: $d $a $b $c are registers, $p a predicate, $t one of the result's
 * type. Without a $ the operands are to be written behind it. */
struct row {
    const char *text;
    enum kind d, a, b, c;
    unsigned flags;
    f64 relative, absolute; /* how far an approximation may be off */
    u64 (*result)(u64 a, u64 b, u64 c);
};

/* All rows, in no order. */
size_t rows(const struct row *const **list);

/* Whether a result is right. */
bool row_accepts(const struct row *row, u64 expected, u64 got);

/* The place of a kind in the register's name, its type in PTX, and its bytes. */
const char *kind_type(enum kind kind);
unsigned kind_bytes(enum kind kind);

/* The number-th value of a kind: those at the edges first, then any. */
u64 kind_value(enum kind kind, unsigned number, u64 random);

/* How many are at the edges. */
enum {
    EDGES = 20
};

#endif
