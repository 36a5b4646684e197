/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_map.h - handles at addresses: the three calls of struct device, each with the rules that the driver documents.
 */
#ifndef EBBTIDE_TESTS_FAKE_MAP_H
#define EBBTIDE_TESTS_FAKE_MAP_H

#include "fake_device.h"

int fake_map_handle(struct device *self, uint64_t address, uint64_t bytes, uint64_t handle);
int fake_unmap(struct device *self, uint64_t address, uint64_t bytes);
int fake_grant(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);

#endif
