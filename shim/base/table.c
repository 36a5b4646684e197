/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - see table.h. */
#include "base/table.h"

#include <errno.h>
#include <string.h>

/* uthash would take its buckets from malloc, which is hooked by us, and end the program where it has none left. */
#define HASH_NONFATAL_OOM                    1
#define HASH_FUNCTION(pointer, bytes, value) ((value) = hash_of(pointer))
#define uthash_malloc(bytes)                 pages_take(bytes)
#define uthash_free(memory, bytes)           pages_give(memory, bytes)
#include <uthash.h>

struct table_record {
    UT_hash_handle hh; /* its `tbl` is NULL where there was no memory for one more */
    uint64_t key;
    unsigned char bytes[] __attribute__((aligned(8)));
};

_Static_assert(offsetof(struct table_record, bytes) == TABLE_HEAD_BYTES, "as TABLE_INIT has it");

static unsigned hash_of(const void *key)
{
    return (unsigned)table_hash(*(const uint64_t *)key);
}

static struct table_record *find(const struct table *table, uint64_t key)
{
    struct table_record *found;

    HASH_FIND(hh, table->first, &key, sizeof(key), found);
    return found == table->stays ? NULL : found;
}

void table_lock(struct table *table)
{
    lock_acquire(&table->lock);
}

void table_unlock(struct table *table)
{
    lock_release(&table->lock);
}

void *table_find(struct table *table, uint64_t key)
{
    struct table_record *found = find(table, key);

    return found ? found->bytes : NULL;
}

/* With key 0: under its own address. */
static struct table_record *add(struct table *table, uint64_t key)
{
    struct table_record *record = pages_pool_take(&table->pool);

    if (!record)
        return NULL;
    memset(record, 0, table->pool.record_bytes);
    record->key = key ? key : (uintptr_t)record;
    HASH_ADD(hh, table->first, key, sizeof(key), record);
    if (record->hh.tbl)
        return record;
    pages_pool_give(&table->pool, record);
    return NULL;
}

/* A record stays for ever, under its own address, which is nobody's key: uthash gives its buckets back with the last, and a
 * table that has one record now and none then would ask the system each time. */
void *table_add(struct table *table, uint64_t key)
{
    struct table_record *record = find(table, key);

    if (!table->stays)
        table->stays = add(table, 0);
    if (!record)
        record = add(table, key);
    return record ? record->bytes : NULL;
}

void table_remove(struct table *table, uint64_t key)
{
    struct table_record *record = find(table, key);

    HASH_DELETE(hh, table->first, record);
    pages_pool_give(&table->pool, record);
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
    struct table_copy copy = {.slot_bytes =
                                  (uint32_t)(table->pool.record_bytes - offsetof(struct table_record, key))};
    const struct table_record *record, *next;
    uint32_t count;
    int error = 0;

    table_lock(table);
    count = HASH_COUNT(table->first) - (table->stays != NULL);
    if (count) {
        copy.slots = pages_take((size_t)count * copy.slot_bytes);
        error = copy.slots ? 0 : -ENOMEM;
    }
    if (copy.slots)
        HASH_ITER(hh, table->first, record, next)
            if (record != table->stays)
                memcpy(copy.slots + (size_t)copy.count++ * copy.slot_bytes, &record->key, copy.slot_bytes);
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
