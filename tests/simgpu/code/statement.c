/* SPDX-License-Identifier: Apache-2.0 */
#include "code/statement.h"

#include <ctype.h>
#include <string.h>

size_t statement_word(const char *text)
{
    size_t length = 0;

    while (isalnum((unsigned char)text[length]) || (text[length] && strchr("_$%", text[length])))
        length++;
    return length;
}

size_t statement_gap(const char *text, bool strings)
{
    const char *end;

    if (isspace((unsigned char)*text))
        return strspn(text, " \t\r\n\v\f");
    if (text[0] == '/' && text[1] == '/')
        return strcspn(text, "\n");
    if (text[0] == '/' && text[1] == '*') {
        end = strstr(text + 2, "*/");
        return end ? (size_t)(end + 2 - text) : strlen(text);
    }
    if (strings && *text == '"') {
        end = text + 1;
        while (*end && *end != '"')
            end += end[0] == '\\' && end[1] ? 2 : 1;
        return (size_t)(end - text) + (*end == '"');
    }
    return 0;
}

static const char *skip(const char *text, bool strings)
{
    for (size_t gap; (gap = statement_gap(text, strings));)
        text += gap;
    return text;
}

/* Behind the bracket that closes the one at the text; NULL: it stays open. */
static const char *skip_brackets(const char *text)
{
    unsigned depth = 0;

    while (*text) {
        size_t gap = statement_gap(text, true);

        if (gap) {
            text += gap;
            continue;
        }
        if (strchr("({[", *text))
            depth++;
        else if (strchr(")}]", *text) && --depth == 0)
            return text + 1;
        text++;
    }
    return NULL;
}

static bool is(const char *word, size_t length, const char *expected)
{
    return strlen(expected) == length && memcmp(word, expected, length) == 0;
}

/* Reads a directive that ends with its line. */
static void read_line(struct statement *statement, const char **text)
{
    *text += strcspn(*text, "\r\n");
    statement->length = (size_t)(*text - statement->start);
}

/* What a directive says about its statement; returns whether it ends with its line. */
static bool take_directive(struct statement *statement, const char *word, size_t length)
{
    static const struct {
        const char *word;
        enum statement_kind kind;
    } kinds[] = {{"version", STATEMENT_VERSION},
                 {"target", STATEMENT_TARGET},
                 {"address_size", STATEMENT_ADDRESS_SIZE},
                 {"file", STATEMENT_DEBUG},
                 {"section", STATEMENT_DEBUG},
                 {"func", STATEMENT_FUNCTION},
                 {"entry", STATEMENT_FUNCTION},
                 {"global", STATEMENT_VARIABLE},
                 {"const", STATEMENT_VARIABLE},
                 {"shared", STATEMENT_VARIABLE},
                 {"tex", STATEMENT_VARIABLE}};
    static const struct {
        const char *word;
        enum linkage linkage;
    } linkages[] = {{"visible", LINKAGE_VISIBLE},
                    {"weak", LINKAGE_WEAK},
                    {"common", LINKAGE_COMMON},
                    {"extern", LINKAGE_EXTERN}};

    for (unsigned i = 0; i < sizeof linkages / sizeof *linkages; i++) {
        if (is(word, length, linkages[i].word)) {
            statement->linkage = linkages[i].linkage;
            statement->linked = word + length;
        }
    }
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds && statement->kind == STATEMENT_OTHER; i++)
        if (is(word, length, kinds[i].word))
            statement->kind = kinds[i].kind;
    return statement->kind == STATEMENT_VERSION || statement->kind == STATEMENT_TARGET ||
           statement->kind == STATEMENT_ADDRESS_SIZE || is(word, length, "file");
}

/* A name is the last word before what cannot stand before it; a directive's own word is none. */
static void take_name(struct statement *statement, const char *word, size_t length)
{
    statement->name = word;
    statement->name_length = length;
}

/*
 * The rest of a statement. Its name is fixed by the first bracket of indices, initialiser or, of a function, parameters
 * behind it.
 */
static const char *read_rest(struct statement *statement, const char *text)
{
    bool named = false;

    while (*text) {
        size_t gap = statement_gap(text, true), length = gap ? 0 : statement_word(text);

        if (gap) {
            text += gap;
        } else if (*text == ';') {
            return text + 1;
        } else if (*text == '{' &&
                   (statement->kind == STATEMENT_FUNCTION || statement->kind == STATEMENT_DEBUG)) {
            statement->body = statement->kind == STATEMENT_FUNCTION ? text : NULL;
            return skip_brackets(text);
        } else if (strchr(")}]", *text)) {
            return NULL;
        } else if (strchr("({[", *text)) {
            named = named || statement->name;
            text = skip_brackets(text);
            if (!text)
                return NULL;
        } else if (*text == '.') {
            text++;
            length = statement_word(text);
            if (take_directive(statement, text, length)) {
                read_line(statement, &text);
                return text;
            }
            /* `.align 8` and the like are followed by a number, which is no name either. */
            text += length;
        } else if (length) {
            if (!named && !isdigit((unsigned char)*text))
                take_name(statement, text, length);
            text += length;
        } else {
            named = named || *text == '=';
            text++;
        }
    }
    return NULL;
}

struct statement statement_read(const char **text)
{
    struct statement statement = {.kind = STATEMENT_OTHER};
    const char *end;

    *text = skip(*text, false);
    statement.start = statement.linked = *text;
    if (!**text) {
        statement.kind = STATEMENT_END;
        return statement;
    }
    end = read_rest(&statement, *text);
    if (!end ||
        ((statement.kind == STATEMENT_VARIABLE || statement.kind == STATEMENT_FUNCTION) && !statement.name)) {
        statement.kind = STATEMENT_BROKEN;
        return statement;
    }
    statement.length = (size_t)(end - statement.start);
    *text = end;
    return statement;
}
