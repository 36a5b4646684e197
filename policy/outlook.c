/* SPDX-License-Identifier: Apache-2.0 */
/* outlook.c - see outlook.h. */
#include "policy/outlook.h"

#include <assert.h>
#include <string.h>

enum {
    TRUST_UP = 1,
    TRUST_DOWN = 3
};

void outlook_init(struct outlook *outlook, struct outlook_block *block, uint32_t count)
{
    assert(count <= OUTLOOK_BLOCKS_MAX);
    memset(outlook, 0, sizeof(*outlook));
    memset(outlook->site, OUTLOOK_TRUST_FIRST, sizeof(outlook->site));
    outlook->block = block;
    outlook->count = count;
}

uint32_t outlook_make(struct outlook *outlook, uint32_t index, uint32_t granules)
{
    struct outlook_block *block = &outlook->block[index];
    struct outlook_block fresh = {
        .granules = granules, .lives = true, .heir = block->heir, .heir_of = block->heir_of};

    assert(index < outlook->count && granules && !block->lives);
    fresh.generation = (uint16_t)(block->generation + 1 < OUTLOOK_GENERATIONS ? block->generation + 1 : 1);
    fresh.last = outlook->now;
    fresh.site = OUTLOOK_SITES;
    *block = fresh;
    return outlook_name(outlook, index);
}

static void move_trust(uint8_t *trust, int by)
{
    int moved = *trust + by;

    *trust = (uint8_t)(moved < 0 ? 0 : moved > OUTLOOK_TRUST_MAX ? OUTLOOK_TRUST_MAX : moved);
}

static void trust(struct outlook *outlook, struct outlook_block *block, enum outlook_trust in, bool is_good)
{
    int by = is_good ? TRUST_UP : -TRUST_DOWN;

    move_trust(&block->trust[in], by);
    move_trust(&outlook->site[block->site][in], by);
}

static bool was_used(const struct outlook_block *block)
{
    return block->site < OUTLOOK_SITES;
}

void outlook_free(struct outlook *outlook, uint32_t index)
{
    struct outlook_block *block = &outlook->block[index];

    /* What nobody wanted again left rightly. */
    if (was_used(block) && block->spared)
        trust(outlook, block, OUTLOOK_BY_ORDER, true);
    block->lives = false;
}

static uint16_t site_of(uint32_t function, uint32_t argument)
{
    uint32_t mixed = (function ^ argument * 0x85ebca6bu) * 0x9e3779b1u;

    return (uint16_t)(mixed >> 20);
}

/* Whoever stayed in its place was wanted first, or the block would better have stayed. */
static void judge(struct outlook *outlook, struct outlook_block *block)
{
    const struct outlook_block *spared = &outlook->block[outlook_index(block->spared)];
    bool is_good;

    if (!block->spared)
        return;
    is_good = !outlook_lives(outlook, block->spared) || spared->last > block->left;
    for (int in = 0; in < OUTLOOK_TRUSTS; in++)
        trust(outlook, block, (enum outlook_trust)in, is_good);
    block->spared = OUTLOOK_NO_NAME;
}

static void begin_burst(struct outlook *outlook, struct outlook_block *block)
{
    uint32_t gap = outlook->now - block->burst;

    if (block->burst) {
        block->gap[block->gaps++ % OUTLOOK_GAPS] = (uint16_t)(gap < UINT16_MAX ? gap : UINT16_MAX);
        block->has_gaps = block->has_gaps || block->gaps == OUTLOOK_GAPS;
    }
    block->burst = outlook->now;
}

void outlook_use(struct outlook *outlook, uint32_t index, uint32_t function, uint32_t argument)
{
    struct outlook_block *block = &outlook->block[index];

    if (!was_used(block)) {
        block->site = site_of(function, argument);
        memcpy(block->trust, outlook->site[block->site], sizeof(block->trust));
    }
    if (!block->burst || outlook_age(outlook, index) > OUTLOOK_BURST) {
        judge(outlook, block);
        begin_burst(outlook, block);
    }
    block->last = outlook->now;
}

void outlook_leave(struct outlook *outlook, uint32_t index, uint32_t oldest)
{
    struct outlook_block *block = &outlook->block[index];

    block->spared =
        oldest == index || oldest == OUTLOOK_NOBODY ? OUTLOOK_NO_NAME : outlook_name(outlook, oldest);
    block->left = outlook->now;
}

void outlook_inherit(struct outlook *outlook, uint32_t old, uint32_t heir)
{
    struct outlook_block *block = &outlook->block[outlook_index(old)];

    block->heir = heir;
    block->heir_of = (uint16_t)(old >> OUTLOOK_INDEX_BITS);
}

uint32_t outlook_find(const struct outlook *outlook, uint32_t name)
{
    const struct outlook_block *block = &outlook->block[outlook_index(name)];

    if (outlook_lives(outlook, name))
        return outlook_index(name);
    if (block->heir_of == name >> OUTLOOK_INDEX_BITS && outlook_lives(outlook, block->heir))
        return outlook_index(block->heir);
    return OUTLOOK_NOBODY;
}
