/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of what Criterion's headers call, for machines that have its headers and not its library. */
#include <criterion/criterion.h>
#include <criterion/options.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct criterion_options criterion_options;

/* Which comparison failed is in the line that the report names; the words for it are the library's. */
char *cr_translate_assert_msg(int index, ...)
{
    (void)index;
    return strdup("the assertion does not hold");
}

int cr_asprintf(char **out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int length = vasprintf(out, format, args);

    va_end(args);
    return length;
}

void cr_asprintf_free(char *text)
{
    free(text);
}
