/* SPDX-License-Identifier: Apache-2.0 */
/* numbers.h - floats of every width for the reference: what they are, and the one that a value becomes. Modes of rounding are
 * those of <fenv.h>. */
#ifndef SIMGPU_PTX_TESTS_NUMBERS_H
#define SIMGPU_PTX_TESTS_NUMBERS_H

#include "ptx/tests/reference.h"

/* Zero for a subnormal, with its sign; within 0 and 1, and 0 for a NaN. */
f32 flushed(f32 x);
f64 clipped(f64 x);

/* x + y ('+', '-', '*', '/'), fma(x, y, z) ('f'), or the root of x, rounded so. */
f32 rounded32(char operation, f32 x, f32 y, f32 z, int mode);
f64 rounded64(char operation, f64 x, f64 y, f64 z, int mode);

/* The least or the largest of two; a NaN only if both are, or where `nan` says so. */
f64 chosen(f64 a, f64 b, bool least, bool nan);

f32 bits32(u32 bits);
/* The bits as a float; of a NaN those that PTX gives. */
u32 canonical32(f64 value);

/* As an integer of so many bits, within low and high; `wide` where the source is a double. */
u64 integer(long double value, int mode, s128 low, s128 high, bool wide, int bits);

/* As a float, from a sum that is exact. */
f32 narrow32(long double value, int mode);
f64 narrow64(long double value, int mode);

/* Halves: h with 5 bits of exponent, g (bf16) with 8. */
u16 half_nearest(long double value, int exponent_bits, int mode);
long double h(u16 bits);
long double g(u16 bits);
u16 to_h(long double value);
u16 to_g(long double value);
u16 flush_h(u16 bits);

/* x + y as a long double whose last bit is set where there is more: sums of halves span more than its 64 bits. */
long double sticky_sum(long double x, long double y);

/* Two of eight bits each, the first one above; and one of them as a half. */
u16 to_small(f64 a, f64 b, int exponent_bits, unsigned largest);
u16 from_small(unsigned bits, int exponent_bits);

#endif
