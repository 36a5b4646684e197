/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernels of the programs share. One source builds as C for the simulated device, where one call
 * runs the whole grid, and with nvcc for hardware. Results are the same to the bit in both: no fused
 * multiply-add
 * (-ffp-contract=off, -fmad=false), every float sum in one fixed order, atomics on integers only.
 */
#ifndef PROGRAMS_KERNEL_H
#define PROGRAMS_KERNEL_H

#include "random.h"
#include "simgpu_kernel.h"

/*
 * EACH spreads a range over the whole grid; EACH_BLOCK spreads it over the blocks, EACH_THREAD over the
 * threads of a block. In C each of them is a plain loop. LANES(n) is n in C and 1 on hardware: how many
 * neighbours one step handles, so that C has an inner loop to vectorise where hardware has threads.
 */
#ifdef __CUDACC__

#define EACH(type, i, count)        for (type i = (type)SIMGPU_FIRST; i < (count); i += (type)SIMGPU_STEP)
#define EACH_BLOCK(type, i, count)  for (type i = blockIdx.x; i < (count); i += gridDim.x)
#define EACH_THREAD(type, i, count) for (type i = threadIdx.x; i < (count); i += blockDim.x)
#define LANES(n)                    1
#define RESTRICT                    __restrict__
#define FUNCTION                    static __device__ inline
#define GLOBAL(type, name)                                                                                   \
    extern "C" {                                                                                             \
    __device__ type name;                                                                                    \
    }
#define FETCH_ADD(place, more) atomicAdd((unsigned long long *)(place), (unsigned long long)(more))
/* Puts `value` where 0 was; what was there before. */
#define CLAIM(place, value) atomicCAS((unsigned int *)(place), 0U, (unsigned int)(value))

#else

#define EACH(type, i, count)        for (type i = 0; i < (count); i++)
#define EACH_BLOCK(type, i, count)  EACH(type, i, count)
#define EACH_THREAD(type, i, count) EACH(type, i, count)
#define LANES(n)                    (n)
#define RESTRICT                    restrict
#define FUNCTION                    static inline
#define GLOBAL(type, name)                                                                                   \
    SIMGPU_EXPORT extern type name;                                                                          \
    type name;
#define FETCH_ADD(place, more) (*(place) += (more))
#define CLAIM(place, value)    kernel_claim(place, value)

/* One call runs the whole grid, so nothing else can come between. */
static inline uint32_t kernel_claim(uint32_t *place, uint32_t value)
{
    uint32_t before = *place;

    if (!before)
        *place = value;
    return before;
}

#endif

#endif
