/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - the launches of one thread in their order, and the earlier one that the last one repeats.
 *
 * Shape    a ring of words. A launch that is noted is held against the one that follows where the last one was found: the
 *          place moves on with it while the program repeats itself, though blocks may be others each time. Where it
 *          does not, the place is looked for anew among the launches of the same hash, by how well those before agree.
 * Owns     nothing: the memory is the caller's. Nothing here fails; what a ring no longer holds is forgotten. The caller
 *          locks.
 */
#ifndef EBB_HISTORY_H
#define EBB_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HISTORY_WORDS = 1 << 16, /**< of a ring */
    HISTORY_HEADS = 1 << 12, /**< of lists of launches that share a part of their hash */
    HISTORY_USES_MAX = 1024  /**< of a launch; more are not noted */
};

#define HISTORY_NOWHERE UINT32_MAX

struct history {
    uint32_t *word;               /**< HISTORY_WORDS of them */
    uint32_t head[HISTORY_HEADS]; /**< position of the last one of a list, and one */
    uint32_t end;                 /**< position that the next launch gets */
    uint32_t last;                /**< of the last one */
    uint32_t place;               /**< of the one that the last one repeats; HISTORY_NOWHERE */
    uint32_t count;               /**< launches noted */
    uint32_t run;                 /**< launches for which the place was right */
    uint32_t lost;                /**< launches that were found nowhere since it was */
    uint32_t right;               /**< share of launches that came as foretold, in 2^-16 */
    uint32_t stride;              /**< launches of all threads to one of this, in 2^-16 */
    uint32_t now;                 /**< launch of all threads that the last one was */
};

/** A launch, as it is noted, or as the ring has it. */
struct launch {
    uint32_t function;
    uint32_t count;
    const uint32_t *name; /**< of its blocks; NULL in what history_next found */
};

/** @word  HISTORY_WORDS of them */
void history_init(struct history *history, uint32_t *word);

/** Note a launch. True: it came as foretold.
 *  @now  its number among those of all threads */
bool history_note(struct history *history, const struct launch *launch, uint32_t now);

/** May what follows the place be taken for what comes next? */
bool history_trusted(const struct history *history);

/** Position of the launch behind one that the ring holds; HISTORY_NOWHERE: it is the last one. */
uint32_t history_next(const struct history *history, uint32_t position);

/** Blocks of a launch that the ring holds, and the name of one. */
uint32_t history_uses(const struct history *history, uint32_t position);
uint32_t history_name(const struct history *history, uint32_t position, uint32_t index);

#endif
