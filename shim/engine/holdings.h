/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdings.h - room for what leaves a device, as ledger/kinds.h is asked with it.
 */
#ifndef EBB_HOLDINGS_H
#define EBB_HOLDINGS_H

#include "ledger/kinds.h"

/** No lock held. */
struct kinds_room kinds_room_now(void);

#endif
