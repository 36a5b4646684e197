/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remap.h - change what is mapped at an address, or leave it as it was.
 *
 * The caller has made sure that nothing can use the range meanwhile.
 */
#ifndef EBB_REMAP_H
#define EBB_REMAP_H

#include <stdint.h>

/** Map a handle and give access to `ordinal` and its peers. 0; -EFAULT when the range is left half mapped; any other
 *  negative errno: it is unmapped as before. */
int backing_map(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle);

/** Unmap for good: once more where that fails, since an error that passes must not cost the memory and the address. */
int backing_unmap(uint64_t address, uint64_t bytes);

/**
 * Replace what is mapped.
 *
 * @old    handle mapped now
 * @new    handle to be mapped instead; 0 leaves the range unmapped
 * Returns  0; -EFAULT when neither could be mapped: the address is dead, the caller keeps the bytes elsewhere and
 *          marks the chunk broken; any other negative errno: `old` is mapped as before
 */
int backing_replace(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t old, uint64_t new);

#endif
