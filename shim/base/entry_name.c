/* SPDX-License-Identifier: Apache-2.0 */
/* entry_name.c - see entry_name.h. */
#include "base/entry_name.h"

#include <string.h>

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t end_length = strlen(end);

    return length > end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

struct entry_name entry_name_of(const char *symbol)
{
    struct entry_name name = {.base = symbol, .length = strlen(symbol), .version = 1};

    name.per_thread = ends_with(symbol, name.length, "_ptds") || ends_with(symbol, name.length, "_ptsz");
    if (name.per_thread)
        name.length -= strlen("_ptds");
    if (name.length > 3 && symbol[name.length - 3] == '_' && symbol[name.length - 2] == 'v' &&
        symbol[name.length - 1] >= '1' && symbol[name.length - 1] <= '9') {
        name.version = (unsigned)(symbol[name.length - 1] - '0');
        name.length -= 3;
    }
    return name;
}

static bool is_same_base(struct entry_name a, struct entry_name b)
{
    return a.length == b.length && memcmp(a.base, b.base, a.length) == 0;
}

bool entry_name_follows(const char *symbol, const char *known)
{
    struct entry_name a = entry_name_of(symbol), b = entry_name_of(known);

    return is_same_base(a, b) && a.version >= b.version;
}

bool entry_name_is_form(const char *symbol, const char *known)
{
    return is_same_base(entry_name_of(symbol), entry_name_of(known));
}
