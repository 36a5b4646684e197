/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/handle.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

/* Open addressing, linear probing; a free slot has no handle. At most half full. */
struct slot {
    const void *handle;
    enum handle_kind kind;
};

static struct slot *slots;
static size_t room, used;
static size_t counts[HANDLE_KINDS];

static size_t hash(const void *handle)
{
    return (size_t)(((uintptr_t)handle >> 4) * 0x9e3779b97f4a7c15ull >> 20);
}

static struct slot *find(struct slot *table, size_t size, const void *handle)
{
    size_t at = hash(handle) & (size - 1);

    while (table[at].handle && table[at].handle != handle)
        at = (at + 1) & (size - 1);
    return &table[at];
}

static bool grow(void)
{
    size_t size = room ? room * 2 : 256;
    struct slot *table = calloc(size, sizeof *table);

    if (!table)
        return false;
    for (size_t i = 0; i < room; i++)
        if (slots[i].handle)
            *find(table, size, slots[i].handle) = slots[i];
    free(slots);
    slots = table;
    room = size;
    return true;
}

bool handle_add(const void *handle, enum handle_kind kind)
{
    if (2 * (used + 1) > room && !grow())
        return false;
    *find(slots, room, handle) = (struct slot){handle, kind};
    used++;
    counts[kind]++;
    return true;
}

void handle_remove(const void *handle)
{
    struct slot *slot = find(slots, room, handle);
    size_t hole = (size_t)(slot - slots);

    assert(slot->handle);
    counts[slot->kind]--;
    used--;
    slot->handle = NULL;
    /* Slots behind the hole move up unless they would land before their own place. */
    for (size_t at = (hole + 1) & (room - 1); slots[at].handle; at = (at + 1) & (room - 1)) {
        size_t home = hash(slots[at].handle) & (room - 1);

        if (((at - home) & (room - 1)) >= ((at - hole) & (room - 1))) {
            slots[hole] = slots[at];
            slots[at].handle = NULL;
            hole = at;
        }
    }
}

bool handle_is(const void *handle, enum handle_kind kind)
{
    struct slot *slot;

    if (!handle || !room)
        return false;
    slot = find(slots, room, handle);
    return slot->handle && slot->kind == kind;
}

size_t handle_count(enum handle_kind kind)
{
    return counts[kind];
}
