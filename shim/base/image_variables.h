/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_variables.h - the variables of an image, whichever form it has: ELF, a fat binary, PTX.
 *
 * Shape    a fat binary has the same code in several versions, of which the driver takes one for each processor: the
 *          one made for just that, else an older one of the same generation or what it makes of a text. Which one is
 *          not asked; the variables of all that it could be are told.
 * Owns     nothing; pure. Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_IMAGE_VARIABLES_H
#define EBB_IMAGE_VARIABLES_H

#include <stdint.h>

#include "base/image_variable.h"

enum {
    IMAGE_PROCESSORS_MAX = 64,
    IMAGE_VERSIONS_MAX = 64
};

/** What the code may have been taken for. */
struct image_target {
    unsigned arch[IMAGE_PROCESSORS_MAX]; /* 75, 90 … */
    unsigned count;
    bool prefers_text; /* where there is any */
};

/** Begin with the next version: called before its variables, and where there are none. */
typedef void (*image_version_fn)(void *arg);

/**
 * Call `begin` for every version of an image, IMAGE_VERSIONS_MAX at most, and `visit` for every variable of it; one
 * name may come several times.
 *
 * Returns  0; -ENOTSUP no image that is understood, or one that is packed in another way, -EINVAL one that contradicts
 *          itself or has nothing for any of these processors: some variables may be missing
 */
int image_variables_read(const void *bytes, size_t size, const struct image_target *target,
                         image_version_fn begin, image_variable_fn visit, void *arg,
                         struct image_facts *facts);

#endif
