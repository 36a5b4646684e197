/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that several processes record and wait for: a file in memory that says how often the event was recorded, and which
 * record is complete. Where a later record completes before an earlier one, the earlier counts as complete.
 *
 * A handle leads to the file by way of /proc, so the process that made the event has to live when it is opened. A record
 * of a process that has ended counts as complete.
 *
 * Any thread; references are counted.
 */
#ifndef SIMGPU_SHARED_EVENT_H
#define SIMGPU_SHARED_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct shared_event;

/* What is handed to another process: at most 64 bytes. */
struct shared_event_handle {
    char magic[16];
    uint64_t id;
    int32_t pid, file;
};

/* A new one, never recorded, or the one that a handle names; with one reference. NULL: no memory, or no such event. */
struct shared_event *shared_event_create(void);
struct shared_event *shared_event_open(const struct shared_event_handle *handle);

/* Only of one that this process has made. False otherwise. */
bool shared_event_describe(const struct shared_event *event, struct shared_event_handle *handle);

void shared_event_hold(struct shared_event *event);
void shared_event_drop(struct shared_event *event);

/* Notes a record, and gives its number, from 1. */
uint32_t shared_event_record(struct shared_event *event);

/* The number of the latest record by any process; 0: never. */
uint32_t shared_event_latest(const struct shared_event *event);

void shared_event_complete(struct shared_event *event, uint32_t number);
bool shared_event_is_complete(const struct shared_event *event, uint32_t number);

/* Blocks until it is complete. */
void shared_event_wait(const struct shared_event *event, uint32_t number);

#endif
