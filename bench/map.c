/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - see map.h. */
#include "map.h"

#include <stdlib.h>

static unsigned mix(uint64_t key)
{
    key = (key ^ key >> 33) * 0xff51afd7ed558ccdu;
    return (unsigned)(key ^ key >> 32);
}

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = mix(*(const uint64_t *)(keyptr)))
#define HASH_KEYCMP(a, b, len)               (*(const uint64_t *)(a) != *(const uint64_t *)(b))
#include <uthash.h>

#include "crowd.h"

struct entry {
    uint64_t address;
    uint32_t owner;
    UT_hash_handle hh;
};

static struct entry *entries, *map;

void map_fill(uint32_t blocks)
{
    entries = calloc(blocks, sizeof(*entries));
    if (!entries)
        abort();
    for (uint32_t i = 0; i < blocks; i++) {
        entries[i] = (struct entry){.address = crowd_address(i), .owner = i + 1};
        HASH_ADD(hh, map, address, sizeof(entries[i].address), &entries[i]);
    }
}

void map_empty(void)
{
    HASH_CLEAR(hh, map);
    free(entries);
}

uint32_t map_owner(uint64_t address)
{
    struct entry *entry;

    HASH_FIND(hh, map, &address, sizeof(address), entry);
    return entry ? entry->owner : 0;
}
