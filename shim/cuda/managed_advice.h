/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed_advice.h - what the program has advised of its managed memory, and what the driver is told of it.
 *
 * Shape    spans of addresses that were advised or prefetched, by address; all other memory has none. The program is told
 *          its own advice, whatever the driver has been told meanwhile.
 * Told     where pages may be (struct device, confine): a device that they are kept from has a mapping of them, they prefer to
 *          be elsewhere, and there are no copies of them to read.
 * Source   cuda.h at cuMemAdvise, cuMemPrefetchAsync and cuMemRangeGetAttribute.
 * Threads  any. Whoever changes what the driver is told of a range holds it (core_managed_hold).
 */
#ifndef EBB_MANAGED_ADVICE_H
#define EBB_MANAGED_ADVICE_H

#include "cuda/real.h"
#include "tier/device.h"

/** The bytes are a new allocation's. */
void managed_advice_begin(CUdeviceptr start, size_t bytes);

/** True for what the driver would take. */
bool managed_advice_is_valid(CUmem_advise advice, CUmemLocation location);
/** The program has given this advice. */
void managed_advice_note(CUdeviceptr start, size_t bytes, CUmem_advise advice, CUmemLocation location);
/** The same, and the driver is told what of it there is where the pages may be: `to`, see confine. 0, or as the driver says. */
int managed_advice_change(CUdeviceptr start, size_t bytes, CUmem_advise advice, CUmemLocation location,
                          unsigned to);
/** It has asked for the bytes to be brought there. */
void managed_advice_prefetched(CUdeviceptr start, size_t bytes, CUmemLocation location);

/** A location of the older entries. */
CUmemLocation managed_advice_location(CUdevice device);

/** What cuMemRangeGetAttribute tells of the program's own advice; the driver has found the question valid. */
void managed_advice_answer(void *data, size_t data_bytes, CUmem_range_attribute attribute, CUdeviceptr start,
                           size_t bytes);

/** Start to bring pages to the device, on its private stream of what comes in: what the program has asked for in a stream of
 *  its own could come when the budget has no room for it any more. */
int managed_advice_bring(unsigned ordinal, uint64_t address, uint64_t bytes);

/** struct device's. */
int managed_advice_confine(struct device *self, unsigned from, unsigned to, uint64_t address, uint64_t bytes);
int managed_advice_send_home(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);

#endif
