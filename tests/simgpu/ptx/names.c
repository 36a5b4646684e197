/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/names.h"

#include <string.h>

enum {
    NAMES_ROOM = 1 << 10,
    SCOPE_ROOM = 16
};

struct kept {
    struct kept *next;
    uint64_t hash;
    size_t length;
    char text[];
};

struct ptx_names {
    struct arena *arena;
    struct kept **buckets;
    size_t room, count;
};

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

static size_t pointer_hash(const char *name)
{
    uint64_t hash = (uintptr_t)name * 0x9e3779b97f4a7c15u;

    return (size_t)(hash >> 32);
}

struct ptx_names *names_create(struct arena *arena)
{
    struct ptx_names *names = arena_take(arena, sizeof *names);

    names->arena = arena;
    names->room = NAMES_ROOM;
    names->buckets = arena_take(arena, names->room * sizeof(struct kept *));
    return names;
}

static void names_grow(struct ptx_names *names)
{
    size_t room = names->room * 4;
    struct kept **buckets = arena_take(names->arena, room * sizeof(struct kept *));

    for (size_t i = 0; i < names->room; i++) {
        for (struct kept *kept = names->buckets[i]; kept;) {
            struct kept *next = kept->next;

            kept->next = buckets[kept->hash % room];
            buckets[kept->hash % room] = kept;
            kept = next;
        }
    }
    names->buckets = buckets;
    names->room = room;
}

const char *names_keep(struct ptx_names *names, const char *text, size_t length)
{
    uint64_t hash = hash_of(text, length);
    struct kept *kept = names->buckets[hash % names->room];

    for (; kept; kept = kept->next)
        if (kept->hash == hash && kept->length == length && memcmp(kept->text, text, length) == 0)
            return kept->text;
    if (names->count++ > names->room * 2)
        names_grow(names);
    kept = arena_take(names->arena, sizeof *kept + length + 1);
    memcpy(kept->text, text, length);
    kept->hash = hash;
    kept->length = length;
    kept->next = names->buckets[hash % names->room];
    names->buckets[hash % names->room] = kept;
    return kept->text;
}

struct ptx_scope *scope_create(struct arena *arena, struct ptx_scope *outer)
{
    struct ptx_scope *scope = arena_take(arena, sizeof *scope);

    scope->outer = outer;
    return scope;
}

static void scope_grow(struct arena *arena, struct ptx_scope *scope)
{
    size_t room = scope->room ? scope->room * 4 : SCOPE_ROOM;
    struct ptx_symbol **buckets = arena_take(arena, room * sizeof(struct ptx_symbol *));

    for (size_t i = 0; i < scope->room; i++) {
        for (struct ptx_symbol *symbol = scope->buckets[i]; symbol;) {
            struct ptx_symbol *next = symbol->next_in_hash;
            size_t at = pointer_hash(symbol->name) % room;

            symbol->next_in_hash = buckets[at];
            buckets[at] = symbol;
            symbol = next;
        }
    }
    scope->buckets = buckets;
    scope->room = room;
}

bool scope_add(struct arena *arena, struct ptx_scope *scope, struct ptx_symbol *symbol)
{
    size_t at;

    if (scope_own(scope, symbol->name))
        return false;
    if (scope->count++ >= scope->room)
        scope_grow(arena, scope);
    at = pointer_hash(symbol->name) % scope->room;
    symbol->next_in_hash = scope->buckets[at];
    scope->buckets[at] = symbol;
    return true;
}

struct ptx_symbol *scope_own(const struct ptx_scope *scope, const char *name)
{
    struct ptx_symbol *symbol = scope->room ? scope->buckets[pointer_hash(name) % scope->room] : NULL;

    while (symbol && symbol->name != name)
        symbol = symbol->next_in_hash;
    return symbol;
}

struct ptx_symbol *scope_find(const struct ptx_scope *scope, const char *name)
{
    for (; scope; scope = scope->outer) {
        struct ptx_symbol *symbol = scope_own(scope, name);

        if (symbol)
            return symbol;
    }
    return NULL;
}

const struct ptx_label *scope_label(const struct ptx_scope *scope, const char *name)
{
    for (; scope; scope = scope->outer)
        for (const struct ptx_label *label = scope->labels; label; label = label->next)
            if (label->name == name)
                return label;
    return NULL;
}
