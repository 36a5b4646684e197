/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - see table.h. */
#include "base/table.h"

#include <errno.h>
#include <string.h>

#include "base/pages.h"

enum {
    FIRST_CAPACITY = 256
};

static size_t slot_bytes(const struct table *table)
{
    return sizeof(uint64_t) + table->record_bytes;
}

static uint64_t *slot(const struct table *table, uint32_t index)
{
    return (uint64_t *)(table->slots + (size_t)index * slot_bytes(table));
}

void table_lock(struct table *table)
{
    lock_acquire(&table->lock);
}

void table_unlock(struct table *table)
{
    lock_release(&table->lock);
}

/* The slot of the key, or the free one where it belongs. */
static uint64_t *probe(const struct table *table, uint64_t key)
{
    uint32_t index = (uint32_t)table_hash(key) & (table->capacity - 1);

    while (*slot(table, index) && *slot(table, index) != key)
        index = (index + 1) & (table->capacity - 1);
    return slot(table, index);
}

static int grow(struct table *table)
{
    struct table bigger = *table;

    bigger.capacity = table->capacity ? table->capacity * 2 : FIRST_CAPACITY;
    bigger.slots = pages_take(bigger.capacity * slot_bytes(table));
    if (!bigger.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < table->capacity; i++)
        if (*slot(table, i))
            memcpy(probe(&bigger, *slot(table, i)), slot(table, i), slot_bytes(table));
    pages_give(table->slots, table->capacity * slot_bytes(table));
    table->slots = bigger.slots;
    table->capacity = bigger.capacity;
    return 0;
}

void *table_find(struct table *table, uint64_t key)
{
    if (!table->count)
        return NULL;
    uint64_t *found = probe(table, key);

    return *found ? found + 1 : NULL;
}

void *table_add(struct table *table, uint64_t key)
{
    if (table->count * 4 >= table->capacity * 3 && grow(table))
        return NULL;
    uint64_t *found = probe(table, key);

    if (!*found) {
        memset(found + 1, 0, table->record_bytes);
        *found = key;
        table->count++;
    }
    return found + 1;
}

void table_remove(struct table *table, uint64_t key)
{
    uint32_t mask = table->capacity - 1;
    uint32_t hole = (uint32_t)(((unsigned char *)probe(table, key) - table->slots) / slot_bytes(table));

    /* Move back what was pushed past the hole, so that no search stops there too early. */
    for (uint32_t i = (hole + 1) & mask; *slot(table, i); i = (i + 1) & mask) {
        uint32_t home = (uint32_t)table_hash(*slot(table, i)) & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            memcpy(slot(table, hole), slot(table, i), slot_bytes(table));
            hole = i;
        }
    }
    *slot(table, hole) = 0;
    table->count--;
}

int table_put(struct table *table, uint64_t key, const void *record)
{
    table_lock(table);
    void *place = table_add(table, key);

    if (place)
        memcpy(place, record, table->record_bytes);
    table_unlock(table);
    return place ? 0 : -ENOMEM;
}

bool table_get(struct table *table, uint64_t key, void *out)
{
    table_lock(table);
    const void *found = table_find(table, key);

    if (found)
        memcpy(out, found, table->record_bytes);
    table_unlock(table);
    return found != NULL;
}

bool table_take(struct table *table, uint64_t key, void *out)
{
    table_lock(table);
    const void *found = table_find(table, key);

    if (found) {
        memcpy(out, found, table->record_bytes);
        table_remove(table, key);
    }
    table_unlock(table);
    return found != NULL;
}

int table_copy(struct table *table, struct table_copy *out)
{
    struct table_copy copy = {.slot_bytes = (uint32_t)slot_bytes(table)};
    int error = 0;

    table_lock(table);
    if (table->count) {
        copy.slots = pages_take((size_t)table->count * copy.slot_bytes);
        error = copy.slots ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; copy.slots && i < table->capacity; i++)
        if (*slot(table, i))
            memcpy(copy.slots + (size_t)copy.count++ * copy.slot_bytes, slot(table, i), copy.slot_bytes);
    table_unlock(table);
    if (!error)
        *out = copy;
    return error;
}

void table_copy_free(struct table_copy *copy)
{
    pages_give(copy->slots, (size_t)copy->count * copy->slot_bytes);
    copy->slots = NULL;
}
