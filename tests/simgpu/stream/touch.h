/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel of PTX uses, as its loads and stores say: all of it, and nothing else. Memory is looked at when its page
 * of 4 KiB, or a part of one that belongs to more than one object, is met first: may the device use it, is it managed, does
 * it come over the link? When the kernel has ended, the pieces of 512 bytes that it has used are declared as simgpu_touch
 * declares them, joined where they meet. Pieces that small are the least that two allocations can be apart, so that kernels
 * and copies at work on neighbours are no hazard.
 */
#ifndef SIMGPU_TOUCH_H
#define SIMGPU_TOUCH_H

#include "stream/op.h"

/* Begins to note what the running operation's kernel uses, and notes nothing (a shared object's declares it itself). */
void touch_begin(struct op *op);
void touch_none(struct op *op);

/*
 * The running kernel uses so many bytes within one piece of 512. On the kernel's thread, without the lock. Ends the kernel
 * by fault_again where its device may not.
 */
void touch_access(uintptr_t address, size_t bytes);

/* The kernel has ended: declares what it has used, and waits for the link. Without the lock. */
void touch_end(struct op *op);

/* Forgets all of it. */
void touch_free(struct op *op);

#endif
