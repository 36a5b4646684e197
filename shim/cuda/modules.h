/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.h - the images that are loaded, and where their global data lies. Kept by hook_module.c.
 *
 * Threads  any.
 */
#ifndef EBB_MODULES_H
#define EBB_MODULES_H

#include "tier/device.h"

/** Visit the global data of every loaded image on every device that has a context. 0; what `visit` returned;
 *  -ENOTSUP with `*out_why` when an address cannot be known. */
int modules_roots(root_visit_fn visit, void *arg, const char **out_why);

#endif
