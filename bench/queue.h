/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - the anchor of a touch: a queue of all blocks in order of use, kept under a mutex.
 */
#ifndef EBB_BENCH_QUEUE_H
#define EBB_BENCH_QUEUE_H

#include <stdint.h>

void queue_fill(uint32_t blocks);
void queue_empty(void);

/** Block `index` becomes the most recent. */
void queue_touch(uint32_t index);

#endif
