/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pools.h - what stream-ordered pools hold of the devices.
 *
 * A pool is charged with what it holds of the device, which is more than what is allocated from it; an allocation itself
 * costs nothing. A driver that does not tell what a pool holds has each allocation charged instead, and so has a pool
 * that was destroyed before its allocations were freed.
 *
 * A driver gives memory of a pool back by itself, when a stream has come to the free or at the next synchronisation.
 * So what the ledger says of pools is brought up to date before anybody looks at it.
 *
 * Threads  any. One load while no pool is known.
 */
#ifndef EBB_POOLS_H
#define EBB_POOLS_H

#include "cuda/contexts.h"
#include "ledger/kind.h"

/** Charge every known pool, or one, with what it holds now. Calls the driver. */
void pools_settle(void);
void pools_settle_one(CUmemoryPool pool);

/** A pool was made: one of a device is known from now on. */
void pools_created(const CUmemoryPool *pool, const CUmemPoolProps *properties);

/** The device that a pool's memory is of; `fallback` where that cannot be found out. */
unsigned pools_ordinal(CUmemoryPool pool, unsigned fallback);

/** The thread's place, with the device whose pool serves the stream. False without a context. */
bool pools_place(CUstream stream, struct place *out);

/** The real allocation answered `result`, which is returned; driver_memory_cost(bytes) had been charged ahead. `why` it is no
 *  block. */
CUresult pools_allocated(CUresult result, const struct place *place, CUmemoryPool pool, enum stay why,
                         const CUdeviceptr *address, size_t bytes);

/** Destroy a pool by the real function. Its allocations live on, and are charged one by one. */
CUresult pools_destroy(__typeof__(cuMemPoolDestroy) *next, CUmemoryPool pool);

#endif
