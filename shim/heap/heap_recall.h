/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_recall.h - take back the credit that threads hold unused.
 *
 * A thread uses its credit without telling anybody, so it is asked in two steps: first nobody enters an account any
 * more (heap_recalls) and everybody has left; then slow_at is 0, so that no fast path begins. After each step
 * membarrier(2) makes all threads see it, at their next instruction. What may still be on its way then is one
 * allocation of HEAP_FAST_MOST_BYTES in each thread, which stays theirs.
 *
 * Threads  one recall at a time, with the list of accounts locked. The caller is not inside its account, or waits in it.
 */
#ifndef EBB_HEAP_RECALL_H
#define EBB_HEAP_RECALL_H

#include "heap/heap.h"

/** Tell the kernel that this will be used, while there is one thread yet: later it takes milliseconds. False: it cannot. */
bool heap_recall_start(void);

/** How much there is to take back, roughly. */
int64_t heap_recallable(const struct heap_account *accounts);

/** Take back what there is, and tell how much. Waits a fifth of a second at most for threads that are inside. */
int64_t heap_recall(struct heap_account *accounts);

#endif
