/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_screen.h - top on a terminal, with its keys, until somebody leaves it.
 */
#ifndef EBB_TOP_SCREEN_H
#define EBB_TOP_SCREEN_H

#include "cli/top_list.h"

/** Show the list, read anew every second. @filter  memory of the list's filter. CLI_OK, or CLI_FAILED after a line. */
int top_screen(struct top_list *list, char *filter, size_t filter_bytes);

#endif
