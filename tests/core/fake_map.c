/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_map.h"

#include "fake_memory.h"
#include "fake_work.h"

#include <errno.h>
#include <sys/mman.h>

static int map_locked(struct fake_device *fake, uint64_t address, uint64_t bytes, uint64_t id)
{
    struct fake_handle *handle = fake_handle_of(fake, id);
    struct fake_reservation *reservation = fake_reservation_at(fake, address, bytes);
    if (!handle)
        return fake_violate(fake, "map of handle %llu, which is not alive", (unsigned long long)id);
    if (handle->bytes != bytes)
        return fake_violate(fake, "map of %llu bytes of a handle that has %llu", (unsigned long long)bytes,
                            (unsigned long long)handle->bytes);
    if (!reservation || address % GRANULE_BYTES != 0)
        return fake_violate(fake, "map outside of what is reserved");
    for (uint64_t at = address; at < address + bytes; at += GRANULE_BYTES)
        if (fake_map_at(fake, at))
            return fake_violate(fake, "map over something that is mapped");
    fake_map_add(fake, reservation,
                 (struct fake_map){.address = address, .bytes = bytes, .handle = id, .live = true});
    handle->maps++;
    fake_show(fake, address, handle, PROT_NONE);
    return 0;
}

int fake_map_handle(struct device *self, uint64_t address, uint64_t bytes, uint64_t handle)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_MAP);
    return fake_call_end(fake, rc ? rc : map_locked(fake, address, bytes, handle));
}

/* Whole maps, one beside the other, from the first byte to the last? */
static bool is_whole_maps(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    for (uint64_t at = address; at < address + bytes;) {
        const struct fake_map *map = fake_map_at(fake, at);
        if (!map || map->address != at || map->bytes > address + bytes - at)
            return false;
        at += map->bytes;
    }
    return bytes > 0;
}

static int unmap_locked(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    if (!is_whole_maps(fake, address, bytes))
        return fake_violate(fake, "unmap of something that was not mapped so");
    if (fake->one_by_one && fake_map_at(fake, address)->bytes < bytes)
        return -EIO;
    if (fake_kernel_uses(fake, address, bytes) && !fake->config.places)
        fake_violate(fake, "unmap under a running kernel");
    if (fake_copy_touches(fake, address, bytes))
        fake_violate(fake, "unmap under a copy that nobody waited for");
    for (uint64_t at = address; at < address + bytes;) {
        struct fake_map *map = fake_map_at(fake, at);
        at += map->bytes;
        fake_handle_of(fake, map->handle)->maps--;
        fake_map_remove(fake, map);
    }
    fake_hide(fake, address, bytes);
    return 0;
}

int fake_unmap(struct device *self, uint64_t address, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_UNMAP);
    return fake_call_end(fake, rc ? rc : unmap_locked(fake, address, bytes));
}

static int grant_locked(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    if (ordinal >= fake->device.count)
        return fake_violate(fake, "grant to device %u", ordinal);
    if (!is_whole_maps(fake, address, bytes))
        return fake_violate(fake, "grant of a range that is not whole maps");
    if (fake->one_by_one && fake_map_at(fake, address)->bytes < bytes)
        return -EIO;
    for (uint64_t at = address; at < address + bytes;) {
        struct fake_map *map = fake_map_at(fake, at);
        map->granted |= 1u << ordinal;
        fake_show(fake, map->address, fake_handle_of(fake, map->handle), PROT_READ | PROT_WRITE);
        at = map->address + map->bytes;
    }
    return 0;
}

int fake_grant(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_GRANT);
    return fake_call_end(fake, rc ? rc : grant_locked(fake, ordinal, address, bytes));
}
