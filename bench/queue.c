/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - see queue.h. */
#include "queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <utlist.h>

struct node {
    struct node *prev, *next;
};

static struct node *nodes, *head;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void queue_fill(uint32_t blocks)
{
    nodes = calloc(blocks, sizeof(*nodes));
    if (!nodes)
        abort();
    for (uint32_t i = 0; i < blocks; i++)
        DL_APPEND(head, &nodes[i]);
}

void queue_empty(void)
{
    head = NULL;
    free(nodes);
}

void queue_touch(uint32_t index)
{
    pthread_mutex_lock(&lock);
    DL_DELETE(head, &nodes[index]);
    DL_APPEND(head, &nodes[index]);
    pthread_mutex_unlock(&lock);
}
