/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bypass.h - libraries of the driver's that use the program's memory where none of our hooks sees it.
 *
 * NVENC reads its input with an engine that no event waits for, and OptiX launches by itself: what they use must stay where
 * it is. Others need nothing: NVDEC writes to memory of its own only, and whoever registers memory for RDMA or gdrcopy says
 * so with CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, which pins.
 *
 * Threads  any, no lock held.
 */
#ifndef EBB_BYPASS_H
#define EBB_BYPASS_H

#include <stdbool.h>

/** Look whether one was loaded, in whatever way, since the last look: then the core only accounts from now on, and says so.
 *  True: at this look, so whoever has planned a move gives it up. Cheap where no library was loaded since. */
bool bypass_look(void);

#endif
