/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_world.h - registered host memory on a real disk, with faults from the real kernel: the books of a test and its
 * ranges, whose words know their place.
 *
 * Threads  one, but for range_word. Errors: the test fails, or is skipped where the kernel hands no faults to the user.
 */
#ifndef EBBTIDE_TESTS_HOST_WORLD_H
#define EBBTIDE_TESTS_HOST_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/core.h"
#include "host/host_block.h"
#include "spill_folder.h"

#define MIB ((uint64_t)1 << 20)

/** Where blocks go, and the options. */
extern struct spill host_spill;

/** Start with a budget for the host and, unless NULL, for the spill directory. */
void host_world_begin(uint64_t host_bytes, const char *disk);
/** Nothing is registered, charged or on disk any more. */
void host_world_end(void);

/** What the host budget holds, a class of it, the most it has held, and what is on disk. */
uint64_t host_used(void);
uint64_t host_used_by(enum host_class class);
uint64_t host_peak(void);
uint64_t host_disk_used(void);

/** Wait, for seconds at most, until the disk has nothing: who is served goes on before its slot is given back. */
bool host_disk_empties(void);

uint64_t range_word(uint64_t index);
uint64_t *range_map(uint64_t bytes);
uint64_t *range_map_registered(uint64_t bytes);
void range_fill(uint64_t *words, uint64_t bytes);
bool range_is_filled(const uint64_t *words, uint64_t bytes);
/** Unregister and unmap. */
void range_release(uint64_t *words, uint64_t bytes);
/** Bytes of its block that are on disk. */
uint64_t range_away(void *ptr);
/** All of its `bytes` go there. */
void range_evict(void *ptr, uint64_t bytes);

#endif
