/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - blocks that the program tells the library of, for the tests of the public API on the simulated driver.
 *
 * Sizes in MiB are those of the policy design. Budgets are the tier's figure and its staging chunk; the host's also
 * what the process holds itself.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "log_lines.h"
#include "world.h"

#include <ebbtide.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STAGING (12 * MIB) /* a sixteenth of 212 in whole granules */

static struct world world;

static inline struct ebb_stats stats(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert_eq(ebb_get_stats(&now), 0);
    return now;
}

static inline void host_budget(size_t mib)
{
    size_t bytes = stats().tier[EBB_TIER_HOST].used_bytes + mib * MIB + STAGING;

    cr_assert_eq(ebb_set_budget(EBB_TIER_HOST, 0, (int64_t)((bytes + 2 * MIB - 1) / (2 * MIB) * (2 * MIB))),
                 0);
}

static inline void begin(size_t host_mib)
{
    world = world_make();
    host_budget(host_mib);
}

struct object {
    CUdeviceptr at;
    size_t bytes;
    float value;
};

static inline void *ptr(const struct object *object)
{
    return (void *)(uintptr_t)object->at;
}

static inline struct object make(size_t mib, float value)
{
    struct object object = {.bytes = mib * MIB, .value = value};

    OK(cuMemAlloc(&object.at, object.bytes));
    OK(cuMemsetD32(object.at, bits_of(value), object.bytes / 4));
    return object;
}

static inline struct object make_named(size_t mib, float value)
{
    struct object object = make(mib, value);

    cr_assert_eq(ebb_register(ptr(&object), object.bytes, 0, "object"), 0);
    return object;
}

static inline struct ebb_block_info ask(const struct object *object)
{
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    cr_assert_eq(ebb_query(ptr(object), &info), 0);
    return info;
}

static inline void end(struct object *object)
{
    cr_expect(all_are(object->at, object->bytes / 4, object->value));
    OK(cuMemFree(object->at));
    object->at = 0;
}

static inline ebb_reservation reserve(size_t mib)
{
    ebb_reservation reservation = 0;

    cr_assert_eq(ebb_reserve(mib * MIB, 0, 0, &reservation, NULL), 0);
    return reservation;
}

static inline struct object output(size_t mib, float value)
{
    ebb_reservation reservation = reserve(mib);
    struct object object = make_named(mib, value);

    cr_assert_eq(ebb_reserve_commit(reservation, ptr(&object)), 0);
    return object;
}

static inline void pin(const struct object *object, unsigned flags)
{
    cr_assert_eq(ebb_pin(ptr(object), flags, NULL), 0);
}

static inline void unpin(const struct object *object, unsigned flags)
{
    cr_assert_eq(ebb_unpin(ptr(object), flags), 0);
}

#endif
