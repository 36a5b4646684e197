/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headroom.h - how much room the tiers have, and what must stay free of it.
 *
 * Each tier keeps a staging reserve of its largest chunk once something has left the device: an exchange between two full
 * tiers needs a place for what is in the air. While shares are in force a device keeps it from the beginning: what they
 * divide is the rest. Only the sum of both reserves has to hold at every moment: what one
 * tier lends during an exchange the other one has too much.
 */
#ifndef EBB_HEADROOM_H
#define EBB_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

struct budget;

/** Bytes the device could take, idle ones counted as free, and those that the calling thread is drawing from a
 *  reservation. core.lock not held. */
uint64_t headroom_device(unsigned ordinal);
/** The same with what is lent to managed memory, wherever that is. */
uint64_t headroom_device_lent(unsigned ordinal);
/** The same for the host budget. */
uint64_t headroom_host(void);

/** The host's budget with all that it holds, the heap to the byte instead of by lots. core.lock not held. */
void headroom_host_budget(struct budget *out);
/** The same with what was last known to be charged to the heap and not held: reads no accounts of threads. */
void headroom_host_budget_roughly(struct budget *out);

/** Staging reserve of the device, and of the host. */
uint64_t headroom_device_staging(unsigned ordinal);
uint64_t headroom_host_staging(void);

/** Room that a new chunk on the device must leave free there: its reserve, and what the host's reserve is short of. */
uint64_t headroom_device_keep(unsigned ordinal);

/** The host tier is over its high mark, or blocks are on disk already: what leaves the device had better be
 *  unmapped at once. */
bool headroom_host_pressed(void);

/** Bytes that the spill directories together could take; slots that stand in for copies count as taken. */
uint64_t headroom_disk(void);

/** May something go to disk at all now. */
bool headroom_disk_open(void);

/** A write failed: the disk takes nothing more, what it holds stays readable. Counted, and said once. */
void headroom_save_failed(int error);

#endif
