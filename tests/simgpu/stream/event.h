/* SPDX-License-Identifier: Apache-2.0 */
/* Events. A CUevent is the address of one. It stands for the order point of its latest record, or for a
 * capture's nodes. */
#ifndef SIMGPU_EVENT_H
#define SIMGPU_EVENT_H

#include "stream/stream.h"

struct capture;
struct node;

struct event {
    struct event *next; /* all, see event.c */
    struct context *context;
    unsigned flags;
    struct op *point;            /* NULL: never recorded in this process */
    struct shared_event *shared; /* one reference, or NULL: of this process alone */
    uint32_t number;             /* shared: of the latest record in this process */
    struct capture *capture;     /* recorded in a capture that goes on, or NULL */
    struct node **nodes;         /* what it stands for there */
    size_t node_count;
};

/* The event of a handle, or NULL. */
struct event *event_of(CUevent handle);

/* It now stands for that operation (takes over a reference), not for a capture. */
void event_set(struct event *event, struct op *point);

/* No event stands for the capture any more. */
void event_forget(const struct capture *capture);

/* Destroys all events of a context. */
void event_clear(struct context *context);

#endif
