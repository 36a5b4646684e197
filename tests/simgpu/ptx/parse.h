/* SPDX-License-Identifier: Apache-2.0 */
/* Text to module, and a function's text to its instructions. Neither keeps state: one thread at a time per module. */
#ifndef PTX_PARSE_H
#define PTX_PARSE_H

#include "ptx/module.h"

/*
 * Reads a text of that many bytes, or up to a NUL, into a module whose arena has its exit set; the text has to outlive
 * it. Bodies are skipped. Leaves by the exit at the first error.
 */
void ptx_parse(struct ptx_module *module, const char *text, size_t length);

/* Reads a body into an arena of its own. Leaves by the arena's exit. */
struct ptx_body *ptx_parse_body(struct ptx_module *module, const struct ptx_function *function,
                                struct arena *arena);

#endif
