/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.h - waiting for devices to come to rest, once, and not again for what is known not to end.
 *
 * Nobody waits with the gate closed for long: the first try is short, and before each longer one the program runs on
 * until what its devices had has ended, which tells how long that takes. Who has waited in vain leaves a note how long;
 * while what was in the way is still there, nobody waits that long again.
 *
 * Units    devices are bits by ordinal; limits are milliseconds on the device's clock.
 * Threads  any, outside of user sections, no lock of the core held.
 */
#ifndef EBB_DRAIN_H
#define EBB_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DRAIN_MOMENT_MS = 100 /**< what is waited where nobody needs it */
};

/** Who waits with the gate closed, which says how long. */
enum drain_waiter {
    DRAIN_TIMER, /**< a moment */
    DRAIN_LAUNCH, /**< whose blocks are reached where they are, too: EBBTIDE_DRAIN_MS; once that was in vain, a moment, and
                       more again as waits turn out to need it */
    DRAIN_NEED /**< EBBTIDE_DRAIN_MS */
};

/** Whose rest is waited for: that of every device that may have work on memory of an ordinal, or one of these. */
enum {
    DRAIN_NOBODY = -2,
    DRAIN_ALL = -1
};

/** Wait, the gate being open, until what these devices have at this moment has ended. Where no call was made since they
 *  were last found at rest the driver is not asked. 0; -ETIMEDOUT within
 *  `limit_ms` it has not, or it is known that it will not; -EBUSY a capture is open; -EIO. */
int drain_wait(uint32_t devices, uint64_t limit_ms);

/** What was waited for in vain on the device and has ended since is in nobody's way any more. Never waits. */
void drain_look(unsigned ordinal);

/**
 * Close the gate for what may have work on the memory of one device, and wait until that is at rest. DRAIN_ALL and
 * DRAIN_NOBODY close it for all. Role held.
 *
 * Returns  0: closed; else it is open: -EBUSY a capture is open, or the process ends, or the caller is in a user
 *          section; -ETIMEDOUT, as above; -EIO the drain failed
 */
int drain_close(int whose, enum drain_waiter waiter);

/** True if a short try would come to rest. Asks with the gate open, does not wait, and hears the answer the next time;
 *  where it is no, asks less and less often. The timer's. */
bool drain_expected(unsigned ordinal);

/** From here to drain_patience_end the calling thread waits for devices EBBTIDE_DRAIN_MS at most in all, from its first
 *  such wait on. Returns what that wants; within another one it changes nothing. */
uint64_t drain_patience_begin(void);
void drain_patience_end(uint64_t outer);
/** True once the thread's patience has come to its end. */
bool drain_patience_over(void);

#endif
