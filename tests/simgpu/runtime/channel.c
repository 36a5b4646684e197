/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

/* Answers by value, so the stub's error code would not do. */
struct cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, enum cudaChannelFormatKind f)
{
    return (struct cudaChannelFormatDesc){.x = x, .y = y, .z = z, .w = w, .f = f};
}
