/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sheet.h - text on its way to a descriptor, collected so that there are few writes. Never allocates.
 */
#ifndef EBB_SHEET_H
#define EBB_SHEET_H

#include <stddef.h>

struct sheet {
    int fd;
    size_t used;
    int error; /**< the first negative errno; nothing is written after it */
    char buf[4096];
};

/** Up to 1023 bytes of text, in the words of log_print. */
void sheet_put(struct sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Text of somebody else's inside a string of JSON: quotes escaped, control characters and what is no text masked. */
void sheet_text(struct sheet *sheet, const char *text, size_t length);

/** Write what is left. Returns the sheet's error. */
int sheet_flush(struct sheet *sheet);

#endif
