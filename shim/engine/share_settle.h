/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share_settle.h - memory is moved until the shares of a tier are kept to. What they are: ledger/share.h.
 *
 * Threads  role held, core.lock not.
 */
#ifndef EBB_SHARE_SETTLE_H
#define EBB_SHARE_SETTLE_H

#include <stdint.h>

/** Evict the least recent buffers until they keep to their maximum and all fits, as far as any can leave; the block at
 *  `but` stays. */
void share_settle(unsigned ordinal, uint32_t but);

/** Send buffers to disk until they keep to their maximum and all fits, as far as any can leave. Nothing
 *  while they do, or while areas are not in force. */
void host_share_settle(void);

/** Send what is loose, then buffers, to disk until all fits into the capacity and the budget has room for
 *  `coming_bytes`, as far as any can leave. 0; -ENOSPC not even with every buffer gone: what is coming
 *  would pass the budget. */
int host_share_make_room(uint64_t coming_bytes);

#endif
