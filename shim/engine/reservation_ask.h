/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reservation_ask.h - what a reservation would have too much, without making it.
 *
 * Threads  any, nothing of ours locked.
 */
#ifndef EBB_OVERBOOKING_H
#define EBB_OVERBOOKING_H

#include <stdint.h>

/** How many bytes would be over if operations grew by `bytes` now, after all evictions that the slower tiers have room
 *  for. 0; -ENOSPC operations would pass their maximum. */
int reservation_ask(unsigned ordinal, uint64_t bytes, uint64_t *out_overbooked_bytes);

#endif
