/* SPDX-License-Identifier: Apache-2.0 */
#include "queues.h"

#include <stddef.h>
#include <utlist.h>

void queues_move(struct queues *queues, struct queue_entry *entry, enum queue to)
{
    if (entry->queue != QUEUE_NONE)
        DL_DELETE(queues->head[entry->queue], entry);
    entry->queue = (uint8_t)to;
    if (to != QUEUE_NONE)
        DL_APPEND(queues->head[to], entry);
}
