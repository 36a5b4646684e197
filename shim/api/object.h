/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - what a program says about its memory: the public API behind its checks.
 *
 * On a device an address stands for the live block it lies in. Whatever is not said here is as ebbtide.h says it of the
 * function of the same name.
 *
 * Threads  any; none of ours is locked.
 * Errors   0 or negative errno; a failed call has changed nothing. -ENOENT: no block there, or not a registered one.
 */
#ifndef EBB_OBJECT_H
#define EBB_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebbtide.h"

/** `flags` of ebb_register. -EINVAL no block, not the first byte, too many bytes, or registered otherwise; -EEXIST
 *  registered with these bytes; -ENOTSUP a library's own. */
int object_register(uint64_t address, uint64_t bytes, unsigned flags, const char *name);
/** -EBUSY pinned; -ENOMEM it cannot be brought to where the device reaches it. */
int object_unregister(uint64_t address);

/** `flags` of ebb_pin. -ENOSPC, -EAGAIN, -EBUSY, -ETIMEDOUT, -EIO, -EDEADLK, -EOVERFLOW. */
int object_pin(uint64_t address, unsigned flags, void *stream);
/** `flags` of ebb_unpin. -EINVAL not pinned. */
int object_unpin(uint64_t address, unsigned flags);
int object_touch(uint64_t address);

/** Bring an object to the device; errors as object_pin. */
int object_prefetch(uint64_t address);
/** Send one object to `tier` (enum ebb_tier) or beyond. Returns the bytes that left the device or, for the disk, host
 *  memory; -EBUSY pinned. */
long object_evict(uint64_t address, int tier);

/** Send the least recent objects of a device to `tier` until `bytes` have left. Returns the bytes that left the
 *  device. */
long object_evict_any(unsigned ordinal, uint64_t bytes, int tier);

/** How long ago a stamp was; 0 before any device was used. */
uint64_t object_age_ns(uint64_t stamp);

/** Fills all of *out but struct_bytes. */
int object_query(uint64_t address, struct ebb_block_info *out);

/** ebb_set_reload_callback. -EINVAL not registered for it; -EBUSY the program's function is the only one that has the
 *  bytes. */
int object_set_reload(uint64_t address, ebb_reload_fn fn, void *arg);

/** Lower stages and higher priorities stay longer: see policies.h. Of any block; -EINVAL out of range. */
int object_set_stage(uint64_t address, int stage);
int object_set_priority(uint64_t address, int priority);

/* ---- host memory (host_object.c); what is not here goes to host_block.h as it is ----------------------------- */

int host_object_register(void *ptr, size_t bytes, const char *name);
/** `flags` of ebb_pin. */
int host_object_pin(void *ptr, unsigned flags);
int host_object_unpin(void *ptr);
int host_object_prefetch(void *ptr);

#endif
