/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queues.h - the two queues of a tier: operations, in order of pinning, and buffers, least recent first.
 *
 * Shape    doubly linked lists through entries that lie in the caller's records; an entry is in one queue at most.
 * Owns     nothing, allocates nothing. The caller locks.
 * Units    none. Nothing here fails.
 */
#ifndef EBBTIDE_POLICY_QUEUES_H
#define EBBTIDE_POLICY_QUEUES_H

#include <stdint.h>

enum queue {
    QUEUE_NONE, /**< of an entry that is all zeros */
    QUEUE_OPERATIONS,
    QUEUE_BUFFERS,
    QUEUE_COUNT
};

struct queue_entry {
    struct queue_entry *prev, *next; /**< utlist's */
    uint8_t queue;                   /**< enum queue */
};

struct queues {
    struct queue_entry *head[QUEUE_COUNT]; /**< [QUEUE_NONE] stays NULL */
};

/** Move an entry to the end of a queue, its own included; QUEUE_NONE takes it out. */
void queues_move(struct queues *queues, struct queue_entry *entry, enum queue to);

#endif
