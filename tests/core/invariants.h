/* SPDX-License-Identifier: Apache-2.0 */
/*
 * invariants.h - what holds in the core whenever no thread is inside it.
 *
 * Of each chunk exactly one copy counts and it is where the state says; the used bytes of a tier are the sum over its
 * chunks; no slab, slot or handle serves twice; away_bytes, attention and the flags that the launch path reads
 * agree with the states; and the device has mapped what the states say, nothing else.
 */
#ifndef EBBTIDE_TESTS_INVARIANTS_H
#define EBBTIDE_TESTS_INVARIANTS_H

#include "fake_device.h"

#include <stdbool.h>

enum {
    INVARIANT_TEXT_BYTES = 200
};

/* @fake    the core's device
 * @broken  gets a sentence about the first that does not hold
 * Returns  whether all hold */
bool invariants_hold(struct fake_device *fake, char broken[INVARIANT_TEXT_BYTES]);

#endif
