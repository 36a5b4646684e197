/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of disjoint address ranges, ordered, found by address in logarithmic time. Kept in blocks of bounded size, so
 * that tens of thousands of them come and go cheaply. The caller owns what a range points to. A pointer to a range
 * holds until the set changes.
 */
#ifndef SIMGPU_RANGE_H
#define SIMGPU_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uintptr_t start;
    size_t size;
    void *owner;
};

struct range_block;

/* All zero: empty. */
struct range_set {
    struct range_block **blocks; /* ascending, none empty */
    size_t count, room;
};

/* 0, or ENOMEM with nothing changed. The range must overlap none. */
int range_insert(struct range_set *set, uintptr_t start, size_t size, void *owner);

/* Removes the range that starts there. It must be in the set. */
void range_remove(struct range_set *set, uintptr_t start);

/* The first range that ends after the address, or NULL. */
const struct range *range_after(const struct range_set *set, uintptr_t address);

/* The range that contains the address, or NULL. */
const struct range *range_find(const struct range_set *set, uintptr_t address);

/* Whether [start, start + size) overlaps any range. */
bool range_overlaps(const struct range_set *set, uintptr_t start, size_t size);

#endif
