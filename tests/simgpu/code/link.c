/* SPDX-License-Identifier: Apache-2.0 */
#include "code/link.h"

#include "code/statement.h"
#include "code/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The usual one falls through its cases without a word, which clang does not like. */
#define HASH_FUNCTION HASH_FNV
#include <uthash.h>

struct item {
    struct statement statement;
    unsigned input;
    bool dropped;
};

struct symbol {
    unsigned input;           /* the first that has it */
    bool shared;              /* others have it, too */
    struct item *definition;  /* by any linkage but a local one */
    struct item *declaration; /* the first that is extern */
    UT_hash_handle hh;
};

struct linking {
    struct item *items;
    size_t count, room;
    struct symbol *symbols;
    FILE *out;
};

static bool item_add(struct linking *linking, struct statement statement, unsigned input)
{
    if (linking->count == linking->room) {
        size_t room = linking->room ? 2 * linking->room : 64;
        struct item *items = realloc(linking->items, room * sizeof *items);

        if (!items)
            return false;
        linking->items = items;
        linking->room = room;
    }
    linking->items[linking->count++] = (struct item){statement, input, false};
    return true;
}

/* Reads one input; it must have a .version before all else. */
static CUresult input_read(struct linking *linking, const char *text, unsigned input)
{
    size_t first = linking->count;

    for (;;) {
        struct statement statement = statement_read(&text);

        if (statement.kind == STATEMENT_BROKEN)
            return CUDA_ERROR_INVALID_PTX;
        if (statement.kind == STATEMENT_END)
            break;
        if (!item_add(linking, statement, input))
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return linking->count > first && linking->items[first].statement.kind == STATEMENT_VERSION
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_PTX;
}

static bool is_definition(const struct statement *statement)
{
    return statement->linkage != LINKAGE_EXTERN && (statement->kind == STATEMENT_VARIABLE || statement->body);
}

static bool is_strong(const struct item *item)
{
    return item->statement.linkage == LINKAGE_VISIBLE;
}

static struct symbol *symbol_find(const struct linking *linking, const char *name, size_t length)
{
    struct symbol *symbol;

    HASH_FIND(hh, linking->symbols, name, length, symbol);
    return symbol;
}

static struct symbol *symbol_of(struct linking *linking, const struct item *item)
{
    const struct statement *statement = &item->statement;
    struct symbol *symbol = symbol_find(linking, statement->name, statement->name_length);

    if (symbol) {
        symbol->shared = symbol->shared || symbol->input != item->input;
        return symbol;
    }
    symbol = calloc(1, sizeof *symbol);
    if (symbol) {
        symbol->input = item->input;
        HASH_ADD_KEYPTR(hh, linking->symbols, statement->name, statement->name_length, symbol);
    }
    return symbol;
}

/* Decides which of several definitions and declarations stays. */
static CUresult item_resolve(struct linking *linking, struct item *item)
{
    struct symbol *symbol = symbol_of(linking, item);

    if (!symbol)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (item->statement.linkage == LINKAGE_LOCAL)
        return CUDA_SUCCESS;
    if (!is_definition(&item->statement)) {
        item->dropped = symbol->declaration;
        symbol->declaration = symbol->declaration ? symbol->declaration : item;
        return CUDA_SUCCESS;
    }
    if (!symbol->definition || (is_strong(item) && !is_strong(symbol->definition))) {
        if (symbol->definition)
            symbol->definition->dropped = true;
        symbol->definition = item;
        return CUDA_SUCCESS;
    }
    item->dropped = true;
    return is_strong(item) && is_strong(symbol->definition) ? CUDA_ERROR_INVALID_IMAGE : CUDA_SUCCESS;
}

static CUresult items_resolve(struct linking *linking)
{
    CUresult result = CUDA_SUCCESS;

    for (size_t i = 0; i < linking->count && result == CUDA_SUCCESS; i++)
        if (linking->items[i].statement.name)
            result = item_resolve(linking, &linking->items[i]);
    for (struct symbol *symbol = linking->symbols; symbol; symbol = symbol->hh.next)
        if (symbol->declaration && symbol->definition)
            symbol->declaration->dropped = true;
    return result;
}

/* A name that this input keeps to itself, and another one has. */
static bool is_renamed(const struct linking *linking, unsigned input, const char *word, size_t length)
{
    const struct symbol *symbol = symbol_find(linking, word, length);

    if (!symbol || !symbol->shared)
        return false;
    for (size_t i = 0; i < linking->count; i++) {
        const struct statement *statement = &linking->items[i].statement;

        if (linking->items[i].input == input && statement->name_length == length &&
            memcmp(statement->name, word, length) == 0)
            return statement->linkage == LINKAGE_LOCAL;
    }
    return false;
}

/* Puts a piece of an input, with its own names renamed. */
static void put(const struct linking *linking, unsigned input, const char *text, size_t length)
{
    const char *end = text + length;
    bool directive = false;

    while (text < end) {
        size_t gap = statement_gap(text, true), word = gap ? 0 : statement_word(text);
        size_t bytes = gap ? gap : word ? word : 1;

        fwrite(text, 1, bytes, linking->out);
        if (word && !directive && is_renamed(linking, input, text, word))
            fprintf(linking->out, "__%u", input);
        directive = *text == '.';
        text += bytes;
    }
}

/* Puts a statement from its linkage on; a function without its body if it is to be declared only. */
static void put_statement(const struct linking *linking, const struct item *item, bool declared)
{
    const struct statement *statement = &item->statement;

    if (declared) {
        put(linking, item->input, statement->start, (size_t)(statement->body - statement->start));
        fputs(";\n", linking->out);
    } else {
        put(linking, item->input, statement->start, statement->length);
        fputc('\n', linking->out);
    }
}

/* Whether a function can be declared before it is defined; a kernel is not called. */
static bool is_declarable(const struct statement *statement)
{
    return statement->body &&
           !memmem(statement->start, (size_t)(statement->name - statement->start), ".entry", 6);
}

static double version_of(const struct statement *statement)
{
    return strtod(statement->start + strlen(".version"), NULL);
}

/* The newest version, the highest architecture, one size of addresses. */
static void put_head(const struct linking *linking)
{
    const struct item *version = NULL, *target = NULL, *address_size = NULL;

    for (size_t i = 0; i < linking->count; i++) {
        const struct item *item = &linking->items[i];

        if (item->statement.kind == STATEMENT_VERSION &&
            (!version || version_of(&item->statement) > version_of(&version->statement)))
            version = item;
        if (item->statement.kind == STATEMENT_TARGET &&
            (!target ||
             target_architecture(item->statement.start) > target_architecture(target->statement.start)))
            target = item;
        if (item->statement.kind == STATEMENT_ADDRESS_SIZE && !address_size)
            address_size = item;
    }
    put_statement(linking, version, false);
    if (target)
        put_statement(linking, target, false);
    if (address_size)
        put_statement(linking, address_size, false);
}

static void put_all(const struct linking *linking)
{
    put_head(linking);
    for (size_t i = 0; i < linking->count; i++) {
        const struct item *item = &linking->items[i];

        if (item->statement.kind == STATEMENT_FUNCTION && !item->dropped &&
            (!item->statement.body || is_declarable(&item->statement)))
            put_statement(linking, item, item->statement.body);
    }
    for (size_t i = 0; i < linking->count; i++)
        if (linking->items[i].statement.kind == STATEMENT_VARIABLE && !linking->items[i].dropped)
            put_statement(linking, &linking->items[i], false);
    for (size_t i = 0; i < linking->count; i++) {
        const struct item *item = &linking->items[i];

        if ((item->statement.body && !item->dropped) || item->statement.kind == STATEMENT_OTHER)
            put_statement(linking, item, false);
    }
}

static void linking_free(struct linking *linking)
{
    struct symbol *symbol, *next;

    HASH_ITER(hh, linking->symbols, symbol, next) {
        HASH_DELETE(hh, linking->symbols, symbol);
        free(symbol);
    }
    free(linking->items);
}

CUresult link_texts(const char *const *texts, unsigned count, char **linked)
{
    struct linking linking = {0};
    CUresult result = CUDA_SUCCESS;
    char *text = NULL;
    size_t size;

    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = input_read(&linking, texts[i], i);
    if (result == CUDA_SUCCESS)
        result = items_resolve(&linking);
    if (result == CUDA_SUCCESS) {
        linking.out = open_memstream(&text, &size);
        if (linking.out)
            put_all(&linking);
        if (!linking.out || fclose(linking.out) != 0)
            result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    linking_free(&linking);
    if (result != CUDA_SUCCESS)
        free(text);
    else
        *linked = text;
    return result;
}
