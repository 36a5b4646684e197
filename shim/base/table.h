/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - records by address or handle: what we know about things that the driver owns.
 *
 * Shape    uthash, over records that stay where they are from table_add to table_remove. Keys are never 0.
 * Owns     pages of its own: it grows while its lock is held, where nothing may call malloc.
 * Threads  any; one lock. What table_find returns is valid between table_lock and table_unlock.
 * Errors   -ENOMEM from the system: then the table is as it was.
 */
#ifndef EBB_TABLE_H
#define EBB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/pages.h"

struct table_record;

struct table {
    struct lock lock;
    struct table_record *first; /**< uthash's head */
    struct table_record
        *stays; /**< nobody's, so that what the table has need not be made again when it was empty */
    struct pages_pool pool;
    uint32_t record_bytes;
};

/** Bytes of uthash before each record. */
#define TABLE_HEAD_BYTES 64

#define TABLE_INIT(type)                                                                                     \
    {                                                                                                        \
        .lock = LOCK_INIT(LOCK_TABLE), .record_bytes = sizeof(type), .pool = {                               \
            .record_bytes = TABLE_HEAD_BYTES + (sizeof(type) + 7) / 8 * 8                                    \
        }                                                                                                    \
    }

void table_lock(struct table *table);
void table_unlock(struct table *table);
/** The record of a key, or NULL. Lock held. */
void *table_find(struct table *table, uint64_t key);
/** The record of a key, added with zeros where there is none; NULL without memory. Lock held. */
void *table_add(struct table *table, uint64_t key);
/** Forget a key that table_find found. Lock held. */
void table_remove(struct table *table, uint64_t key);

/** Set a key's record. 0 or -ENOMEM. */
int table_put(struct table *table, uint64_t key, const void *record);
/** Copy out. False when there is none. */
bool table_get(struct table *table, uint64_t key, void *out);
/** Copy out and forget. False when there is none. */
bool table_take(struct table *table, uint64_t key, void *out);

/** A copy of all keys and records, in the order they came in, so that they can be gone through without the lock. */
struct table_copy {
    unsigned char *slots;
    uint32_t count;
    uint32_t slot_bytes;
};

int table_copy(struct table *table, struct table_copy *out);
void table_copy_free(struct table_copy *copy);

static inline uint64_t table_copy_key(const struct table_copy *copy, uint32_t index)
{
    return *(const uint64_t *)(copy->slots + (size_t)index * copy->slot_bytes);
}

static inline const void *table_copy_record(const struct table_copy *copy, uint32_t index)
{
    return copy->slots + (size_t)index * copy->slot_bytes + sizeof(uint64_t);
}

/** A hash whose low bits depend on all of the key: addresses differ in a few middle bits only. */
static inline uint64_t table_hash(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
}

#endif
