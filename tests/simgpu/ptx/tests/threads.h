/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of threads without the driver. */
#ifndef SIMGPU_PTX_TESTS_THREADS_H
#define SIMGPU_PTX_TESTS_THREADS_H

#include "ptx/block.h"

typedef void thread_body(struct ptx_thread *thread, const u8 *params);

/* Runs a block of one dimension, with 4096 bytes of shared memory. Ends the test where memory is out. */
enum block_end threads_run(size_t stack_bytes, unsigned threads, thread_body *body);

#endif
