/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each form of families.def, in each of its types and with each of the words that tell it apart, is held against the
 * reference; what needs other threads, memory or a branch to mean anything is in a file that is named here.
 */
#include "ptx/tests/reference.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row of families.def. */
struct form {
    const char *opcode, *types, *need, *may;
    bool is_whole; /* a function writes all of it: the opcode says no more */
};

static const struct form forms[] = {
#define MAKE(opcode, types, need, may, operands, make) {#opcode, types, need, may, false},
#define WAIT                                           MAKE
#define WRITE(opcode, function)                        {#opcode, "", "", "", true},
#define WAIT_WRITE                                     WRITE
#include "ptx/families.def"
};

/* Opcodes that no row can show, and the file of this folder that runs them. */
static const struct {
    const char *opcode, *file;
} elsewhere[] = {
    {"alloca", "test_memory.c"},
    {"stacksave", "test_memory.c"},
    {"stackrestore", "test_memory.c"},
    {"activemask", "test_threads.c"},
    {"applypriority", "test_memory.c"},
    {"atom", "test_threads.c"},
    {"bar", "test_threads.c"},
    {"barrier", "test_threads.c"},
    {"bra", "test_conform.c"},
    {"brkpt", "test_threads.c"},
    {"brx", "test_threads.c"},
    {"call", "test_conform.c"},
    {"cp", "test_memory.c"},
    {"createpolicy", "test_memory.c"},
    {"cvta", "test_threads.c"},
    {"elect", "test_threads.c"},
    {"exit", "test_threads.c"},
    {"fence", "test_memory.c"},
    {"griddepcontrol", "test_memory.c"},
    {"isspacep", "test_memory.c"},
    {"ld", "test_conform.c"},
    {"ldmatrix", "test_threads.c"},
    {"ldu", "test_memory.c"},
    {"match", "test_threads.c"},
    {"membar", "test_memory.c"},
    {"mma", "test_threads.c"},
    {"movmatrix", "test_threads.c"},
    {"nanosleep", "test_threads.c"},
    {"pmevent", "test_memory.c"},
    {"prefetch", "test_memory.c"},
    {"prefetchu", "test_memory.c"},
    {"red", "test_threads.c"},
    {"redux", "test_threads.c"},
    {"ret", "test_conform.c"},
    {"setmaxnreg", "test_memory.c"},
    {"shfl", "test_threads.c"},
    {"st", "test_conform.c"},
    {"stmatrix", "test_threads.c"},
    {"trap", "test_endings.c"},
    {"vote", "test_threads.c"},
    {"wmma", "test_wmma.c"},
    {"discard", "test_memory.c"},
    {"mapa", "test_threads.c"},
    {"getctarank", "test_threads.c"},
    {"mbarrier", "test_threads.c"},
    {"tex", "test_texture.c"},
    {"tld4", "test_texture.c"},
    {"txq", "test_texture.c"},
    {"suld", "test_surface.c"},
    {"sust", "test_surface.c"},
    {"sured", "test_surface.c"},
    {"suq", "test_surface.c"},
};

static const char *file_of(const char *opcode)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strcmp(elsewhere[i].opcode, opcode) == 0)
            return elsewhere[i].file;
    return NULL;
}

/* Whether the file runs the opcode: it stands there where an instruction begins. */
static bool is_run_by(const char *opcode, const char *file)
{
    static const char before[] = " \";:\n{", behind[] = ". ;";
    char path[4096], *text = NULL;
    size_t room = 0, length = strlen(opcode);
    bool found = false;
    FILE *stream;

    snprintf(path, sizeof path, "%s/%s", getenv("SIMGPU_PTX_TESTS"), file);
    stream = fopen(path, "r");
    cr_assert(stream, "%s", path);
    cr_assert_gt(getdelim(&text, &room, 0, stream), 0);
    fclose(stream);
    for (const char *at = text; !found && (at = strstr(at, opcode)); at++)
        found = at > text && strchr(before, at[-1]) && strchr(behind, at[length]);
    free(text);
    return found;
}

/* The next of a list, divided by any of those; NULL at its end. */
static const char *next_word(const char **list, const char *dividers, char word[32])
{
    size_t length;

    *list += strspn(*list, dividers);
    length = strcspn(*list, dividers);
    if (!length || length >= 32)
        return NULL;
    memcpy(word, *list, length);
    word[length] = 0;
    *list += length;
    return word;
}

static unsigned times_in(const char *name, const char *word)
{
    const char *at = strchr(name, '.');
    unsigned count = 0;
    char next[32];

    while (at && next_word(&at, ".", next))
        count += strcmp(next, word) == 0;
    return count;
}

/* Whether some row has the instruction with those words, the type twice where it is both. */
static bool has_row(const char *opcode, const char *const *words, unsigned count)
{
    const struct row *const *list;
    size_t all = rows(&list);

    for (size_t i = 0; i < all; i++) {
        const char *text = list[i]->text;
        char name[64];

        while (*(text += strspn(text, " ;{}")) && sscanf(text, "%63[^ ;]", name) == 1) {
            size_t length = strlen(opcode);
            bool fits = strncmp(name, opcode, length) == 0 && (name[length] == '.' || !name[length]);

            for (unsigned k = 0; fits && k < count; k++) {
                unsigned wanted = 0;

                for (unsigned other = 0; other < count; other++)
                    wanted += strcmp(words[k], words[other]) == 0;
                fits = times_in(name, words[k]) >= wanted;
            }
            if (fits)
                return true;
            text += strcspn(text, ";");
        }
    }
    return false;
}

static unsigned missing;

static void want(const char *opcode, const char *const *words, unsigned count)
{
    if (has_row(opcode, words, count))
        return;
    missing++;
    fprintf(stderr, "no row has %s", opcode);
    for (unsigned i = 0; i < count; i++)
        fprintf(stderr, ".%s", words[i]);
    fprintf(stderr, "\n");
}

/* Goes through the groups of words that a form needs, one of each. */
static void want_needs(const struct form *form, const char *need, const char **words, unsigned count)
{
    char group[32], word[32];
    const char *alternatives = group;

    if (!next_word(&need, " ", group)) {
        want(form->opcode, words, count);
        return;
    }
    while (next_word(&alternatives, "|", word)) {
        words[count] = word;
        want_needs(form, need, words, count + 1);
    }
}

static void want_types(const struct form *form)
{
    const char *slash = strchr(form->types, '/'), *first = form->types;
    const char *words[8];
    char type[32], second[32];

    if (!*form->types)
        want_needs(form, form->need, words, 0);
    while ((!slash || first < slash) && next_word(&first, " /", type)) {
        const char *seconds = slash ? slash + 1 : "-";

        words[0] = type;
        while (next_word(&seconds, " ", second)) {
            words[1] = second;
            want_needs(form, form->need, words, slash ? 2 : 1);
        }
    }
}

Test(forms, each_is_held_against_the_reference_or_run_elsewhere)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *form = &forms[i];
        const char *file = file_of(form->opcode);

        if (file && !is_run_by(form->opcode, file)) {
            missing++;
            fprintf(stderr, "%s does not run %s\n", file, form->opcode);
        } else if (!file && form->is_whole) {
            want(form->opcode, NULL, 0);
        } else if (!file) {
            want_types(form);
        }
    }
    cr_assert_eq(missing, 0, "%u are missing", missing);
}

/* Words that a form may have: each somewhere. */
Test(forms, each_word_that_may_be_there_is_in_a_row)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *may = forms[i].may;
        char word[32];

        while (!file_of(forms[i].opcode) && next_word(&may, " ", word)) {
            const char *words[] = {word};

            want(forms[i].opcode, words, 1);
        }
    }
    cr_assert_eq(missing, 0, "%u are missing", missing);
}
