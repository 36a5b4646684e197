/* SPDX-License-Identifier: Apache-2.0 */
/* A set of disjoint address ranges, ordered, found by address in logarithmic time. The caller owns what it
 * points to. */
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

struct range_set {
    struct range *ranges; /* ascending */
    size_t count, room;
};

/* 0, or ENOMEM with nothing changed. The range must overlap none. */
int range_insert(struct range_set *set, uintptr_t start, size_t size, void *owner);

/* Removes the range that starts there. It must be in the set. */
void range_remove(struct range_set *set, uintptr_t start);

/* Index of the first range that ends after address; count if none does. */
size_t range_after(const struct range_set *set, uintptr_t address);

/* The owner of the range that contains the address, or NULL. */
void *range_find(const struct range_set *set, uintptr_t address);

/* Whether [start, start + size) overlaps any range. */
bool range_overlaps(const struct range_set *set, uintptr_t start, size_t size);

#endif
