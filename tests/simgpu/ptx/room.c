/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/room.h"

#include "driver/sim.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    BEFORE = 64 << 10 /* what offsets below 0 reach */
};
#define WINDOW_BYTES (BEFORE + ((size_t)1 << 32) + BEFORE)

static struct room *free_rooms; /* under the lock */

static const int reserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

static void *map(size_t bytes, int access)
{
    void *mapped = mmap(NULL, bytes, access, reserved, -1, 0);

    return mapped == MAP_FAILED ? NULL : mapped;
}

static void destroy(struct room *room)
{
    if (room->window)
        munmap(room->window - BEFORE, WINDOW_BYTES);
    if (room->runners)
        munmap(room->runners, ROOM_THREADS * sizeof *room->runners);
    if (room->signal_stack)
        munmap(room->signal_stack, ROOM_SIGNAL_BYTES);
    free(room->text);
    free(room->block);
    free(room);
}

static struct room *create(void)
{
    struct room *room = calloc(1, sizeof *room);
    u8 *window;

    if (!room)
        return NULL;
    window = map(WINDOW_BYTES, PROT_NONE);
    room->window = window ? window + BEFORE : NULL;
    room->runners = map(ROOM_THREADS * sizeof *room->runners, PROT_READ | PROT_WRITE);
    room->signal_stack = map(ROOM_SIGNAL_BYTES, PROT_READ | PROT_WRITE);
    room->text = malloc(ROOM_TEXT_BYTES);
    room->block = malloc(ROOM_BLOCK_BYTES);
    if (room->window && room->runners && room->signal_stack && room->text && room->block)
        return room;
    destroy(room);
    return NULL;
}

struct room *room_take(void)
{
    struct room *room;

    sim_lock();
    room = free_rooms;
    if (room)
        free_rooms = room->next;
    sim_unlock();
    room = room ? room : create();
    if (room)
        room->next = NULL;
    return room;
}

bool room_open(struct room *room, size_t bytes)
{
    size_t wanted = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1), open = room->open_bytes;

    if (wanted > open && mprotect(room->window + open, wanted - open, PROT_READ | PROT_WRITE) != 0)
        return false;
    if (wanted < open && mprotect(room->window + wanted, open - wanted, PROT_NONE) != 0)
        return false;
    room->open_bytes = wanted;
    return true;
}

static size_t stride_of(const struct room *room)
{
    return room->stack_bytes + (room->is_guarded ? PAGE : 0);
}

/* A page lies below the lowest one in any case. */
static size_t stacks_bytes(const struct room *room)
{
    return PAGE + room->stack_count * stride_of(room);
}

static void stacks_drop(struct room *room)
{
    if (!room->stacks)
        return;
    for (unsigned i = 0; i < room->stack_count; i++) {
        fiber_forget(&room->runners[i].fiber);
        room->runners[i] = (struct runner){.stack = NULL};
    }
    munmap(room->stacks, stacks_bytes(room));
    room->stacks = NULL;
}

/* Stacks of a launch that has very many are not kept. */
void room_give(struct room *room)
{
    if (!room->is_guarded)
        stacks_drop(room);
    sim_lock();
    room->next = free_rooms;
    free_rooms = room;
    sim_unlock();
}

static bool stacks_make(struct room *room)
{
    size_t stride = stride_of(room);

    room->stacks = map(stacks_bytes(room), PROT_READ | PROT_WRITE);
    if (!room->stacks)
        return false;
    mprotect(room->stacks, PAGE, PROT_NONE);
    for (unsigned i = 0; i < room->stack_count; i++) {
        room->runners[i].stack = room->stacks + PAGE + i * stride;
        if (room->is_guarded)
            mprotect(room->runners[i].stack + room->stack_bytes, PAGE, PROT_NONE);
    }
    return true;
}

bool room_stacks(struct room *room, unsigned count, size_t bytes, bool guarded)
{
    size_t wanted = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);

    if (room->stacks && count <= room->stack_count && wanted <= room->stack_bytes &&
        guarded == room->is_guarded)
        return true;
    stacks_drop(room);
    room->stack_count = count > room->stack_count ? count : room->stack_count;
    room->stack_bytes = wanted > room->stack_bytes ? wanted : room->stack_bytes;
    room->is_guarded = guarded;
    return stacks_make(room);
}

bool room_has_stack(const struct room *room, u64 address)
{
    return room->stacks && address - (u64)(uintptr_t)room->stacks < stacks_bytes(room);
}
