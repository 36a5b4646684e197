/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kernel source for both worlds.
 *
 * SIMGPU_KERNELn (n parameters, 1 to 6) is an ordinary `extern "C" __global__` function for nvcc, and the
 * function and table of simgpu.h for a C compiler. A loop from SIMGPU_FIRST in steps of SIMGPU_STEP is a
 * grid-stride loop there and a plain loop here:
 *
 *     SIMGPU_KERNEL3(add, float *, out, const float *, in, uint64_t, count)
 *     {
 *         SIMGPU_TOUCH(out, count * sizeof *out);
 *         for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
 *             out[i] += in[i];
 *     }
 */
#ifndef SIMGPU_KERNEL_H
#define SIMGPU_KERNEL_H

#include "simgpu.h"

#ifdef __CUDACC__

#define SIMGPU_FIRST                                 ((uint64_t)blockIdx.x * blockDim.x + threadIdx.x)
#define SIMGPU_STEP                                  ((uint64_t)gridDim.x * blockDim.x)
#define SIMGPU_TOUCH(ptr, bytes)                     ((void)0)
#define SIMGPU_TOUCH_TIMES(ptr, bytes, passes)       ((void)0)
#define SIMGPU_TAKE(ns)                              ((void)0)
#define SIMGPU_KERNEL1(name, t1, n1)                 extern "C" __global__ void name(t1 n1)
#define SIMGPU_KERNEL2(name, t1, n1, t2, n2)         extern "C" __global__ void name(t1 n1, t2 n2)
#define SIMGPU_KERNEL3(name, t1, n1, t2, n2, t3, n3) extern "C" __global__ void name(t1 n1, t2 n2, t3 n3)
#define SIMGPU_KERNEL4(name, t1, n1, t2, n2, t3, n3, t4, n4)                                                 \
    extern "C" __global__ void name(t1 n1, t2 n2, t3 n3, t4 n4)
#define SIMGPU_KERNEL5(name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5)                                         \
    extern "C" __global__ void name(t1 n1, t2 n2, t3 n3, t4 n4, t5 n5)
#define SIMGPU_KERNEL6(name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6)                                 \
    extern "C" __global__ void name(t1 n1, t2 n2, t3 n3, t4 n4, t5 n5, t6 n6)

#else

#ifdef __cplusplus
#define SIMGPU_C_ extern "C"
#else
#define SIMGPU_C_ extern
#endif

#define SIMGPU_FIRST                           ((uint64_t)0)
#define SIMGPU_STEP                            ((uint64_t)1)
#define SIMGPU_TOUCH(ptr, bytes)               simgpu_touch(ptr, bytes)
#define SIMGPU_TOUCH_TIMES(ptr, bytes, passes) simgpu_touch_times(ptr, bytes, passes)
#define SIMGPU_TAKE(ns)                        simgpu_take(ns)
#define SIMGPU_PARAM_(name, field)                                                                           \
    {                                                                                                        \
        offsetof(struct name##_layout, field), sizeof(((struct name##_layout *)0)->field)                    \
    }
#define SIMGPU_KERNEL1(name, t1, n1)                                                                         \
    struct name##_layout {                                                                                   \
        t1 n1;                                                                                               \
    };                                                                                                       \
    SIMGPU_C_ SIMGPU_EXPORT const struct simgpu_param name##_params[];                                       \
    const struct simgpu_param name##_params[] = {SIMGPU_PARAM_(name, n1), {0, 0}};                           \
    static void name##_body(t1 n1);                                                                          \
    SIMGPU_C_ SIMGPU_EXPORT void name(const struct simgpu_launch *launch, void **params);                    \
    void name(const struct simgpu_launch *launch, void **params)                                             \
    {                                                                                                        \
        (void)launch;                                                                                        \
        name##_body(*(t1 *)params[0]);                                                                       \
    }                                                                                                        \
    static void name##_body(t1 n1)
#define SIMGPU_KERNEL2(name, t1, n1, t2, n2)                                                                 \
    struct name##_layout {                                                                                   \
        t1 n1;                                                                                               \
        t2 n2;                                                                                               \
    };                                                                                                       \
    SIMGPU_C_ SIMGPU_EXPORT const struct simgpu_param name##_params[];                                       \
    const struct simgpu_param name##_params[] = {SIMGPU_PARAM_(name, n1), SIMGPU_PARAM_(name, n2), {0, 0}};  \
    static void name##_body(t1 n1, t2 n2);                                                                   \
    SIMGPU_C_ SIMGPU_EXPORT void name(const struct simgpu_launch *launch, void **params);                    \
    void name(const struct simgpu_launch *launch, void **params)                                             \
    {                                                                                                        \
        (void)launch;                                                                                        \
        name##_body(*(t1 *)params[0], *(t2 *)params[1]);                                                     \
    }                                                                                                        \
    static void name##_body(t1 n1, t2 n2)
#define SIMGPU_KERNEL3(name, t1, n1, t2, n2, t3, n3)                                                         \
    struct name##_layout {                                                                                   \
        t1 n1;                                                                                               \
        t2 n2;                                                                                               \
        t3 n3;                                                                                               \
    };                                                                                                       \
    SIMGPU_C_ SIMGPU_EXPORT const struct simgpu_param name##_params[];                                       \
    const struct simgpu_param name##_params[] = {                                                            \
        SIMGPU_PARAM_(name, n1), SIMGPU_PARAM_(name, n2), SIMGPU_PARAM_(name, n3), {0, 0}};                  \
    static void name##_body(t1 n1, t2 n2, t3 n3);                                                            \
    SIMGPU_C_ SIMGPU_EXPORT void name(const struct simgpu_launch *launch, void **params);                    \
    void name(const struct simgpu_launch *launch, void **params)                                             \
    {                                                                                                        \
        (void)launch;                                                                                        \
        name##_body(*(t1 *)params[0], *(t2 *)params[1], *(t3 *)params[2]);                                   \
    }                                                                                                        \
    static void name##_body(t1 n1, t2 n2, t3 n3)
#define SIMGPU_KERNEL4(name, t1, n1, t2, n2, t3, n3, t4, n4)                                                 \
    struct name##_layout {                                                                                   \
        t1 n1;                                                                                               \
        t2 n2;                                                                                               \
        t3 n3;                                                                                               \
        t4 n4;                                                                                               \
    };                                                                                                       \
    SIMGPU_C_ SIMGPU_EXPORT const struct simgpu_param name##_params[];                                       \
    const struct simgpu_param name##_params[] = {SIMGPU_PARAM_(name, n1),                                    \
                                                 SIMGPU_PARAM_(name, n2),                                    \
                                                 SIMGPU_PARAM_(name, n3),                                    \
                                                 SIMGPU_PARAM_(name, n4),                                    \
                                                 {0, 0}};                                                    \
    static void name##_body(t1 n1, t2 n2, t3 n3, t4 n4);                                                     \
    SIMGPU_C_ SIMGPU_EXPORT void name(const struct simgpu_launch *launch, void **params);                    \
    void name(const struct simgpu_launch *launch, void **params)                                             \
    {                                                                                                        \
        (void)launch;                                                                                        \
        name##_body(*(t1 *)params[0], *(t2 *)params[1], *(t3 *)params[2], *(t4 *)params[3]);                 \
    }                                                                                                        \
    static void name##_body(t1 n1, t2 n2, t3 n3, t4 n4)
#define SIMGPU_KERNEL5(name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5)                                         \
    struct name##_layout {                                                                                   \
        t1 n1;                                                                                               \
        t2 n2;                                                                                               \
        t3 n3;                                                                                               \
        t4 n4;                                                                                               \
        t5 n5;                                                                                               \
    };                                                                                                       \
    SIMGPU_C_ SIMGPU_EXPORT const struct simgpu_param name##_params[];                                       \
    const struct simgpu_param name##_params[] = {SIMGPU_PARAM_(name, n1), SIMGPU_PARAM_(name, n2),           \
                                                 SIMGPU_PARAM_(name, n3), SIMGPU_PARAM_(name, n4),           \
                                                 SIMGPU_PARAM_(name, n5), {0, 0}};                           \
    static void name##_body(t1 n1, t2 n2, t3 n3, t4 n4, t5 n5);                                              \
    SIMGPU_C_ SIMGPU_EXPORT void name(const struct simgpu_launch *launch, void **params);                    \
    void name(const struct simgpu_launch *launch, void **params)                                             \
    {                                                                                                        \
        (void)launch;                                                                                        \
        name##_body(*(t1 *)params[0], *(t2 *)params[1], *(t3 *)params[2], *(t4 *)params[3],                  \
                    *(t5 *)params[4]);                                                                       \
    }                                                                                                        \
    static void name##_body(t1 n1, t2 n2, t3 n3, t4 n4, t5 n5)
#define SIMGPU_KERNEL6(name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6)                                 \
    struct name##_layout {                                                                                   \
        t1 n1;                                                                                               \
        t2 n2;                                                                                               \
        t3 n3;                                                                                               \
        t4 n4;                                                                                               \
        t5 n5;                                                                                               \
        t6 n6;                                                                                               \
    };                                                                                                       \
    SIMGPU_C_ SIMGPU_EXPORT const struct simgpu_param name##_params[];                                       \
    const struct simgpu_param name##_params[] = {SIMGPU_PARAM_(name, n1),                                    \
                                                 SIMGPU_PARAM_(name, n2),                                    \
                                                 SIMGPU_PARAM_(name, n3),                                    \
                                                 SIMGPU_PARAM_(name, n4),                                    \
                                                 SIMGPU_PARAM_(name, n5),                                    \
                                                 SIMGPU_PARAM_(name, n6),                                    \
                                                 {0, 0}};                                                    \
    static void name##_body(t1 n1, t2 n2, t3 n3, t4 n4, t5 n5, t6 n6);                                       \
    SIMGPU_C_ SIMGPU_EXPORT void name(const struct simgpu_launch *launch, void **params);                    \
    void name(const struct simgpu_launch *launch, void **params)                                             \
    {                                                                                                        \
        (void)launch;                                                                                        \
        name##_body(*(t1 *)params[0], *(t2 *)params[1], *(t3 *)params[2], *(t4 *)params[3],                  \
                    *(t5 *)params[4], *(t6 *)params[5]);                                                     \
    }                                                                                                        \
    static void name##_body(t1 n1, t2 n2, t3 n3, t4 n4, t5 n5, t6 n6)

#endif

#endif
