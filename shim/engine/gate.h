/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - who may use the device while blocks keep their place, and who may move them.
 *
 * A user section lies around each call that can start work on a device. While any thread is in one, nothing that a
 * kernel can reach is moved. An owner closes the gate, waits until every section has ended, moves, and opens it. It
 * closes it for the devices that may use what moves: a section that says that it has to do with none of them passes, and
 * is not waited for.
 *
 * Cost       an open gate costs its user two stores and two loads on a line of its own thread: the owner pays for the
 *            ordering with membarrier(2). Where the kernel has none, or a sandbox takes it away later, users pay for a
 *            fence.
 * Shape      one slot per thread, in a list that only grows; a dead thread's slot is used again.
 * Nesting    a section within one of the same thread, in a signal handler or a callback of the driver, ends by itself
 *            and leaves the outer one. A section that cannot end any more, since its frame is gone (a thread that has
 *            ended, an exception, a longjmp), is ended by its thread's end or its next section further up the stack.
 *            Within a section that has passed the closed gate, one that may not pass waits until it opens.
 * Threads    one owner at a time (the mover's role sees to that); a thread in a user section never becomes owner.
 * Source     membarrier(2): MEMBARRIER_CMD_PRIVATE_EXPEDITED orders the calling thread against every running
 *            thread of the process.
 */
#ifndef EBB_GATE_H
#define EBB_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct gate_slot {
    _Alignas(64) _Atomic uintptr_t inside; /**< the frame of the outermost user section; 0: in none */
    _Atomic uint64_t writes;  /**< calls so far that may have written device memory; never reset */
    _Atomic uint64_t reads;   /**< other calls, likewise */
    _Atomic uint32_t taken;   /**< 1 while a thread owns the slot */
    _Atomic uint32_t passes;  /**< the last closing of the gate that a section of it has passed */
    uint32_t nested;          /**< sections within that one; the owner's alone */
    void *held;               /**< what its sections hold elsewhere, see gate.abandon; the owner's alone */
    struct launch_ring *ring; /**< where its launches are noted, see foresight.h; the owner's alone */
    struct gate_slot *next;
};

/** Every device, and whoever does not say what it has to do with. */
#define GATE_ALL UINT32_MAX

struct gate {
    _Atomic uint32_t closed;  /**< futex word users wait on: 0, open; else the number of this closing */
    _Atomic uint32_t devices; /**< that it is closed for, bits by ordinal; what it was is left there */
    _Atomic uint32_t left;    /**< futex word the owner waits on: counts leavers that saw it closed */
    uint32_t closings;        /**< number of the last one; the owner's */
    _Atomic(struct gate_slot *) slots;
    _Atomic bool fenced; /**< users fence because the kernel has no membarrier for us */
    /** Called for a slot whose sections were given up, by the thread that had them. NULL: nothing else is held. */
    void (*abandon)(struct gate_slot *slot);
};

extern struct gate gate;
extern THREAD_LOCAL struct gate_slot *gate_slot_mine;

/** Before the first use. */
void gate_init(void);

/** In a forked child: only the calling thread is left. */
void gate_forked(void);

/** Give the calling thread its slot. NULL when there is no memory for one: the caller must not use the device. */
struct gate_slot *gate_join(void);

/** Tell the owner that a section has ended. */
void gate_wake_owner(void);

/** The lightest order between our store and our next load that membarrier completes to a full one. */
static inline void gate_order(void)
{
#if defined(__SANITIZE_THREAD__)
    /* The sanitizer has no fences: where there is no membarrier, a locked instruction stands in for one. */
    static __thread _Atomic uint32_t order;
#endif

    /* Whether to fence is asked after the store: see fence_from_now_on. */
    atomic_signal_fence(memory_order_seq_cst);
    if (LIKELY(!atomic_load_explicit(&gate.fenced, memory_order_relaxed)))
        return;
#if defined(__SANITIZE_THREAD__)
    atomic_exchange(&order, 1);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/** Enter a user section if that takes no waiting, as it nearly never does. NULL: call gate_enter at once, which takes
 *  back what was begun here.
 *  @frame  on the caller's stack, above what may begin a section within this one */
static inline struct gate_slot *gate_try(const void *frame)
{
    struct gate_slot *slot = gate_slot_mine;

    if (UNLIKELY(!slot) || UNLIKELY(atomic_load_explicit(&slot->inside, memory_order_relaxed) != 0))
        return NULL;
    atomic_store_explicit(&slot->inside, (uintptr_t)frame, memory_order_relaxed);
    gate_order();
    return LIKELY(!atomic_load_explicit(&gate.closed, memory_order_acquire)) ? slot : NULL;
}

/** The devices, as bits, that a section has to do with; it must be true for as long as the gate is closed. */
typedef uint32_t (*gate_devices_fn)(const void *frame);

/** Enter a user section, waiting while the gate is closed, unless the thread is in one: then `*out_nested`, which
 *  gate_leave_nested wants. NULL only when no slot could be had.
 *  @devices  asked with `frame` while the gate is closed for some devices only, maybe more than once; NULL: GATE_ALL */
struct gate_slot *gate_enter(const void *frame, gate_devices_fn devices, bool *out_nested);

/** True in a user section: the thread must not wait for the owner then. */
static inline bool gate_inside(void)
{
    const struct gate_slot *slot = gate_slot_mine;

    return slot && atomic_load_explicit(&slot->inside, memory_order_relaxed);
}

static inline void gate_leave(struct gate_slot *slot)
{
    atomic_store_explicit(&slot->inside, 0, memory_order_release);
    gate_order();
    if (UNLIKELY(atomic_load_explicit(&gate.closed, memory_order_relaxed)))
        gate_wake_owner();
}

/** Leave one within another; that goes on. */
static inline void gate_leave_nested(struct gate_slot *slot)
{
    slot->nested--;
}

static inline void gate_add(_Atomic uint64_t *calls)
{
    atomic_store_explicit(calls, atomic_load_explicit(calls, memory_order_relaxed) + 1, memory_order_release);
}

/** Count a call by whether it may write device memory. Inside the section, before the real call. */
static inline void gate_count(struct gate_slot *slot, bool writes)
{
    if (LIKELY(writes))
        gate_add(&slot->writes);
    else
        gate_add(&slot->reads);
}

/**
 * Close the gate for some devices and wait until no thread is in a user section, but those that passed it since.
 *
 * @devices      bits by ordinal, or GATE_ALL
 * @now_ns       clock of the deadline
 * @deadline_ns  UINT64_MAX: wait for ever
 * Returns  0, closed; -ETIMEDOUT, open again
 */
int gate_close(uint32_t devices, uint64_t (*now_ns)(void *arg), void *arg, uint64_t deadline_ns);
void gate_open(void);

/** Sum of every thread's writes. Exact while the gate is closed, but for those that pass it; a lower bound otherwise. */
uint64_t gate_writes(void);

/** Sum of every thread's calls, each of which has been made. False: some thread is in its section. */
bool gate_calls(uint64_t *out);

#endif
