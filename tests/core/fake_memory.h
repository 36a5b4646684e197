/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_memory.h - the books of the fake device: reservations, handles, maps, host memory.
 *
 * Every function wants fake->lock held. A look-up that fails returns NULL and leaves the judgement to the
 * caller.
 */
#ifndef EBBTIDE_TESTS_FAKE_MEMORY_H
#define EBBTIDE_TESTS_FAKE_MEMORY_H

#include "fake_device.h"

/* Of the file that the view shows. A range beyond is read and written at its address. */
#define FAKE_VIEW_BYTES (UINT64_C(16) << 30)

struct fake_reservation {
    uint64_t base, bytes;
    uint32_t *map; /* of each granule, the map it belongs to, plus 1; 0 for none */
};

struct fake_handle {
    uint64_t bytes;
    uint64_t file_at;
    unsigned ordinal;
    bool host;
    bool live;
    uint32_t maps;
};

struct fake_map {
    uint64_t address, bytes, handle;
    uint32_t granted; /* bit of each ordinal */
    bool live;
};

struct fake_host {
    struct host_memory memory;
    uint64_t file_at;
    bool live;
};

/* Room for one more entry of an array that doubles. Aborts without memory. */
void *fake_grow(void *array, uint64_t count, uint64_t *room, size_t entry_bytes);

/* Note a broken rule; always -EIO, so that callers can return it. */
int fake_violate(struct fake_device *fake, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct fake_reservation *fake_reservation_at(struct fake_device *fake, uint64_t address, uint64_t bytes);
struct fake_handle *fake_handle_of(struct fake_device *fake, uint64_t handle);
struct fake_map *fake_map_at(struct fake_device *fake, uint64_t address);
struct fake_host *fake_host_at(struct fake_device *fake, uint64_t address, uint64_t bytes);
bool fake_granted(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes);

/* Take and give back bytes of the memory file; a new range is zero. */
uint64_t fake_file_take(struct fake_device *fake, uint64_t bytes);
void fake_file_give(struct fake_device *fake, uint64_t file_at, uint64_t bytes);

/* Where the bytes at an address or alias really are, and how many follow in one piece; NULL for neither. */
char *fake_bytes(struct fake_device *fake, uint64_t address, uint64_t *out_bytes);

uint64_t fake_handle_add(struct fake_device *fake, struct fake_handle handle);
void fake_map_add(struct fake_device *fake, struct fake_reservation *reservation, struct fake_map map);
void fake_map_remove(struct fake_device *fake, struct fake_map *map);

/* Show the bytes of a handle at an address, or let an address fault. Nothing to do for a contentless device.
 */
void fake_show(struct fake_device *fake, uint64_t address, const struct fake_handle *handle, int protection);
void fake_hide(struct fake_device *fake, uint64_t address, uint64_t bytes);

#endif
