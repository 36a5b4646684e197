/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.h - the images that are loaded, and where their global data lies.
 *
 * Threads  any.
 */
#ifndef EBB_MODULES_H
#define EBB_MODULES_H

#include "cuda/real.h"
#include "tier/device.h"

/** A load of `image`, or of the file at `path`, answered `result`, which is returned: after a success the names of the
 *  global data are remembered with what `out` points at, a CUmodule of the current context or a CUlibrary. */
CUresult modules_from_memory(CUresult result, const void *out, bool is_library, const void *image);
CUresult modules_from_file(CUresult result, const void *out, bool is_library, const char *path);

/** The image is about to be unloaded. Waits for a visit of its globals. */
void modules_forget(const void *handle);

/** Visit the global data of every loaded image on every device that has a context. 0; what `visit` returned;
 *  -ENOTSUP with `*out_why` when an address cannot be known. */
int modules_roots(root_visit_fn visit, void *arg, const char **out_why);

#endif
