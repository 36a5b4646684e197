/* SPDX-License-Identifier: Apache-2.0 */
/* pages.c - see pages.h. */
#include "base/pages.h"

#include <sys/mman.h>

/* The system is asked for so much at a time, of which only what is taken is ever touched. */
#define POOL_BYTES ((size_t)64 << 10)

static void *map(size_t bytes, int flags)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void *pages_take(size_t bytes)
{
    return map(bytes, 0);
}

void *pages_reserve(size_t bytes)
{
    return map(bytes, MAP_NORESERVE);
}

void pages_give(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

void *pages_pool_take(struct pages_pool *pool)
{
    void *record = pool->spare;

    if (record) {
        pool->spare = *(void **)record;
        return record;
    }
    if (pool->fresh_bytes < pool->record_bytes) {
        pool->fresh = pages_take(POOL_BYTES);
        pool->fresh_bytes = pool->fresh ? POOL_BYTES : 0;
        if (!pool->fresh)
            return NULL;
    }
    record = pool->fresh;
    pool->fresh += pool->record_bytes;
    pool->fresh_bytes -= pool->record_bytes;
    return record;
}

void pages_pool_give(struct pages_pool *pool, void *record)
{
    *(void **)record = pool->spare;
    pool->spare = record;
}
