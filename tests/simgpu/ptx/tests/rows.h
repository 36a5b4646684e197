/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h - how a row of the reference is written: they are found by their section of the object files, whichever those are. */
#ifndef SIMGPU_PTX_TESTS_ROWS_H
#define SIMGPU_PTX_TESTS_ROWS_H

#include <string.h>

#include "ptx/tests/reference.h"

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

#endif
