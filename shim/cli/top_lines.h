/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_lines.h - the lines of top, for a terminal or a file: 80 columns at least, and aligned.
 *
 * What fits into no column of its own (commands) is cut at the width. No byte of a line comes from a page unseen: what is
 * no printable character is a question mark.
 */
#ifndef EBB_TOP_LINES_H
#define EBB_TOP_LINES_H

#include "cli/top_list.h"

enum {
    TOP_WIDTH = 80, /**< the least */
    TOP_LINE_BYTES = 1024,
    TOP_BAR = 10,  /**< columns of a bar, */
    TOP_BAR_AT = 8 /**< and where it begins in a process's line */
};

typedef void (*top_line_fn)(const char *line, void *arg);

void top_line_head(char line[TOP_LINE_BYTES], unsigned width, const struct top_list *list);
void top_line_columns(char line[TOP_LINE_BYTES], unsigned width);
void top_line_row(char line[TOP_LINE_BYTES], unsigned width, const struct top_row *row);

/** All that the page has of one process. */
void top_lines_of_process(unsigned width, const struct live_view *view, enum live_state state,
                          top_line_fn put, void *arg);

#endif
