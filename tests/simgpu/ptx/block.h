/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of one block, or of several that run together, each a fiber, run by turns on one thread: in the order of their
 * numbers, each until it waits or ends. Barriers and meetings of lanes are exact, threads that have ended are waited for by nobody, and when all wait for each other
 * that is found out.
 */
#ifndef SIMGPU_PTX_BLOCK_H
#define SIMGPU_PTX_BLOCK_H

#include "ptx/room.h"

enum block_end {
    BLOCK_DONE,
    BLOCK_STUCK, /* all that are left wait */
    BLOCK_FAILED /* by block_escape */
};

/*
 * Runs a block of so many threads in each room of the list, all together; their runners' stacks and thread structures are
 * ready. On failure the fibers are left as they are, to be prepared anew.
 */
enum block_end block_run(struct room *rooms, unsigned threads, const struct ptx_code *code, const u8 *params);

/* From a fiber of the block that runs on this thread, or its handler of faults: back to block_run, for good. False: no
 * block runs. */
bool block_escape(void);

/* The machine's part of struct ptx_host. */
u32 block_barrier(struct ptx_thread *thread, u32 id, u32 count, enum ptx_barrier_kind kind, bool predicate);
void block_meet(struct ptx_thread *thread, u32 mask, void *mine, ptx_combine *combine);
u32 block_gather(struct ptx_thread *thread, const void *site);
void block_yield(struct ptx_thread *thread);
void block_exit(struct ptx_thread *thread) __attribute__((noreturn));

#endif
