/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outlook.h - what is known of the uses of each block: when it was used, at what distances, how well it went to foretell it.
 *
 * Shape    a table, with a row for each block that lives. A row is taken again when its block is gone; a name says which of
 *          those that had the row is meant. Uses that lie close together, as those of one layer do, are one burst:
 *          distances are between their beginnings.
 * Trust    of a block: grows when it left though another one had been unused for longer, and that one was wanted first; falls,
 *          three times as far, when it was not. The call site that used a block first remembers it for those that
 *          come after.
 * Owns     nothing: the memory is the caller's, all zeros to begin with. Nothing here fails. The caller locks.
 * Units    launches, counted over all threads from 1; granules of 2 MiB.
 */
#ifndef EBB_OUTLOOK_H
#define EBB_OUTLOOK_H

#include <stdbool.h>
#include <stdint.h>

#define OUTLOOK_NEVER   UINT32_MAX
#define OUTLOOK_NOBODY  UINT32_MAX /**< no index */
#define OUTLOOK_NO_NAME 0

enum {
    OUTLOOK_INDEX_BITS = 22, /**< of a name; the others are its generation, which is never 0 */
    OUTLOOK_GENERATIONS = 1 << (32 - OUTLOOK_INDEX_BITS),
    OUTLOOK_BLOCKS_MAX = 1 << OUTLOOK_INDEX_BITS,
    OUTLOOK_GAPS = 16,
    OUTLOOK_SITES = 4096,
    OUTLOOK_BURST = 6, /**< uses this close are one */
    OUTLOOK_TRUST_MAX = 15,
    OUTLOOK_TRUST_FIRST = 10,
    OUTLOOK_TRUSTED = 8, /**< from here on */
    OUTLOOK_GHOSTS = 2
};

/** What trust is in. */
enum outlook_trust {
    OUTLOOK_BY_ORDER, /**< of launches */
    OUTLOOK_BY_GAPS,
    OUTLOOK_TRUSTS
};

/** Place of a block in a ghost's list of those that would be on the device; guard.h. */
struct outlook_ghost {
    uint32_t here;           /**< granules */
    uint32_t older, younger; /**< indexes and one; 0: none */
};

struct outlook_block {
    uint32_t granules; /**< kept when the block is gone, until another one has the row */
    uint32_t last;     /**< launch that used it last, or that was made last before the block was */
    uint32_t burst;    /**< launch that its last burst began with; 0: it was never used */
    uint32_t walk;     /**< forecast that foretold it last */
    uint32_t ahead;    /**< launches that it is ahead, by that */
    uint32_t spared;   /**< name of who stayed in its place; OUTLOOK_NO_NAME */
    uint32_t left;     /**< launch after which it left */
    uint32_t heir;     /**< name of who stands in launches where one of this row stood */
    uint16_t heir_of;  /**< generation of that one */
    uint16_t generation;
    uint16_t site;
    uint16_t gap[OUTLOOK_GAPS]; /**< a ring */
    uint8_t gaps;               /**< written, modulo 256 */
    bool has_gaps;              /**< all of the ring was written */
    bool lives;
    bool is_early; /**< it was brought before anybody wanted it, and nobody has since */
    uint8_t trust[OUTLOOK_TRUSTS];
    struct outlook_ghost ghost[OUTLOOK_GHOSTS];
};

struct outlook {
    struct outlook_block *block;
    uint32_t count; /**< rows, at most OUTLOOK_BLOCKS_MAX */
    uint32_t now;   /**< launches until now */
    uint32_t walks; /**< forecasts until now */
    uint8_t site[OUTLOOK_SITES][OUTLOOK_TRUSTS];
};

void outlook_init(struct outlook *outlook, struct outlook_block *block, uint32_t count);

/** A block is made in a row that is free. Returns its name. */
uint32_t outlook_make(struct outlook *outlook, uint32_t index, uint32_t granules);

/** It is freed. */
void outlook_free(struct outlook *outlook, uint32_t index);

/** One more launch is made. */
static inline void outlook_launch(struct outlook *outlook)
{
    outlook->now++;
}

/** The launch uses a block as its argument number `argument`. */
void outlook_use(struct outlook *outlook, uint32_t index, uint32_t function, uint32_t argument);

/** A block leaves, or a part of it, while `oldest` is the one that was not used for longest of all that could. */
void outlook_leave(struct outlook *outlook, uint32_t index, uint32_t oldest);

/** Where `old` stood in a launch, `heir` stands in one like it. */
void outlook_inherit(struct outlook *outlook, uint32_t old, uint32_t heir);

/** Index of the living block of that name, or of its heir; OUTLOOK_NOBODY. */
uint32_t outlook_find(const struct outlook *outlook, uint32_t name);

static inline uint32_t outlook_index(uint32_t name)
{
    return name & (OUTLOOK_BLOCKS_MAX - 1);
}

static inline uint32_t outlook_name(const struct outlook *outlook, uint32_t index)
{
    return (uint32_t)outlook->block[index].generation << OUTLOOK_INDEX_BITS | index;
}

static inline bool outlook_lives(const struct outlook *outlook, uint32_t name)
{
    const struct outlook_block *block = &outlook->block[outlook_index(name)];

    return name && block->lives && block->generation == name >> OUTLOOK_INDEX_BITS;
}

/** Launches since it was used. */
static inline uint32_t outlook_age(const struct outlook *outlook, uint32_t index)
{
    return outlook->now - outlook->block[index].last;
}

#endif
