/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every export of NVIDIA's library that nobody here defines. All of them are weak: a definition in another
 * source wins, and no list of what is missing needs to be kept. The callers' prototypes differ; the result is
 * an error code in all of them but a few that register static kernels.
 */
#include "runtime/refuse.h"

#define EXPORT(name)                                                                                         \
    __attribute__((weak, visibility("default"))) int name(void);                                             \
    int name(void)                                                                                           \
    {                                                                                                        \
        static int printed;                                                                                  \
        return runtime_refuse(#name, &printed);                                                              \
    }
#ifdef CUDART_TWELVE
#include "runtime/exports_12.def"
#else
#include "runtime/exports.def"
#endif
