/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch_pins.h - launch pins of a call that waits for its blocks, noted where they are found if it never returns.
 *
 * A thread holds those of one use at a time. The note is of its slot of the gate, which keeps the memory for its next
 * owner.
 *
 * Threads  each its own.
 */
#ifndef EBB_LAUNCH_PINS_H
#define EBB_LAUNCH_PINS_H

#include <stdbool.h>

struct gate_slot;
struct use;

/** Memory for the note of this thread, which has a slot. False: there is none. */
bool launch_pins_ready(void);

/** Pin what the use names: granules, not the blocks there. A block may be freed and another one made under a word that
 *  is no pointer, and each pin has to be dropped where it was taken. After launch_pins_ready. */
void launch_pins_take(struct use *use);
void launch_pins_drop(struct use *use);

/** The sections of a slot's thread were given up: what it holds is let go of. */
void launch_pins_abandon(struct gate_slot *slot);

#endif
