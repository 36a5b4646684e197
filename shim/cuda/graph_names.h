/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_names.h - the memory that nodes of a graph name.
 *
 * Owns     its lists (malloc); all zero is empty.
 * Threads  one at a time.
 */
#ifndef EBB_GRAPH_NAMES_H
#define EBB_GRAPH_NAMES_H

#include "engine/core.h"

struct graph_names {
    uint32_t *granule; /**< no duplicates */
    uint32_t granule_count, granule_room;
    struct use_rows *source; /**< of copies from host memory, read anew at each launch */
    uint32_t source_count, source_room;
    uint8_t all; /**< as of struct use: a node cannot be read, or there was no memory to note what it names */
};

/** Add what a use names, what a word may point to, a source (0 or -ENOMEM), or all that others are. */
void graph_names_use(struct graph_names *names, const struct use *use);
void graph_names_word(struct graph_names *names, uint64_t word);
int graph_names_source(struct graph_names *names, const struct use_rows *rows);
void graph_names_add(struct graph_names *names, const struct graph_names *others);
void graph_names_free(struct graph_names *names);

/** Room for one more element in a list. False without memory. */
bool graph_make_room(void **list, uint32_t count, uint32_t *room, size_t element_bytes);

#endif
