/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_place.h - a fake device that chooses the addresses itself and moves pages in place, as with managed memory.
 *
 * The bytes stay where they are, readable at all times. Where the pages count is kept per granule: nowhere until one
 * is used, then where the map says that they belong, until a copy sends them. Ranges come from the middle of a large
 * one, above and below in turn, and the one given back last comes back first, so that whoever gives back too early
 * sees it.
 */
#ifndef EBBTIDE_TESTS_FAKE_PLACE_H
#define EBBTIDE_TESTS_FAKE_PLACE_H

#include "fake_device.h"

int fake_place(struct device *self, unsigned ordinal, uint64_t context, uint64_t bytes,
               uint64_t *out_address);
void fake_unplace(struct device *self, uint64_t context, uint64_t address, uint64_t bytes);

/* With the lock: a copy has sent the pages of a range. */
void fake_place_sent(struct fake_device *fake, uint64_t address, uint64_t bytes, bool to_host);

/* With the lock: do the pages at an address count on the host? `belongs`: where its map says. */
bool fake_place_is_host(struct fake_device *fake, uint64_t address, bool belongs);

/* The ranges end with the device. */
void fake_place_finish(struct fake_device *fake);

#endif
