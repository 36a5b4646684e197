/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - memory that is not malloc's: pages of the system, and records of one size that lie in them.
 *
 * malloc is hooked by us: what its hooks may reach, and what grows while a lock is held, keeps its books here.
 *
 * Owns     nothing: the caller keeps what it takes. Pages of a pool are never given back to the system.
 * Threads  any; a pool is locked by its owner.
 * Errors   NULL: the system has no memory, or no addresses.
 */
#ifndef EBB_PAGES_H
#define EBB_PAGES_H

#include <stddef.h>

/** Zeroed pages for `bytes`. */
void *pages_take(size_t bytes);

/** The same for a table that is as large as it may ever grow: only what is touched of it costs memory. */
void *pages_reserve(size_t bytes);

/** Give back all that one call took; NULL: nothing. */
void pages_give(void *memory, size_t bytes);

/** Records that stay where they are. Those given back wait for the next taker. */
struct pages_pool {
    size_t record_bytes; /**< at least a pointer's, and a multiple of the record's alignment */
    void *spare;         /**< given back; each begins with the address of the next */
    char *fresh;         /**< never taken yet */
    size_t fresh_bytes;
};

#define PAGES_POOL(type)                                                                                     \
    {                                                                                                        \
        .record_bytes = sizeof(type)                                                                         \
    }

/** A record: zeros, or what its last owner left in it but for the first word. */
void *pages_pool_take(struct pages_pool *pool);

void pages_pool_give(struct pages_pool *pool, void *record);

#endif
