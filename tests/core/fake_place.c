/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_place.h"

#include "fake_memory.h"
#include "fake_work.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Tools that watch a process leave it few addresses. */
#define SPACE_BYTES ((uint64_t)1 << 36)

enum {
    RANGES = 4096
};

enum where {
    NOWHERE,
    ON_DEVICE,
    ON_HOST
};

struct fake_range {
    uint64_t address, bytes;
};

struct fake_places {
    struct fake_reservation *space;
    uint8_t *where;    /* of each granule */
    uint64_t up, down; /* ends of what was ever given */
    bool goes_down;
    struct fake_range live[RANGES], freed[RANGES];
    unsigned live_count, freed_count;
};

static struct fake_places *places_make(struct fake_device *fake)
{
    struct fake_places *places = calloc(1, sizeof *places);
    char *space = mmap(NULL, SPACE_BYTES + GRANULE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t granules = SPACE_BYTES / GRANULE_BYTES;

    if (!places || space == MAP_FAILED)
        abort();
    places->space = &fake->reservation[0];
    *places->space = (struct fake_reservation){
        .base = ((uint64_t)space + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES,
        .bytes = SPACE_BYTES,
        .map = mmap(NULL, granules * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)};
    places->where = calloc(granules, 1);
    if (places->space->map == MAP_FAILED || !places->where)
        abort();
    places->up = places->down = places->space->base + SPACE_BYTES / 2;
    return places;
}

static uint8_t *where_of(struct fake_device *fake, uint64_t address)
{
    return &fake->places->where[(address - fake->places->space->base) / GRANULE_BYTES];
}

static uint64_t range_find(struct fake_places *places, uint64_t bytes)
{
    for (unsigned i = places->freed_count; i-- > 0;) {
        uint64_t address = places->freed[i].address;

        if (places->freed[i].bytes != bytes)
            continue;
        places->freed[i] = places->freed[--places->freed_count];
        return address;
    }
    places->goes_down = !places->goes_down;
    if (places->goes_down)
        return places->down -= bytes;
    places->up += bytes;
    return places->up - bytes;
}

int fake_place(struct device *self, unsigned ordinal, uint64_t context, uint64_t bytes, uint64_t *out_address)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_PLACE);

    (void)context;
    if (!fake->places)
        fake->places = places_make(fake);
    if (!rc && (bytes == 0 || bytes % GRANULE_BYTES != 0 || ordinal >= fake->device.count))
        rc = fake_violate(fake, "place of %llu bytes on device %u", (unsigned long long)bytes, ordinal);
    if (!rc && fake->places->live_count == RANGES)
        rc = -ENOMEM;
    if (!rc) {
        *out_address = range_find(fake->places, bytes);
        fake->places->live[fake->places->live_count++] = (struct fake_range){*out_address, bytes};
        fake->placed_bytes += bytes;
    }
    return fake_call_end(fake, rc);
}

static void unplace_locked(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    struct fake_places *places = fake->places;
    unsigned i = 0;

    while (places && i < places->live_count && places->live[i].address != address)
        i++;
    if (!places || i == places->live_count || places->live[i].bytes != bytes) {
        fake_violate(fake, "unplace of a range that was not placed so");
        return;
    }
    for (uint64_t at = address; at < address + bytes; at += GRANULE_BYTES) {
        if (fake_map_at(fake, at))
            fake_violate(fake, "unplace of a range that still belongs somewhere");
        *where_of(fake, at) = NOWHERE;
    }
    if (fake_kernel_uses(fake, address, bytes))
        fake_violate(fake, "unplace under a running kernel");
    if (fake_copy_touches(fake, address, bytes))
        fake_violate(fake, "unplace under a copy that nobody waited for");
    places->live[i] = places->live[--places->live_count];
    if (places->freed_count < RANGES)
        places->freed[places->freed_count++] = (struct fake_range){address, bytes};
    fake->placed_bytes -= bytes;
    madvise((void *)address, bytes, MADV_DONTNEED);
}

void fake_unplace(struct device *self, uint64_t context, uint64_t address, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);

    (void)context;
    (void)fake_call_begin(fake, FAKE_UNPLACE);
    unplace_locked(fake, address, bytes);
    fake_call_end(fake, 0);
}

void fake_place_sent(struct fake_device *fake, uint64_t address, uint64_t bytes, bool to_host)
{
    for (uint64_t at = address; at < address + bytes; at += GRANULE_BYTES)
        *where_of(fake, at) = to_host ? ON_HOST : ON_DEVICE;
}

bool fake_place_is_host(struct fake_device *fake, uint64_t address, bool belongs)
{
    uint8_t where = *where_of(fake, address);

    return where == NOWHERE ? belongs : where == ON_HOST;
}

void fake_place_finish(struct fake_device *fake)
{
    if (!fake->places)
        return;
    free(fake->places->where);
    free(fake->places);
}
