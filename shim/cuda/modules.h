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

/** A context is about to end, or has just ended, and its modules with it. Waits for a visit of their globals. */
void modules_context_gone(CUcontext context);

/** Visit the global data of every loaded image in every context. 0; what `visit` returned; -ENOTSUP with `*out_why` when
 *  an address cannot be known; -EIO for now. */
int modules_roots(root_visit_fn visit, void *arg, const char **out_why);

#endif
