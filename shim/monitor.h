/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.h - the timer thread: takes what is cold before somebody has to wait for room.
 *
 * Every EBBTIDE_PERIOD_MS it looks at the tiers. One that is over its high mark is brought down to its low mark with
 * blocks that nobody used for EBBTIDE_COLD_MS. Parked while no block is alive.
 */
#ifndef EBB_MONITOR_H
#define EBB_MONITOR_H

/** One look at all tiers; what the thread does each period, and what tests call with a clock of their own. */
void monitor_tick(void);

/** There is something to look after: start the thread at the first call, wake it at later ones. Cheap. */
void monitor_wake(void);

/** Stop the thread and wait for it. */
void monitor_stop(void);

/** In a forked child: there is no thread. */
void monitor_forked(void);

#endif
