/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link between a device and the host: one bucket of time for each direction, out of which copies, pages of managed
 * memory and what the device uses where it lies on the host all take. Who comes first is served first.
 *
 * A kernel that is not said to write what it uses over the link is taken to read it.
 */
#ifndef SIMGPU_HOST_LINK_H
#define SIMGPU_HOST_LINK_H

#include "stream/op.h"

enum link_way {
    LINK_TO_DEVICE,
    LINK_FROM_DEVICE
};

/* When a transfer of that many bytes that starts now, or then if that is later, has had its share of the link. Reserves it.
 * 0 where the link takes no time. */
uint64_t link_carry(struct device *device, enum link_way way, size_t bytes, uint64_t since_ns);

/* The same for bytes that the device uses where they are, and has since then. */
uint64_t link_reach(struct device *device, enum link_way way, size_t bytes, uint64_t since_ns);

/* The device uses a part of an object, and has since then (0: from now on). *until_ns grows to when the link has carried what of it lies
 * on the host; managed memory has its own rules (managed/page.h). */
void link_use(const struct name *name, struct device *device, uint64_t since_ns, uint64_t *until_ns);

/* After a set or a kernel has run from then on: it has used what it names and has not declared. Waits for the link.
 * Without the lock. */
void link_after(const struct op *op, const struct work *work, uint64_t started_ns);

#endif
