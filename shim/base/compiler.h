/* SPDX-License-Identifier: Apache-2.0 */
/* compiler.h - what we tell the compiler beyond C: what is seen from outside, what is rare, what is kept apart. */
#ifndef EBB_COMPILER_H
#define EBB_COMPILER_H

/** A name of the library that programs link with or look up; all others are hidden. */
#define EXPORT __attribute__((visibility("default")))

/** Conditions of the fast paths: how they nearly always come out. */
#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/** Rare paths, kept out of line so that the common one saves no registers; and the common ones, which are never a call. */
#define NO_INLINE     __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))

/** A parameter that the shape of a function asks for, and this one does not. */
#define IGNORED __attribute__((unused))

/** A variable of each thread that is reached without a call, which may allocate. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

#endif
