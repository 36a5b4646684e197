/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pools.h - what stream-ordered pools hold of the devices. Kept by hook_pool.c.
 *
 * A driver gives memory of a pool back by itself, when a stream has come to the free or at the next synchronisation.
 * So what the ledger says of pools is brought up to date before anybody looks at it.
 *
 * Threads  any. One load while no pool is known.
 */
#ifndef EBB_POOLS_H
#define EBB_POOLS_H

/** Charge every known pool with what it holds now. Calls the driver. */
void pools_settle(void);

#endif
