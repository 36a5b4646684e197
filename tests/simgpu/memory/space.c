/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/space.h"

#include "device/device.h"
#include "memory/range.h"

#include <stdlib.h>
#include <sys/mman.h>

static uintptr_t window_start, window_end;
static uintptr_t next;
static struct range_set areas; /* the owner of a program's area is &reservations, of the driver's NULL */
static size_t reservations;

enum {
    WINDOW_BITS_MAX = 45,
    WINDOW_BITS_MIN = 34
};

static const int reserved_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

/* Mappings that are there to be dropped. Shared ones never merge. */
enum {
    BALLAST = 16
};
static const size_t ballast_bytes = 4096;
static void *ballast[BALLAST];

static void ballast_take(void **taken)
{
    void *mapped = mmap(NULL, ballast_bytes, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    *taken = mapped == MAP_FAILED ? NULL : mapped;
}

CUresult space_start(void)
{
    for (unsigned i = 0; i < BALLAST; i++)
        ballast_take(&ballast[i]);
    for (int bits = WINDOW_BITS_MAX; bits >= WINDOW_BITS_MIN; bits--) {
        size_t size = (size_t)1 << bits;
        void *window = mmap(NULL, size, PROT_NONE, reserved_flags, -1, 0);

        if (window == MAP_FAILED)
            continue;
        window_end = (uintptr_t)window + size;
        next = ((uintptr_t)window + GRANULE - 1) & ~(uintptr_t)(GRANULE - 1);
        __atomic_store_n(&window_start, (uintptr_t)window, __ATOMIC_RELEASE);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

bool space_contains(uintptr_t address)
{
    uintptr_t start = __atomic_load_n(&window_start, __ATOMIC_ACQUIRE);

    return start && address >= start && address < window_end;
}

static bool is_free(uintptr_t start, size_t size)
{
    return start >= window_start && start < window_end && size <= window_end - start &&
           !range_overlaps(&areas, start, size);
}

/* First fit from an address on. */
static bool search(uintptr_t from, size_t size, size_t alignment, uintptr_t *start)
{
    const struct range *taken;
    uintptr_t at = from;

    for (;;) {
        at = (at + alignment - 1) & ~(uintptr_t)(alignment - 1);
        if (is_free(at, size)) {
            *start = at;
            return true;
        }
        taken = range_after(&areas, at);
        if (!taken)
            return false;
        at = taken->start + taken->size;
    }
}

CUresult space_take(size_t size, size_t alignment, uintptr_t hint, bool program, uintptr_t *start)
{
    uintptr_t at;

    if (alignment < GRANULE)
        alignment = GRANULE;
    if (hint && hint % alignment == 0 && is_free(hint, size))
        at = hint;
    else if (!search(next, size, alignment, &at) && !search(window_start, size, alignment, &at))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (range_insert(&areas, at, size, program ? &reservations : NULL) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    /* One granule stays free behind each area: what runs over its end faults. */
    if (at != hint)
        next = at + size + GRANULE;
    reservations += program;
    *start = at;
    return CUDA_SUCCESS;
}

bool space_reservation(uintptr_t address, uintptr_t *start, size_t *size)
{
    const struct range *area = range_find(&areas, address);

    if (!area || !area->owner)
        return false;
    *start = area->start;
    *size = area->size;
    return true;
}

size_t space_reservations(void)
{
    return reservations;
}

void space_give(uintptr_t start)
{
    if (range_find(&areas, start)->owner)
        reservations--;
    range_remove(&areas, start);
}

CUresult space_map(uintptr_t start, size_t size, uint64_t place)
{
    void *mapped = mmap((void *)start, size, PROT_NONE, MAP_SHARED | MAP_FIXED, place_file(place),
                        (off_t)place_offset(place));

    return mapped == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult space_protect(uintptr_t start, size_t size, int prot)
{
    return mprotect((void *)start, size, prot) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static bool replace(uintptr_t start, size_t size)
{
    return mmap((void *)start, size, PROT_NONE, reserved_flags | MAP_FIXED, -1, 0) != MAP_FAILED;
}

void space_unmap(uintptr_t start, size_t size)
{
    unsigned dropped = 0;

    /* At the kernel's limit of mappings even one that would end with fewer is refused; giving up a whole one is not. */
    while (!replace(start, size)) {
        if (dropped == BALLAST)
            abort(); /* other threads have taken all that was dropped */
        if (ballast[dropped])
            munmap(ballast[dropped], ballast_bytes);
        ballast[dropped++] = NULL;
    }
    for (unsigned i = 0; i < dropped; i++)
        ballast_take(&ballast[i]);
}
