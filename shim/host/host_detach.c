/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_detach.c - out of the program's mapping into a window of ours. See host_state.h.
 *
 * Pages are moved into a window of ours: at one instant they are gone from the program's address, where the next
 * access, a writer's too, becomes a fault that waits for us; and nobody but us can change them while they are written.
 * UFFDIO_MOVE (Linux 6.8) refuses pages that the kernel has pinned for a transfer; mremap(2) with MREMAP_DONTUNMAP (5.7)
 * takes them along, and what the transfer writes afterwards is lost: 260 of 300 reads with O_DIRECT into a block that
 * was evicted all the time were wrong with it on Linux 6.18, and none with UFFDIO_MOVE.
 */
#include "host/host_state.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define ADVICE_POPULATE_WRITE 23 /* of Linux 5.14 */

enum {
    RETRY_MS = 10
};

/* By a copy: these are the only bytes there are. */
static void put_back(uint64_t to, uint64_t from, uint64_t bytes)
{
    int error;

    while ((error = host_fault_fill(-1, to, (const void *)(uintptr_t)from, bytes)) == -ENOMEM ||
           error == -EAGAIN)
        if (error == -EAGAIN)
            host_serve_events();
        else
            poll(NULL, 0, RETRY_MS);
    if (error < 0)
        host_piece_lost(to, bytes, error);
}

/* Page by page, which refuses those that a device or the kernel may still write to. Lock held. */
static int take_pages(uint64_t to, uint64_t from, uint64_t bytes)
{
    uint64_t moved, back;
    int error = host_fault_arm(to, to + bytes);

    if (error < 0)
        return error;
    error = host_fault_move(to, from, bytes, &moved);
    if (error == -EAGAIN) {
        /* A child is made, or pages are given up, and who reads that looks into the window: a page that is missing there
         * must not wait for us. It is tried again later. */
        host_fault_disarm(to, to + bytes);
        host_serve_events();
        error = -EBUSY;
    }
    if (error < 0 && moved && host_fault_move(from, to, moved, &back) < 0)
        put_back(from + back, to + back, moved - back);
    if (error < 0)
        host_fault_wake(from, bytes);
    host_fault_disarm(to, to + bytes); /* what is missing there is zero, and nobody waits for it */
    return error;
}

static int take_mapping(uint64_t to, uint64_t from, uint64_t bytes)
{
    void *target = (void *)(uintptr_t)to;

    if (mremap((void *)(uintptr_t)from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
               target) == MAP_FAILED)
        return -errno;
    /* The program may have protected its pages; these are ours to read. */
    mprotect(target, bytes, PROT_READ | PROT_WRITE);
    return 0;
}

int host_detach(uint64_t to, uint64_t from, uint64_t bytes)
{
    /* It is armed already, unless the program has put something else there without a word. */
    int error = host_fault_arm(from, from + bytes);

    if (error < 0)
        return error;
    error = host_fault_moves() ? take_pages(to, from, bytes) : -EINVAL;
    if (error == -EINVAL) /* no such call, or the program may not write to these pages */
        error = take_mapping(to, from, bytes);
    return error;
}

int host_detach_probe(uint64_t to, uint64_t from)
{
    return take_mapping(to, from, host_page_bytes());
}

void host_detach_own(const struct host_block *block, uint32_t unit, uint32_t piece)
{
    const struct host_span span = host_span(block, unit, piece);

    /* Those who serve faults may wait for us: a page that is missing must not become one. It is zero, as the kernel makes
     * it while nobody else is asked. */
    if (host_fault_disarm(span.start, span.start + span.bytes) < 0)
        return;
    /* It fails where the program has unmapped or protected them: then nothing leaves. Neither does, when it is not armed
     * again. */
    madvise((void *)(uintptr_t)span.start, span.bytes, ADVICE_POPULATE_WRITE);
    host_fault_arm(span.start, span.start + span.bytes);
}
