/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_pages.h - managed memory of the fake device: where each granule of it may be, and is.
 *
 * Shape    addresses from FAKE_PAGES on, which hold no bytes. A device that uses a page has it from then on, if it may be
 *          there; else it uses it where it is. What is sent home is there when somebody has waited for it.
 * Strict   confine names where the pages may be until now, and what is sent home may be on no device.
 */
#ifndef EBBTIDE_TESTS_FAKE_PAGES_H
#define EBBTIDE_TESTS_FAKE_PAGES_H

#include "fake_device.h"

#define FAKE_PAGES (UINT64_C(1) << 45)

enum {
    FAKE_PAGES_MAX = 2048
};

/* They may be anywhere again, and are nowhere: a new allocation. Or it has gone. */
void fake_pages_begin(struct fake_device *fake, uint64_t address, uint64_t bytes);
void fake_pages_end(struct fake_device *fake, uint64_t address, uint64_t bytes);

/* The device uses them. */
void fake_pages_use(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes);

/* Bytes of them that are on the device. */
uint64_t fake_pages_on(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes);

/* What was sent has come. Wants the lock. */
void fake_pages_arrive(struct fake_device *fake);
void fake_pages_destroy(struct fake_device *fake);

int fake_confine(struct device *self, unsigned from, unsigned to, uint64_t address, uint64_t bytes);
int fake_send_home(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);

#endif
