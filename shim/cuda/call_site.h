/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_site.h - who makes an allocation.
 *
 * With a shared runtime its functions leave the program's call site here before they go on into the driver; with a
 * static one the driver's hooks see the caller themselves.
 */
#ifndef EBB_CALL_SITE_H
#define EBB_CALL_SITE_H

#include <stdbool.h>

/** Enter or leave an allocation of this thread: the outermost call counts. Returns what to give call_site_leave. */
const void *call_site_enter(const void *call_site);
void call_site_leave(const void *before);

/** The program's call site, within an allocation. */
const void *call_site_here(void);

/** True when the code at `call_site` belongs to one of NVIDIA's own libraries (cuBLAS, cuDNN, NCCL, ...), whose internal
 *  memory never moves. The answer for an address is remembered. */
bool call_site_is_nvidia(const void *call_site);

/** Code may go, and other code come to its addresses: no answer is remembered any more. */
void call_site_forget(void);

#endif
