/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/identity.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "GPU-";

/* All begin alike, so that an abbreviation can be too short. */
void identity_uuid(int index, unsigned char uuid[UUID_BYTES])
{
    uint64_t state = 0x9e3779b97f4a7c15u * (uint64_t)(index + 1);

    memcpy(uuid, "\x51\x60", 2);
    for (int i = 2; i < UUID_BYTES; i++) {
        state = (state ^ state >> 29) * 0xbf58476d1ce4e5b9u;
        uuid[i] = (unsigned char)(state >> 56);
    }
}

void identity_text(int index, char text[UUID_TEXT])
{
    unsigned char uuid[UUID_BYTES];
    char *at = text;

    identity_uuid(index, uuid);
    at += sprintf(at, "%s", prefix);
    for (int i = 0; i < UUID_BYTES; i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

unsigned identity_bus(int index)
{
    return (unsigned)index + 1;
}

/* By as many of the first characters as tell it from the others. -1: none, or more than one. */
static int find_uuid(const char *word, size_t length, int count)
{
    int found = -1;

    for (int i = 0; i < count; i++) {
        char text[UUID_TEXT];

        identity_text(i, text);
        if (length >= sizeof text || strncasecmp(text, word, length) != 0)
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

/* By the number that the word begins with; what follows that is not looked at. */
static int find_number(const char *word, size_t length, int count)
{
    char *end;
    long number = strtol(word, &end, 10);

    return end > word && end <= word + length && number >= 0 && number < count ? (int)number : -1;
}

static bool is_among(int index, const int *indexes, int count)
{
    for (int i = 0; i < count; i++)
        if (indexes[i] == index)
            return true;
    return false;
}

/* The first word decides whether all are numbers or all are UUIDs. */
int identity_visible(const char *list, int count, int *indexes)
{
    bool by_uuid = list && strncmp(list, prefix, sizeof prefix - 1) == 0;
    int found = 0;

    if (!list)
        for (; found < count; found++)
            indexes[found] = found;
    while (list && *list) {
        size_t length = strcspn(list, ",");
        int index = by_uuid
                        ? strncmp(list, prefix, sizeof prefix - 1) == 0 ? find_uuid(list, length, count) : -1
                        : find_number(list, length, count);

        if (index < 0)
            return found;
        if (is_among(index, indexes, found))
            return 0;
        indexes[found++] = index;
        list += length + (list[length] == ',');
    }
    return found;
}
