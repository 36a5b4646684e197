/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: stacks that one thread runs by turns. Nothing here locks, allocates or fails. ASan and TSan are told of each
 * switch.
 */
#ifndef SIMGPU_PTX_FIBER_H
#define SIMGPU_PTX_FIBER_H

#include <stdbool.h>
#include <stddef.h>

struct fiber {
    void *top;    /* of its stack, while it does not run */
    void *bottom; /* of the memory of its stack, for ASan */
    size_t bytes;
    void *fake;  /* ASan's */
    void *known; /* TSan's; made on first use, and kept with the stack */
};

/* What runs on the calling thread, as a fiber to come back to. */
void fiber_adopt(struct fiber *self);

/* Makes it begin entry(argument), which never returns, with its top that many bytes below the end of the stack. */
void fiber_prepare(struct fiber *fiber, void *stack, size_t bytes, size_t below, void (*entry)(void *),
                   void *argument);

/* Goes on with another one; returns when somebody comes back, which nobody may where it ends. */
void fiber_switch(struct fiber *from, struct fiber *to, bool ends);

/* The first thing that an entry does. */
void fiber_begin(struct fiber *self);

/* Its stack goes away. */
void fiber_forget(struct fiber *fiber);

#endif
