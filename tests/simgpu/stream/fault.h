/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Illegal addresses, and other ends of device code. Device code runs behind a guard; a fault at a device address, or a
 * simgpu_touch of what the device may not touch, ends it there; so does any fault in code that was generated from PTX. A
 * fault anywhere else, or outside device code, goes to the handler that was there before.
 */
#ifndef SIMGPU_FAULT_H
#define SIMGPU_FAULT_H

#include "stream/op.h"

/* Installs the handler. */
void fault_start(void);

/* Runs a kernel, copy, set or memory operation without the lock: CUDA_SUCCESS, CUDA_ERROR_ILLEGAL_ADDRESS, or what
 * fault_stop says. */
CUresult fault_guard(const struct work *work, struct op *op);

/* What simgpu_touch does. Without the lock, on any thread. */
void fault_touch(const void *ptr, size_t bytes);

/* What simgpu_touch_times does, and what simgpu_take does. The same. */
void fault_touch_times(const void *ptr, size_t bytes, unsigned passes);
void fault_take(uint64_t ns);

/* Ends the device code that runs on this thread, with an error that is told already. Without the lock. */
void fault_stop(CUresult result) __attribute__((noreturn));

/* Goes on to the guard outside, after what an inner one had to put back. */
void fault_again(void) __attribute__((noreturn));

/* How device code is done, in device code's own files. */
void kernel_run(const struct kernel_work *kernel, struct op *op);
void copy_run(const struct copy_work *copy, const struct op *op);
void set_run(const struct set_work *set);
void memop_run(const struct memop_work *memop, struct op *op);

#endif
