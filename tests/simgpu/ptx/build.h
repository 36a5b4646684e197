/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated C as code in this process: compiled once for each text, and kept in files under $XDG_CACHE_HOME, ~/.cache or a
 * folder of the user's in /tmp. A file's name is a hash of the text and of what it is compiled with; files come into being
 * whole, so any number of processes may do this at once, and may be stopped at any time.
 */
#ifndef SIMGPU_PTX_BUILD_H
#define SIMGPU_PTX_BUILD_H

#include "driver/entry.h"
#include "ptx/device/thread.h"

/*
 * Compiles what goes behind the device code, if need be, and loads it. *opened is for dlclose. On any thread, without the
 * lock. JIT_COMPILER_NOT_FOUND without gcc or a place for files; INVALID_PTX for what gcc does not take, which prints why.
 */
CUresult ptx_build(const char *text, void **opened, const struct ptx_code **code);

#endif
