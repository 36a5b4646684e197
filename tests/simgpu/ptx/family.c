/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/family.h"

#include <pthread.h>
#include <string.h>

const struct family families[] = {
#define MAKE(opcode, types, need, may, operands, make)                                                       \
    {#opcode, types, need, may, operands, make, NULL, false},
#define WAIT(opcode, types, need, may, operands, make)                                                       \
    {#opcode, types, need, may, operands, make, NULL, true},
#define WRITE(opcode, function)      {#opcode, "", "", "", "", NULL, function, false},
#define WAIT_WRITE(opcode, function) {#opcode, "", "", "", "", NULL, function, true},
#include "ptx/families.def"
#undef MAKE
#undef WAIT
#undef WRITE
#undef WAIT_WRITE
};
const unsigned family_count = sizeof families / sizeof *families;

enum {
    BUCKETS = 256
};

/* Rows by their opcode, in order: what a bucket holds is one more than the row's number. */
static unsigned short first_row[BUCKETS], next_row[sizeof families / sizeof *families];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned bucket_of(const char *opcode)
{
    unsigned hash = 5381;

    while (*opcode)
        hash = hash * 33 + (unsigned char)*opcode++;
    return (hash ^ hash >> 8) % BUCKETS;
}

static void make_buckets(void)
{
    for (unsigned i = family_count; i-- > 0;) {
        unsigned bucket = bucket_of(families[i].opcode);

        next_row[i] = first_row[bucket];
        first_row[bucket] = (unsigned short)(i + 1);
    }
}

static const struct family *row_after(const char *opcode, const struct family *row)
{
    unsigned number;

    pthread_once(&once, make_buckets);
    number = row ? next_row[row - families] : first_row[bucket_of(opcode)];
    while (number && strcmp(families[number - 1].opcode, opcode) != 0)
        number = next_row[number - 1];
    return number ? &families[number - 1] : NULL;
}

bool family_exists(const char *opcode)
{
    return row_after(opcode, NULL) != NULL;
}

/* Whether a word is one of a list, divided by that. */
static bool is_in(const char *word, const char *list, size_t length, char divider)
{
    size_t word_length = strlen(word);

    for (size_t at = 0; at < length;) {
        size_t end = at;

        while (end < length && list[end] != divider)
            end++;
        if (end - at == word_length && memcmp(list + at, word, word_length) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/* What a row makes of the instruction. */
struct fit {
    const struct ptx_type *type, *second;
    const char *word[4];
    uint32_t used;
};

static bool fit_types(const struct ptx_instruction *instruction, const struct family *row, struct fit *fit)
{
    const char *slash = strchr(row->types, '/');
    size_t first_length = slash ? (size_t)(slash - row->types) : strlen(row->types);

    for (unsigned i = 0; i < instruction->word_count; i++) {
        const struct ptx_type *type = ptx_type_find(instruction->words[i]);

        if (!type)
            continue;
        fit->used |= (uint32_t)1 << i;
        if (!fit->type) {
            if (!is_in(type->name, row->types, first_length, ' '))
                return false;
            fit->type = type;
        } else if (!slash || fit->second || !is_in(type->name, slash + 1, strlen(slash + 1), ' ')) {
            return false;
        } else {
            fit->second = type;
        }
    }
    return (fit->type || !*row->types) && (fit->second || !slash);
}

static bool fit_needs(const struct ptx_instruction *instruction, const struct family *row, struct fit *fit)
{
    const char *group = row->need;
    unsigned groups = 0;

    while (*group) {
        size_t length = strcspn(group, " ");
        unsigned i = 0;

        while (i < instruction->word_count &&
               (fit->used >> i & 1 || !is_in(instruction->words[i], group, length, '|')))
            i++;
        if (i == instruction->word_count)
            return false;
        fit->used |= (uint32_t)1 << i;
        fit->word[groups++] = instruction->words[i];
        group += length + strspn(group + length, " ");
    }
    return true;
}

static bool fits(const struct ptx_instruction *instruction, const struct family *row, struct fit *fit)
{
    size_t operands = strlen(row->operands) - (*row->operands == '-');

    memset(fit, 0, sizeof *fit);
    if (instruction->count != operands || !fit_types(instruction, row, fit) ||
        !fit_needs(instruction, row, fit))
        return false;
    for (unsigned i = 0; i < instruction->word_count; i++)
        if (!(fit->used >> i & 1) && !is_in(instruction->words[i], row->may, strlen(row->may), ' '))
            return false;
    return true;
}

static const struct ptx_type *wide_type(const struct ptx_type *type)
{
    bool is_signed = type->kind == TYPE_SIGNED;

    return ptx_type_find(type->bits == 16 ? is_signed ? "s32" : "u32" : is_signed ? "s64" : "u64");
}

static const struct ptx_type *operand_type(const struct fit *fit, char letter)
{
    switch (letter) {
    case 't':
        return fit->type;
    case 's':
        return fit->second;
    case 'w':
        return wide_type(fit->type);
    case 'p':
        return ptx_type_find("pred");
    case 'h':
        return ptx_type_find("b16");
    case 'd':
        return ptx_type_find("b64");
    default:
        return ptx_type_find("u32");
    }
}

/* What stands for a mark of a row's value. */
static const char *expand(struct emitter *emitter, const struct family *row, const struct fit *fit, char mark)
{
    bool has_result = *row->operands != '-';
    const char *letters = row->operands + !has_result;
    unsigned number = (unsigned)(mark - '0') - !has_result;

    switch (mark) {
    case 'T':
        return fit->type->name;
    case 'S':
        return fit->second->name;
    case 'V':
        return fit->word[0];
    case 'W':
        return fit->word[1];
    case 'R':
        return emit_rounding(emitter, "PTX_RN");
    case 'F':
        return emit_flags(emitter);
    default:
        return emit_value(emitter, emit_operand(emitter, number), operand_type(fit, letters[number]));
    }
}

static void make(struct emitter *emitter, const struct family *row, const struct fit *fit)
{
    struct text value = {.arena = emitter->arena};

    for (const char *at = row->make; *at; at++) {
        if (*at == '$') {
            const char *expanded = expand(emitter, row, fit, *++at);

            text_add(&value, expanded, strlen(expanded));
        } else {
            text_add(&value, at, 1);
        }
    }
    /* What the row allows and nothing has asked for changes nothing. */
    emitter->words_used = UINT32_MAX;
    if (*row->operands == '-')
        text_put(&emitter->out, "%s; ", value.bytes);
    else
        emit_assign(emitter, emit_operand(emitter, 0), operand_type(fit, *row->operands), value.bytes);
}

void emit_instruction(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;
    const struct family *row = row_after(instruction->opcode, NULL);
    struct text form = {.arena = emitter->arena};
    struct fit fit;

    for (; row; row = row_after(instruction->opcode, row)) {
        if (!row->write && !fits(instruction, row, &fit))
            continue;
        emitter->needs_fibers |= row->needs_fibers;
        if (row->write)
            row->write(emitter);
        else
            make(emitter, row, &fit);
        return;
    }
    text_put(&form, "%s", instruction->opcode);
    for (unsigned i = 0; i < instruction->word_count; i++)
        text_put(&form, ".%s", instruction->words[i]);
    emit_fail(emitter, "%s with %u operands is not known", form.bytes, instruction->count);
}
