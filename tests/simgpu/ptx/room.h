/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a block runs: the window of shared memory, stacks for its threads, a stack for the handler of faults. Rooms are
 * kept and used again; one kernel has one at a time, or one for each block where all of them run together.
 */
#ifndef SIMGPU_PTX_ROOM_H
#define SIMGPU_PTX_ROOM_H

#include "ptx/device/thread.h"
#include "ptx/fiber.h"

enum {
    ROOM_THREADS = 1024,
    ROOM_STACK_BYTES = 256 << 10,
    ROOM_SIGNAL_BYTES = 64 << 10,
    ROOM_TEXT_BYTES = 32 << 10,
    ROOM_BLOCK_BYTES = 4 << 10
};

/* A thread of the block that runs, and its stack. */
struct runner {
    struct fiber fiber;
    struct runner *next; /* in the one list that it waits in */
    u8 *stack;
    u32 result;          /* of the barrier that it waits at */
    struct block *block; /* that it is of, while that runs */
    struct ptx_thread thread;
};

struct room {
    struct room *next; /* that are free, or of the same kernel */
    u8 *window; /* offset 0 of shared memory; reserved from there on for all that 32 bits can say, and before it */
    size_t open_bytes;      /* of it that can be used */
    struct runner *runners; /* ROOM_THREADS */
    u8 *stacks;             /* all of them, one behind the other; NULL: not made yet */
    unsigned stack_count;
    size_t stack_bytes; /* of each */
    bool is_guarded;    /* below each lies a page that ends what outgrows it */
    u8 *signal_stack;
    void *block; /* ROOM_BLOCK_BYTES, for what block.c has to remember */
    char *text;  /* ROOM_TEXT_BYTES, for what a kernel prints */
};

/* NULL when memory is out. Without the lock. */
struct room *room_take(void);
void room_give(struct room *room);

/* Opens exactly so many bytes of shared memory, rounded to pages. False when memory is out. */
bool room_open(struct room *room, size_t bytes);

/*
 * Makes stacks for so many threads, each of at least that size. Guarded ones are two mappings each, of which Linux lets a
 * process have 65,530; others are one together. False when memory is out.
 */
bool room_stacks(struct room *room, unsigned count, size_t bytes, bool guarded);

/* Whether the address lies in a stack. */
bool room_has_stack(const struct room *room, u64 address);

#endif
