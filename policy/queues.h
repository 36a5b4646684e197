/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queues.h - the two queues of a tier: operations, in order of pinning, and buffers, least recent first.
 *
 * Shape    an entry, in the caller's record, says which queue it is in and when it came there. To join the end of a
 *          queue is to draw the next number: entries move at every pin and unpin, and no neighbour has to be found in
 *          memory for it. Who wants them in their order, which is rare, looks at all entries.
 * Owns     nothing, allocates nothing. The caller locks.
 * Units    none. Nothing here fails.
 */
#ifndef EBB_QUEUES_H
#define EBB_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

enum queue {
    QUEUE_NONE, /**< of an entry that is all zeros */
    QUEUE_OPERATIONS,
    QUEUE_BUFFERS
};

struct queue_entry {
    uint64_t number; /**< those of a queue stand by it; 0 in none */
    uint8_t queue;   /**< enum queue */
};

struct queues {
    uint64_t last; /**< number drawn */
};

/** Move an entry to the end of a queue, its own included; QUEUE_NONE takes it out. */
static inline void queues_move(struct queues *queues, struct queue_entry *entry, enum queue to)
{
    entry->queue = (uint8_t)to;
    entry->number = to == QUEUE_NONE ? 0 : ++queues->last;
}

/** Of two entries of one queue: does `a` stand before `b`? */
static inline bool queues_before(const struct queue_entry *a, const struct queue_entry *b)
{
    return a->number < b->number;
}

#endif
