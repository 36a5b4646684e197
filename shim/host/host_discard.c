/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_discard.c - pages that the program gives up (madvise(2) with MADV_DONTNEED or MADV_FREE). See
 * host_state.h.
 *
 * The kernel tells of it, and drops the pages some time after we have read that. Until then a page that is there is an
 * old one, and must not leave, or its bytes would come back; one that is missing is empty, whatever is on disk.
 */
#include "host/host_state.h"

#include <sys/mman.h>

void host_discard_set(struct host_unit *unit, uint64_t page)
{
    unit->gone[page / 64] |= UINT64_C(1) << page % 64;
}

void host_discard_clear(struct host_unit *unit, uint64_t page)
{
    unit->gone[page / 64] &= ~(UINT64_C(1) << page % 64);
}

bool host_discard_has(const struct host_unit *unit, uint64_t page)
{
    return unit->gone[page / 64] >> page % 64 & 1;
}

bool host_discard_settled(const struct host_block *block, uint32_t index, unsigned piece)
{
    struct host_unit *unit = &block->unit[index];
    uint64_t page = host_page_bytes(), start = host_unit_address(block, index) + piece * HOST_PIECE_BYTES;
    uint64_t bytes = host_clip(block, &start, HOST_PIECE_BYTES);
    bool settled = true;

    for (uint64_t at = start; at < start + bytes; at += page) {
        unsigned char resident = 0;

        if (!host_discard_has(unit, at % HOST_UNIT_BYTES / page))
            continue;
        if (mincore((void *)(uintptr_t)at, page, &resident) == 0 && resident & 1)
            settled = false;
        else
            host_discard_clear(unit, at % HOST_UNIT_BYTES / page);
    }
    return settled;
}

int host_discard_fill(const struct host_block *block, uint32_t index, unsigned piece, const char *from,
                      int file)
{
    const struct host_unit *unit = &block->unit[index];
    uint64_t page = host_page_bytes(), start = host_unit_address(block, index) + piece * HOST_PIECE_BYTES;
    uint64_t bytes = host_clip(block, &start, HOST_PIECE_BYTES), at = 0;
    int error = 0;

    while (at < bytes && !error) {
        uint64_t run = 0;

        while (at + run < bytes && !host_discard_has(unit, (start + at + run) % HOST_UNIT_BYTES / page))
            run += page;
        if (run)
            error = host_fault_fill_in(file, start + at, from + at, run);
        at += run ? run : page;
    }
    return error;
}
