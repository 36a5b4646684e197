/* SPDX-License-Identifier: Apache-2.0 */
/* The words behind an instruction's dots, each of which somebody has to understand. */
#include "ptx/emit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void emit_fail(const struct emitter *emitter, const char *format, ...)
{
    const struct ptx_instruction *instruction = emitter->instruction;
    char why[160];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    ptx_fail(emitter->arena->exit, instruction ? instruction->line : 0, "%s", why);
}

static int find_word(const struct emitter *emitter, const char *word, size_t length)
{
    const struct ptx_instruction *instruction = emitter->instruction;

    for (unsigned i = 0; i < instruction->word_count; i++)
        if (!(emitter->words_used >> i & 1) && strlen(instruction->words[i]) == length &&
            memcmp(instruction->words[i], word, length) == 0)
            return (int)i;
    return -1;
}

bool emit_has(struct emitter *emitter, const char *word)
{
    int at = find_word(emitter, word, strlen(word));

    if (at >= 0)
        emitter->words_used |= (uint32_t)1 << at;
    return at >= 0;
}

const char *emit_one_of(struct emitter *emitter, const char *words)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        int at = find_word(emitter, words, length);

        if (at >= 0) {
            emitter->words_used |= (uint32_t)1 << at;
            return emitter->instruction->words[at];
        }
        words += length + strspn(words + length, " ");
    }
    return NULL;
}

void emit_ignore(struct emitter *emitter, const char *words)
{
    while (emit_one_of(emitter, words))
        continue;
}

const struct ptx_type *emit_type(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;

    for (unsigned i = 0; i < instruction->word_count; i++) {
        const struct ptx_type *type =
            emitter->words_used >> i & 1 ? NULL : ptx_type_find(instruction->words[i]);

        if (type) {
            emitter->words_used |= (uint32_t)1 << i;
            return type;
        }
    }
    return NULL;
}

const struct ptx_type *emit_need_type(struct emitter *emitter)
{
    const struct ptx_type *type = emit_type(emitter);

    if (!type)
        emit_fail(emitter, "%s has no type", emitter->instruction->opcode);
    return type;
}

unsigned emit_vector(struct emitter *emitter)
{
    const char *word = emit_one_of(emitter, "v2 v4 v8");

    return word ? (unsigned)(word[1] - '0') : 1;
}

enum ptx_space emit_space(struct emitter *emitter)
{
    static const struct {
        const char *words;
        enum ptx_space space;
    } spaces[] = {{"global", SPACE_GLOBAL},
                  {"shared shared::cta shared::cluster", SPACE_SHARED},
                  {"local", SPACE_LOCAL},
                  {"param param::entry param::func", SPACE_PARAMETER},
                  {"const", SPACE_CONSTANT}};

    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (emit_one_of(emitter, spaces[i].words))
            return spaces[i].space;
    return SPACE_GENERIC;
}

const char *emit_rounding(struct emitter *emitter, const char *otherwise)
{
    static const struct {
        const char *words, *constant;
    } ways[] = {{"rn rni", "PTX_RN"},
                {"rz rzi", "PTX_RZ"},
                {"rm rmi", "PTX_RM"},
                {"rp rpi", "PTX_RP"},
                {"rna", "PTX_RNA"}};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (emit_one_of(emitter, ways[i].words))
            return ways[i].constant;
    return otherwise;
}

const char *emit_flags(struct emitter *emitter)
{
    static const struct {
        const char *words, *constant;
    } flags[] = {{"ftz", "PTX_FTZ"},
                 {"sat satfinite", "PTX_SAT"},
                 {"relu", "PTX_RELU"},
                 {"NaN", "PTX_NAN"},
                 {"xorsign", "PTX_XORSIGN"}};
    const char *all = "0";

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (emit_one_of(emitter, flags[i].words))
            all = strcmp(all, "0") == 0 ? flags[i].constant
                                        : arena_print(emitter->arena, "%s | %s", all, flags[i].constant);
    return all;
}

void emit_check_words(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;

    for (unsigned i = 0; i < instruction->word_count; i++)
        if (!(emitter->words_used >> i & 1))
            emit_fail(emitter, "%s with .%s is not known", instruction->opcode, instruction->words[i]);
}
