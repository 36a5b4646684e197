/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *fake_grow(void *array, uint64_t count, uint64_t *room, size_t entry_bytes)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    array = realloc(array, *room * entry_bytes);
    if (!array)
        abort();
    return array;
}

int fake_violate(struct fake_device *fake, const char *format, ...)
{
    if (fake->violations++ == 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(fake->violation, sizeof fake->violation, format, args);
        va_end(args);
    }
    return -EIO;
}

struct fake_reservation *fake_reservation_at(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    for (unsigned i = 0; i < FAKE_RESERVATIONS; i++) {
        struct fake_reservation *reservation = &fake->reservation[i];
        if (reservation->bytes != 0 && address >= reservation->base &&
            address - reservation->base < reservation->bytes &&
            bytes <= reservation->bytes - (address - reservation->base))
            return reservation;
    }
    return NULL;
}

struct fake_handle *fake_handle_of(struct fake_device *fake, uint64_t handle)
{
    if (handle == 0 || handle > fake->handle_count || !fake->handle[handle - 1].live)
        return NULL;
    return &fake->handle[handle - 1];
}

struct fake_map *fake_map_at(struct fake_device *fake, uint64_t address)
{
    struct fake_reservation *reservation = fake_reservation_at(fake, address, 1);
    if (!reservation)
        return NULL;
    uint32_t map = reservation->map[(address - reservation->base) / GRANULE_BYTES];
    return map ? &fake->map[map - 1] : NULL;
}

struct fake_host *fake_host_at(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    for (uint64_t i = 0; i < fake->host_count; i++) {
        struct fake_host *host = &fake->host[i];
        if (host->live && address >= host->memory.alias &&
            address - host->memory.alias < host->memory.bytes &&
            bytes <= host->memory.bytes - (address - host->memory.alias))
            return host;
    }
    return NULL;
}

bool fake_granted(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;
    while (address < end) {
        const struct fake_map *map = fake_map_at(fake, address);
        if (!map || !(map->granted >> ordinal & 1))
            return false;
        address = map->address + map->bytes;
    }
    return true;
}

uint64_t fake_file_take(struct fake_device *fake, uint64_t bytes)
{
    uint64_t file_at = fake->file_bytes;
    fake->file_bytes += bytes;
    if (!fake->config.contentless && ftruncate(fake->file, (off_t)fake->file_bytes) != 0)
        abort();
    return file_at;
}

void fake_file_give(struct fake_device *fake, uint64_t file_at, uint64_t bytes)
{
    /* Never handed out again, so that a stale map cannot see another one's bytes; only the memory goes. */
    if (!fake->config.contentless &&
        fallocate(fake->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)file_at, (off_t)bytes) != 0)
        abort();
}

char *fake_bytes(struct fake_device *fake, uint64_t address, uint64_t *out_bytes)
{
    const struct fake_host *host = fake_host_at(fake, address, 1);
    const struct fake_map *map = host ? NULL : fake_map_at(fake, address);
    uint64_t file_at;
    if (host) {
        *out_bytes = host->memory.alias + host->memory.bytes - address;
        file_at = host->file_at + (address - host->memory.alias);
    } else if (map) {
        *out_bytes = map->address + map->bytes - address;
        file_at = fake_handle_of(fake, map->handle)->file_at + (address - map->address);
    } else {
        return NULL;
    }
    return file_at + *out_bytes <= FAKE_VIEW_BYTES ? fake->view + file_at : (char *)address;
}

uint64_t fake_handle_add(struct fake_device *fake, struct fake_handle handle)
{
    fake->handle = fake_grow(fake->handle, fake->handle_count, &fake->handle_room, sizeof *fake->handle);
    fake->handle[fake->handle_count++] = handle;
    fake->live_handles++;
    return fake->handle_count;
}

/* Removed maps are linked through `handle`, plus 1. */
void fake_map_add(struct fake_device *fake, struct fake_reservation *reservation, struct fake_map map)
{
    uint64_t at = fake->map_unused;
    if (at != 0) {
        fake->map_unused = fake->map[--at].handle;
    } else {
        fake->map = fake_grow(fake->map, fake->map_count, &fake->map_room, sizeof *fake->map);
        at = fake->map_count++;
    }
    fake->map[at] = map;
    uint64_t first = (map.address - reservation->base) / GRANULE_BYTES;
    for (uint64_t i = 0; i < map.bytes / GRANULE_BYTES; i++)
        reservation->map[first + i] = (uint32_t)at + 1;
    fake->live_maps++;
}

void fake_map_remove(struct fake_device *fake, struct fake_map *map)
{
    struct fake_reservation *reservation = fake_reservation_at(fake, map->address, map->bytes);
    uint64_t first = (map->address - reservation->base) / GRANULE_BYTES;
    for (uint64_t i = 0; i < map->bytes / GRANULE_BYTES; i++)
        reservation->map[first + i] = 0;
    *map = (struct fake_map){.handle = fake->map_unused};
    fake->map_unused = (uint64_t)(map - fake->map) + 1;
    fake->live_maps--;
}

void fake_show(struct fake_device *fake, uint64_t address, const struct fake_handle *handle, int protection)
{
    if (!fake->config.contentless && mmap((void *)address, handle->bytes, protection, MAP_SHARED | MAP_FIXED,
                                          fake->file, (off_t)handle->file_at) == MAP_FAILED)
        abort();
}

void fake_hide(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    if (!fake->config.contentless &&
        mmap((void *)address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
        abort();
}
