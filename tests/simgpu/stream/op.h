/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: work in a stream, from submission to completion. An operation runs when it is the first of its
 * stream and everything it depends on is complete.
 *
 * Order is tracked with vector clocks: each stream has a slot, each of its operations the next number there.
 * An operation is ordered after another when its clock covers that one's number: by the stream, by
 * dependencies (events, the legacy stream), or because the host had seen it complete before it submitted.
 * What any thread of the host has seen counts for all of them.
 */
#ifndef SIMGPU_OP_H
#define SIMGPU_OP_H

#include "driver/sim.h"
#include "memory/memory.h"
#include "stream/work.h"

struct stream;

struct op_name {
    struct name name;
    size_t pitch, width; /* rows inside name: width bytes every pitch; pitch 0: all of it */
    unsigned node;
    bool whole; /* named by a kernel's parameter: stands for the whole object */
};

/* An operation that waits for this one. */
struct dependent {
    struct dependent *next;
    struct op *op;
};

struct op {
    struct op *next;          /* in the stream */
    struct op *older, *newer; /* among all incomplete operations, in order of submission */
    struct context *context;
    struct stream *stream;
    struct work work;
    struct op_name *names; /* in order of their node */
    size_t name_count, name_room;
    struct op_name *touches; /* what the kernel that runs now has declared */
    size_t touch_count, touch_room;
    uint64_t takes_ns;       /* that the running kernel says it does */
    struct touched *touched; /* what of PTX it has used so far; NULL: nothing is noted */
    bool is_exact;           /* the kernel that runs, or ran last, declares all that it uses */
    bool is_paged;           /* managed memory is among the names */
    unsigned node;           /* of a graph launch: which of its nodes runs, */
    bool inside;             /* while one does */
    struct dependent *dependents;
    unsigned unmet; /* incomplete operations it waits for, besides those before it in the stream */
    unsigned refs;
    bool abandoned; /* not in any stream: dependencies merely drop it */
    bool done;
    bool synchronous; /* a thread waits for it inside the call that submitted it */
    bool stuck;       /* SIMGPU_STUCK: never starts */
    CUresult result;
    uint64_t number;      /* over all streams, in order of submission */
    uint64_t slot_number; /* in its stream's slot */
    uint64_t done_ns;
    uint64_t *later; /* NULL, or a clock of what it came after only when it ran, of so many slots */
    size_t later_slots;
    size_t clock_slots;
    uint64_t clock[];
};

/* A new operation with one reference for the caller; it takes the work over (also on failure). NULL when
 * memory is out. */
struct op *op_create(struct stream *stream, struct work *work);

/* Makes it wait for another (NULL and complete ones are fine) and ordered after it. Before op_submit. */
CUresult op_depend(struct op *op, struct op *on);

/* Gives up one that will not be submitted: whatever it waits for completes it. The caller still drops it. */
void op_abandon(struct op *op);

/* Puts it into its stream. */
void op_submit(struct op *op);

void op_hold(struct op *op);
void op_drop(struct op *op);

/* Appends a name, which holds its memory in use until the operation is complete. CUDA_ERROR_OUT_OF_MEMORY. */
CUresult op_name(struct op *op, const struct op_name *name);

/* The same for what a running kernel declares, until that kernel has ended. */
CUresult op_touch(struct op *op, const struct op_name *name);
/* Forgets the first so many. */
void op_untouch(struct op *op, size_t count);

/* What the node that runs has named, and how many that are. */
size_t op_names(const struct op *op, const struct op_name **names);

/* Whether the running kernel has declared all that it uses of what it got by parameter: if it has declared anything. */
bool op_declares(const struct op *op, const struct memory *memory);

/* Waits until it is complete and notes that the host has seen it. May run it on the calling thread. Drops the
 * lock. */
void op_wait(struct op *op);

/* Notes that the host has seen it, and all before it, complete. */
void op_observe(const struct op *op);

/* The same for all that was before it, which a host function knows when it runs. */
void op_observe_before(const struct op *op);

/* Notes that the host has seen everything complete that is complete in the context. */
void op_observe_context(const struct context *context);
void op_observe_device(const struct device *device);

/* Waits for all operations submitted so far in the context, or, with context NULL, on the device. */
void op_drain(const struct context *context, const struct device *device);

/* Whether an operation is incomplete in a stream that the legacy default stream of the context waits for. */
bool op_pending_blocking(const struct context *context);

/* The running operation is ordered after all that is complete now, and so is what comes after it. */
void op_order_after_complete(struct op *op);

/* Whether one is ordered after (slot, number). */
bool op_after(const struct op *op, unsigned slot, uint64_t slot_number);

/* Whether the host has seen (slot, number) complete. */
bool op_observed(unsigned slot, uint64_t slot_number);

/* Number that the next operation gets, and that of the oldest incomplete one (the former if there is none).
 */
uint64_t op_next_number(void);
uint64_t op_oldest_number(void);

/* A slot for a new stream and the number its operations go on from, and back. CUDA_ERROR_OUT_OF_MEMORY. */
CUresult op_slot_take(unsigned *slot, uint64_t *slot_number);
void op_slot_give(unsigned slot, uint64_t slot_number);

/* For stream.c: runs the operation, which is first of its stream and ready, on the calling thread. Drops the
 * lock. */
void op_run(struct op *op);

#endif
