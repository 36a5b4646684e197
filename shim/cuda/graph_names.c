/* SPDX-License-Identifier: Apache-2.0 */
/* graph_names.c - see graph_names.h. */
#include "cuda/graph_names.h"

#include <errno.h>
#include <stdlib.h>

bool graph_make_room(void **list, uint32_t count, uint32_t *room, size_t element_bytes)
{
    if (count < *room)
        return true;
    uint32_t bigger = *room ? *room * 2 : 16;
    void *moved = realloc(*list, bigger * element_bytes);

    if (!moved)
        return false;
    *list = moved;
    *room = bigger;
    return true;
}

static void add_granule(struct graph_names *names, uint32_t granule)
{
    for (uint32_t i = 0; i < names->granule_count; i++)
        if (names->granule[i] == granule)
            return;
    if (graph_make_room((void **)&names->granule, names->granule_count, &names->granule_room,
                        sizeof(*names->granule)))
        names->granule[names->granule_count++] = granule;
    else
        names->all |= USE_MORE;
}

void graph_names_use(struct graph_names *names, const struct use *use)
{
    names->all |= use->all;
    for (uint32_t i = 0; i < use->count; i++)
        add_granule(names, use->granule[i]);
}

void graph_names_word(struct graph_names *names, uint64_t word)
{
    struct use use;

    use_init(&use, false);
    use_word(&use, word);
    graph_names_use(names, &use);
}

int graph_names_source(struct graph_names *names, const struct use_rows *rows)
{
    if (!graph_make_room((void **)&names->source, names->source_count, &names->source_room,
                         sizeof(*names->source)))
        return -ENOMEM;
    names->source[names->source_count++] = *rows;
    return 0;
}

void graph_names_free(struct graph_names *names)
{
    free(names->granule);
    free(names->source);
}

void graph_names_add(struct graph_names *names, const struct graph_names *others)
{
    names->all |= others->all;
    for (uint32_t i = 0; i < others->granule_count; i++)
        add_granule(names, others->granule[i]);
    for (uint32_t i = 0; i < others->source_count; i++)
        if (graph_names_source(names, &others->source[i]))
            names->all |= USE_MORE;
}
