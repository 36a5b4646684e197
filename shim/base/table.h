/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - records by address or handle: what the hooks know about things that the driver owns.
 *
 * Shape    open addressing with linear probing; a record lies in its slot. Keys are never 0.
 * Owns     pages of its own (mmap): it grows while its lock is held, where nothing may call malloc.
 * Threads  any; one mutex. table_find and what it returns are valid between table_lock and table_unlock.
 * Errors   -ENOMEM from the system. Records are moved by adding and removing.
 */
#ifndef EBB_TABLE_H
#define EBB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"

struct table {
    struct lock lock;
    unsigned char *slots; /**< capacity times an 8-byte key and the record */
    uint32_t capacity;    /**< power of two, or 0 */
    uint32_t count;
    uint32_t record_bytes; /**< multiple of 8 */
};

#define TABLE_INIT(type)                                                                                     \
    {                                                                                                        \
        .lock = LOCK_INIT(LOCK_TABLE), .record_bytes = (sizeof(type) + 7) / 8 * 8                            \
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

/** A copy of all keys and records, so that they can be gone through without the lock. */
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
