/* SPDX-License-Identifier: Apache-2.0 */
/* host_block.c - blocks come and go, are pinned and asked about. See host_block.h. */
#include "host_block.h"

#include <errno.h>
#include <string.h>

#include "host_block_state.h"
#include "state.h"

static uint64_t address_of(const void *ptr)
{
    return (uint64_t)(uintptr_t)ptr;
}

/* The block at an address, that no other thread is about to forget; lock held. */
static struct host_block *find(const void *ptr)
{
    struct host_block *block = host_block_any() ? host_table_find(address_of(ptr)) : NULL;

    return block && !block->dying ? block : NULL;
}

static int add(void *ptr, size_t bytes, unsigned flags, const char *name)
{
    struct host_block *block;
    int rc;

    if (!core_host_active())
        return -ENOTSUP;
    block = host_table_create(address_of(ptr), bytes);
    if (!block)
        return -ENOMEM;
    block->flags = flags;
    for (size_t i = 0; name && name[i] && i + 1 < sizeof(block->name); i++)
        block->name[i] = name[i];
    pthread_mutex_lock(&host_blocks.lock);
    rc = host_table_insert(block);
    if (!rc)
        block->holds = host_holds_on(block);
    pthread_mutex_unlock(&host_blocks.lock);
    if (rc < 0)
        host_table_destroy(block);
    return rc;
}

int host_block_register(void *ptr, size_t bytes, unsigned flags, const char *name)
{
    uint64_t base = address_of(ptr);
    int rc;

    if (!ptr || !bytes || base + bytes < base)
        return -EINVAL;
    rc = host_maps_check(base, base + bytes);
    return rc < 0 ? rc : add(ptr, bytes, flags, name);
}

int host_block_adopt(void *ptr, size_t bytes)
{
    return ptr && bytes ? add(ptr, bytes, HOST_BLOCK_HEAP, NULL) : -EINVAL;
}

int host_block_unregister(void *ptr)
{
    struct host_block *block;
    int rc = 0;

    pthread_mutex_lock(&host_blocks.lock);
    block = find(ptr);
    if (!block)
        rc = -ENOENT;
    else if (block->pins || block->holds)
        rc = -EBUSY;
    else
        host_table_remove(block);
    pthread_mutex_unlock(&host_blocks.lock);
    if (!rc)
        host_table_destroy(block);
    return rc;
}

bool host_block_abandon(void *ptr)
{
    struct host_block *block;

    if (!host_block_any())
        return false;
    pthread_mutex_lock(&host_blocks.lock);
    block = find(ptr);
    if (block && block->base != address_of(ptr))
        block = NULL;
    if (block)
        host_table_remove(block);
    pthread_mutex_unlock(&host_blocks.lock);
    if (block)
        host_table_destroy(block);
    return block != NULL;
}

int host_block_pin(void *ptr, unsigned flags)
{
    struct host_block *block;

    (void)flags;
    pthread_mutex_lock(&host_blocks.lock);
    block = find(ptr);
    if (block)
        block->pins++;
    pthread_mutex_unlock(&host_blocks.lock);
    return block ? 0 : -ENOENT;
}

int host_block_unpin(void *ptr, unsigned flags)
{
    struct host_block *block;
    int rc = 0;

    (void)flags;
    pthread_mutex_lock(&host_blocks.lock);
    block = find(ptr);
    if (!block)
        rc = -ENOENT;
    else if (!block->pins)
        rc = -EINVAL;
    else
        block->pins--;
    pthread_mutex_unlock(&host_blocks.lock);
    return rc;
}

int host_block_touch(void *ptr)
{
    uint64_t now = core_stamp();
    struct host_block *block;

    pthread_mutex_lock(&host_blocks.lock);
    block = find(ptr);
    for (uint32_t i = 0; block && i < block->unit_count; i++)
        block->unit[i].stamp = now;
    pthread_mutex_unlock(&host_blocks.lock);
    return block ? 0 : -ENOENT;
}

int host_block_query(void *ptr, struct host_block_info *out)
{
    struct host_block *block;

    pthread_mutex_lock(&host_blocks.lock);
    block = find(ptr);
    if (block) {
        *out = (struct host_block_info){.base = block->base,
                                        .bytes = block->bytes,
                                        .pins = block->pins,
                                        .holds = block->holds,
                                        .saves = block->saves,
                                        .flags = block->flags};
        memcpy(out->name, block->name, sizeof(out->name));
        for (uint32_t i = 0; i < block->unit_count; i++)
            if (out->last_use < block->unit[i].stamp)
                out->last_use = block->unit[i].stamp;
    }
    pthread_mutex_unlock(&host_blocks.lock);
    return block ? 0 : -ENOENT;
}

bool host_block_away(void)
{
    return host_blocks.away_bytes != 0;
}

long host_block_evict(void *ptr_or_null, size_t bytes)
{
    (void)ptr_or_null;
    (void)bytes;
    return -ENOTSUP;
}

size_t host_block_demote(size_t bytes)
{
    (void)bytes;
    return 0;
}
