/* SPDX-License-Identifier: Apache-2.0 */
/* Names, kept once, and the scopes in which they mean something. */
#ifndef PTX_NAMES_H
#define PTX_NAMES_H

#include "ptx/module.h"

/* A scope of names, inside another or in none. */
struct ptx_scope {
    struct ptx_scope *outer;
    struct ptx_symbol **buckets;
    size_t room, count;
    struct ptx_range *ranges; /* registers declared by the number: %r<8> */
    struct ptx_label *labels;
};

struct ptx_range {
    struct ptx_range *next;
    const char *prefix;
    const struct ptx_type *type;
    uint64_t count;
};

struct ptx_label {
    struct ptx_label *next;
    const char *name;
    unsigned id;
};

struct ptx_names *names_create(struct arena *arena);

/* The one copy of a name. */
const char *names_keep(struct ptx_names *names, const char *text, size_t length);

struct ptx_scope *scope_create(struct arena *arena, struct ptx_scope *outer);

/* Adds a symbol; false if the scope has one of that name. */
bool scope_add(struct arena *arena, struct ptx_scope *scope, struct ptx_symbol *symbol);

/* What the name means there; NULL. */
struct ptx_symbol *scope_find(const struct ptx_scope *scope, const char *name);

/* The same, in that scope alone. */
struct ptx_symbol *scope_own(const struct ptx_scope *scope, const char *name);

/* The innermost label of that name, or NULL. */
const struct ptx_label *scope_label(const struct ptx_scope *scope, const char *name);

#endif
