/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_value.h - the text of one option into its field.
 *
 * Shape    one reader per type of options.def.
 * Owns     nothing, never allocates; a few KiB of stack. Safe from any thread.
 */
#ifndef EBB_OPTION_VALUE_H
#define EBB_OPTION_VALUE_H

#include "base/options.h"

/**
 * Read a value.
 *
 * @text    not empty, but for a PATH
 * @field   the field of struct options that the row names
 * Returns  0, or -EINVAL; then the field is untouched
 */
int option_value_read(const struct option_row *row, const char *text, void *field);

#endif
