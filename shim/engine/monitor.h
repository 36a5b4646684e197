/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.h - the timer thread: takes what is cold before somebody has to wait for room.
 *
 * Every EBBTIDE_PERIOD_MS it looks at the tiers. One that is over its high mark is brought down to its low mark with
 * blocks that nobody used for EBBTIDE_COLD_MS. What others use of a device, and what the cgroup and the kernel say of
 * the machine, count as well. Parked while no block is alive. In between it makes room for all allocations that wait,
 * with one drain.
 */
#ifndef EBB_MONITOR_H
#define EBB_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** One look at all tiers; what the thread does each period, and what tests call with a clock of their own. */
void monitor_tick(void);

/** There is something to look after: start the thread at the first call, wake it at later ones. Cheap. */
void monitor_wake(void);

/** True while the thread runs. */
bool monitor_runs(void);

/** True while it rests, because nothing is managed. */
bool monitor_is_parked(void);

/** Wait up to `wait_ms`, EBBTIDE_WAIT_MS or a few of them, until the thread has made room for `bytes` more on the
 *  device. No lock, no role, outside of user sections. False: nobody made room in time, or nobody is there to make it:
 *  then a thread makes room itself. */
bool monitor_wait_room(unsigned ordinal, uint64_t bytes, uint64_t wait_ms);

/** Somebody waits for what the thread does beside its ticks: have it look at once. */
void monitor_call(void);

/** Stop the thread and wait for it, on CLOCK_MONOTONIC. False: it has not ended by then, and a later call waits
 *  again. Once the process ends (core_leave) nothing starts it any more; before, the next monitor_wake does. */
bool monitor_stop(const struct timespec *until);

/** In a forked child: there is no thread. */
void monitor_forked(void);

#endif
