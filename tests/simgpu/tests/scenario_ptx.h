/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of PTX, whose loads and stores say what they use: the pointers that they follow lie in memory. */
#ifndef SIMGPU_TESTS_SCENARIO_PTX_H
#define SIMGPU_TESTS_SCENARIO_PTX_H

/* A kernel reads what a set of another stream writes; with an event between them; and what lies next to it. */
void ptx_unordered(void);
void ptx_ordered(void);
void ptx_beside(void);

/* The same by a texture, whose handle is all that the kernel gets: what it reads is set, or what lies next to it. */
void ptx_sample_unordered(void);
void ptx_sample_beside(void);

/* Memory is unmapped that a kernel has read and may read again. */
void ptx_unmap_used(void);

/* A kernel reads a word in each of three pages of managed memory that has eight, which the device holds none of. */
void ptx_managed(void);

/* A kernel reads host memory that is mapped over a link of 0.1 GB/s; it must take as long as that. */
void ptx_zero_copy(void);

/* A trap in one of two streams. */
void ptx_trap(void);

#endif
