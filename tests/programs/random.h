/* SPDX-License-Identifier: Apache-2.0 */
/* SplitMix64, for the programs and their kernels. */
#ifndef PROGRAMS_RANDOM_H
#define PROGRAMS_RANDOM_H

#include <stdint.h>

#ifdef __CUDACC__
__host__ __device__
#endif
    /* The n-th number of the sequence that begins at `seed`. */
    static inline uint64_t
    random_at(uint64_t seed, uint64_t n)
{
    uint64_t x = seed + (n + 1) * 0x9e3779b97f4a7c15U;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

#endif
