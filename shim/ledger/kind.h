/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind.h - kinds of device memory, and why some of it stays where it is.
 */
#ifndef EBB_KIND_H
#define EBB_KIND_H

enum kind {
    KIND_BLOCK, /**< a block of its own */
    KIND_SMALL, /**< cells of bins */
    KIND_ASYNC, /**< stream-ordered: a block of its own */
    KIND_ASYNC_SMALL,
    KIND_HANDLE,  /**< behind the program's own handles: blocks that lie where it maps them */
    KIND_NATIVE,  /**< the driver's, by address */
    KIND_POOL,    /**< stream-ordered, out of the driver's pools */
    KIND_GRAPH,   /**< what graphs allocate */
    KIND_MANAGED, /**< wherever it is */
    KIND_ARRAY,
    KIND_VMM,      /**< the program's own handles that are the driver's */
    KIND_RESERVED, /**< announced; nothing is behind it yet */
    KIND_IPC,      /**< of other processes: charged there */
    KIND_COUNT
};

/** One of stay.def; STAY_NOT: it may leave. */
enum stay {
#define STAY(name, key, words) STAY_##name,
#include "ledger/stay.def"
#undef STAY
    STAY_COUNT,
    STAY_NOT = STAY_COUNT
};

#endif
