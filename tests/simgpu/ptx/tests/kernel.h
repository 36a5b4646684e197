/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel of PTX of which a test writes the body: %r0 is the thread, %r1 the block, %r2 the number in the grid; %rd0 and
 * %rd1 are the parameters, %rd2 is %rd0 and %rd3 %rd1 plus 4 for each number. More registers: %p to 7, %h to 7, %r to 31,
 * %rd to 15, %f to 15, %fd to 3.
 */
#ifndef SIMGPU_PTX_TESTS_KERNEL_H
#define SIMGPU_PTX_TESTS_KERNEL_H

#include <cuda.h>
#include <stdint.h>

enum {
    WORDS = 4096
};

extern uint32_t in[WORDS], out[WORDS];

/* Runs it and waits. before: what stands in front of the kernel. Four parameters. Returns what the wait says. */
CUresult kernel_of(const char *before, const char *body, unsigned blocks, unsigned threads,
                   const CUdeviceptr *params);

/* The same for a cooperative launch. */
CUresult kernel_together(const char *before, const char *body, unsigned blocks, unsigned threads,
                         const CUdeviceptr *params);

/* Starts the driver, runs with `in` as the first parameter and reads the second, which is zero at first, to `out`. */
void run_words(const char *before, const char *body, unsigned blocks, unsigned threads);

/* Any words to `in`; below so much where that is not 0. */
void fill(uint32_t below);

#endif
