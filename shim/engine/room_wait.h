/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room_wait.h - room on a device, or in the host's budget, that allocations wait for.
 *
 * An allocation that finds none says so and waits, EBBTIDE_WAIT_MS or a few of them, for the monitor's thread, which
 * makes room for all who wait with one drain. A thread that is not served in time makes room itself.
 *
 * Threads  any; no lock, no role, outside of user sections.
 */
#ifndef EBB_ROOM_WAIT_H
#define EBB_ROOM_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "tier/device.h"

/** In place of an ordinal: the host's budget. */
#define ROOM_HOST DEVICE_MAX

/** Wait up to `wait_ms` for `bytes` more on the device. False: nobody made room in time, or nobody is there to make
 *  it. */
bool room_wait(unsigned ordinal, uint64_t bytes, uint64_t wait_ms);

/** True while anybody waits. */
bool room_wait_pending(void);

/** Make room for all who wait, and wake them. The monitor's. */
void room_wait_serve(void);

#endif
