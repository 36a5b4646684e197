/* SPDX-License-Identifier: Apache-2.0 */
/* home.c - see home.h. */
#include "ledger/home.h"

#include <stddef.h>

#include "base/pages.h"

static struct home **chain_of(const struct homes *homes, uint64_t context)
{
    uint64_t mixed = context * UINT64_C(0x9e3779b97f4a7c15);

    return (struct home **)&homes->chain[mixed >> 32 & (HOME_CHAINS - 1)];
}

static bool is_for(const struct home *home, const struct wanted *wanted)
{
    return home->context == wanted->context && home->group == wanted->group &&
           home->is_fixed == wanted->is_fixed;
}

struct home *home_find(const struct homes *homes, const struct wanted *wanted)
{
    struct home *home = *chain_of(homes, wanted->context);

    while (home && !is_for(home, wanted))
        home = home->next;
    return home;
}

struct home *home_create(const struct wanted *wanted)
{
    struct home *home = pages_take(sizeof(*home));

    if (home)
        *home =
            (struct home){.context = wanted->context, .group = wanted->group, .is_fixed = wanted->is_fixed};
    return home;
}

void home_add(struct homes *homes, struct home *home)
{
    struct home **chain = chain_of(homes, home->context);

    home->next = *chain;
    *chain = home;
}

struct home *home_remove(struct homes *homes, uint64_t context)
{
    struct home **at = chain_of(homes, context), *home;

    while (*at && ((*at)->context != context || (*at)->bins))
        at = &(*at)->next;
    home = *at;
    if (home)
        *at = home->next;
    return home;
}

void home_destroy(struct home *home)
{
    pages_give(home, sizeof(*home));
}

void home_mixed_note(struct home *home, unsigned list)
{
    uint64_t bit = list < HOME_MIXED ? 0 : UINT64_C(1) << (list - HOME_MIXED);

    home->mixed = home->list[list].first ? home->mixed | bit : home->mixed & ~bit;
}

unsigned home_mixed_next(const struct home *home, unsigned list)
{
    unsigned first = list - HOME_MIXED;
    uint64_t some = first < CELL_CLASSES ? home->mixed >> first << first : 0;

    return some ? HOME_MIXED + (unsigned)__builtin_ctzll(some) : HOME_LISTS;
}

unsigned home_mixed_list(uint32_t units)
{
    uint64_t bytes = (uint64_t)units * CELL_UNIT_BYTES;
    unsigned class = cells_class(bytes);

    return HOME_MIXED + class - (cells_bytes(class) > bytes);
}
