/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remap.h - change what is mapped at an address, or leave it as it was.
 *
 * The caller has made sure that nothing can use the range meanwhile.
 */
#ifndef EBB_REMAP_H
#define EBB_REMAP_H

#include <stdint.h>

/** What is mapped at an address, and what shall be. */
struct remap {
    uint64_t address, bytes;
    uint64_t old; /**< handle mapped now; 0: nothing is */
    uint64_t new; /**< handle to be mapped instead; 0 leaves the range unmapped */
    /** 0; -EFAULT when neither is mapped for use: the range is left half mapped, or unmapped although `old` was there; any
     *  other negative errno: all is as before. */
    int result;
};

/**
 * Replace what is mapped at each of a list. Neighbours are unmapped by one call to the driver and granted by one, since a
 * call costs the same for many as for one; where that fails each is tried by itself. Where -EFAULT takes the place of
 * `old` the caller keeps the bytes elsewhere and marks the chunk broken.
 *
 * @ordinal  which all of them are granted to, and its peers
 */
void backing_replace(unsigned ordinal, struct remap *list, uint32_t count);

/** The same for one range where nothing is mapped. Returns its result. */
int backing_map(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle);

/** Unmap for good: once more where that fails, since an error that passes must not cost the memory and the address. */
int backing_unmap(uint64_t address, uint64_t bytes);

#endif
