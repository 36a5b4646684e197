/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel as a text in C that stands alone, but for the device code in front of it. */
#ifndef PTX_TRANSLATE_H
#define PTX_TRANSLATE_H

#include "ptx/module.h"

/* What is known of a kernel before it is compiled. */
struct ptx_facts {
    size_t shared_bytes;   /* static */
    size_t local_bytes;    /* of a thread, in all functions that it may call */
    size_t constant_bytes; /* of the module */
    unsigned
        registers; /* 32 bits each: the most that a function declares and uses, in the hardware's range */
};

/*
 * Translates an entry of the module: what goes behind the device code's text. Everything lies in the arena, whose exit it
 * leaves by; facts may be NULL.
 */
const char *ptx_translate(struct ptx_module *module, const struct ptx_function *entry, struct arena *arena,
                          struct ptx_facts *facts);

#endif
