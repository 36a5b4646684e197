/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocator for real/torch_eviction.py whose blocks move at random when told to: the shape that PyTorch's pluggable
 * allocators have, and one entry more. Blocks are kept for the next request of their size. Any thread that has a
 * context; an error of the driver ends the process.
 */
#include "block.h"

#include "../programs/random.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void *evict_alloc(ssize_t size, int device, CUstream stream);
EXPORT void evict_free(void *pointer, ssize_t size, int device, CUstream stream);
EXPORT uint64_t evict_some(uint64_t seed);

struct slot {
    struct block block;
    bool used;
    struct slot *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot *slots;

static struct slot *slot_for(size_t bytes)
{
    struct slot *slot = slots;

    while (slot && (slot->used || slot->block.bytes < bytes || slot->block.bytes > 2 * bytes + (4 << 20)))
        slot = slot->next;
    return slot;
}

static struct slot *slot_create(size_t bytes, int device)
{
    CUresult result = block_host_find(device);
    struct slot *slot;

    if (result != CUDA_SUCCESS) {
        fprintf(stderr, "evict: no host-located handle can be made: %s\n", libcuda_result(result));
        return NULL;
    }
    slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    block_create(&slot->block, device, bytes);
    slot->next = slots;
    slots = slot;
    return slot;
}

/* Memory of at least `size` bytes, or NULL, with a line where blocks cannot move here. Use is ordered by one stream, as
 * the pointer may be another's soon after. */
void *evict_alloc(ssize_t size, int device, CUstream stream)
{
    struct slot *slot = NULL;

    (void)stream;
    pthread_mutex_lock(&lock);
    if (size > 0 && (cu.cuInit || !libcuda_open())) {
        slot = slot_for((size_t)size);
        if (!slot)
            slot = slot_create((size_t)size, device);
    }
    if (slot)
        slot->used = true;
    pthread_mutex_unlock(&lock);
    return slot ? (void *)(uintptr_t)slot->block.address : NULL;
}

void evict_free(void *pointer, ssize_t size, int device, CUstream stream)
{
    (void)size;
    (void)device;
    (void)stream;
    pthread_mutex_lock(&lock);
    for (struct slot *slot = slots; slot; slot = slot->next) {
        if (slot->block.address == (uintptr_t)pointer)
            slot->used = false;
    }
    pthread_mutex_unlock(&lock);
}

/* Drains, then moves about an eighth of the blocks in use to the other place. Returns how many. */
uint64_t evict_some(uint64_t seed)
{
    uint64_t n = 0, moved = 0;

    pthread_mutex_lock(&lock);
    for (struct slot *slot = slots; slot; slot = slot->next, n++) {
        if (!slot->used || random_at(seed, n) % 8)
            continue;
        block_move(&slot->block, slot->block.place == PLACE_DEVICE ? PLACE_HOST : PLACE_DEVICE);
        moved++;
    }
    pthread_mutex_unlock(&lock);
    return moved;
}
