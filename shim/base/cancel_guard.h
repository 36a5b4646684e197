/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel_guard.h - between the program and what of us may wait, read, write, open or log.
 *
 * The program takes malloc, free and CUDA's functions for what they are without us: no points at which a thread can be
 * cancelled, and no writers of errno. So whatever of ours calls something that is, is behind a door. From cancel_guard_enter to
 * cancel_guard_leave the thread cannot be cancelled, deferred or at once: a cancel that is pending stays so, and is acted upon where
 * the program itself comes to such a point. errno comes out as it went in; a function that has an errno to tell sets it
 * behind cancel_guard_leave.
 *
 * Where     hooks.c, for every row but of class use; real.c, for those of the runtime; api.c; heap.c, malloc_slow.c,
 *           where an allocation waits or is refused; use.c, where a launch waits; object_pin.c, likewise; lifecycle.c, around fork
 *           and at the end; log.c. What is always quick, the fast paths of malloc, launches and pins, has no door.
 * Nesting   free: a door within a door finds nothing to do, and leaves it so.
 * Threads   any. Our own have no use for one: nobody has their names, and cannot cancel them.
 */
#ifndef EBB_CANCEL_GUARD_H
#define EBB_CANCEL_GUARD_H

/** On the caller's stack. */
struct cancel_guard {
    int cancel_state;
    int error;
};

void cancel_guard_enter(struct cancel_guard *guard);

/** Where the thread lets itself be cancelled at once and was meant to be, it ends here. */
void cancel_guard_leave(const struct cancel_guard *guard);

#endif
