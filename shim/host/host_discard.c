/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_discard.c - pages that the program gives up (madvise(2) with MADV_DONTNEED or MADV_FREE). See host_state.h.
 *
 * The kernel tells of it, and drops the pages some time after we have read that. Until then a page that is there is an
 * old one, and must not leave, or its bytes would come back; one that is missing is empty, whatever is on disk.
 */
#include "host/host_state.h"

#include <sys/mman.h>

void host_discard_mark(struct host_unit *unit, uint64_t address, bool is_gone)
{
    uint64_t page = address % HOST_UNIT_BYTES / host_page_bytes(), bit = UINT64_C(1) << page % 64;

    if (is_gone)
        unit->gone[page / 64] |= bit;
    else
        unit->gone[page / 64] &= ~bit;
}

bool host_discard_has(const struct host_unit *unit, uint64_t address)
{
    uint64_t page = address % HOST_UNIT_BYTES / host_page_bytes();

    return unit->gone[page / 64] >> page % 64 & 1;
}

bool host_discard_settled(const struct host_block *block, uint32_t index, uint32_t piece)
{
    struct host_unit *unit = &block->unit[index];
    const struct host_span span = host_span(block, index, piece);
    uint64_t page = host_page_bytes();
    bool settled = true;

    for (uint64_t at = span.start; at < span.start + span.bytes; at += page) {
        unsigned char resident = 0;

        if (!host_discard_has(unit, at))
            continue;
        if (mincore((void *)(uintptr_t)at, page, &resident) == 0 && resident & 1)
            settled = false;
        else
            host_discard_mark(unit, at, false);
    }
    return settled;
}

int host_discard_fill(int file, const struct host_block *block, uint32_t index, uint32_t piece,
                      const char *from)
{
    const struct host_unit *unit = &block->unit[index];
    const struct host_span span = host_span(block, index, piece);
    uint64_t page = host_page_bytes(), at = 0;
    int error = 0;

    while (at < span.bytes && !error) {
        uint64_t run = 0;

        while (at + run < span.bytes && !host_discard_has(unit, span.start + at + run))
            run += page;
        if (run)
            error = host_fault_fill(file, span.start + at, from + at, run);
        at += run ? run : page;
    }
    return error;
}
