/* SPDX-License-Identifier: Apache-2.0 */
/* image_variables.c - see image_variables.h. */
#include "base/image_variables.h"

#include <errno.h>

#include "base/elf_image.h"
#include "base/fat_binary.h"
#include "base/ptx_text.h"

struct pass {
    const struct image_target *target;
    image_version_fn begin;
    image_variable_fn visit;
    void *arg;
    struct image_facts *facts;
    uint64_t exact; /* processors that something was made for */
    bool takes_text;
    unsigned versions;
    int error;
};

/* Everything is offered once, and nothing taken. */
static bool note_exact(const struct fat_entry *entry, void *arg)
{
    struct pass *pass = arg;

    for (unsigned i = 0; entry->kind == FAT_ENTRY_ELF && i < pass->target->count; i++)
        if (pass->target->arch[i] == entry->arch)
            pass->exact |= UINT64_C(1) << i;
    return false;
}

static bool could_be_taken(const struct pass *pass, const struct fat_entry *entry)
{
    const struct image_target *target = pass->target;

    if (entry->kind != FAT_ENTRY_ELF)
        return pass->takes_text;
    for (unsigned i = 0; i < target->count; i++)
        if (entry->arch / 10 == target->arch[i] / 10 && entry->arch <= target->arch[i])
            return true;
    return false;
}

static bool is_wanted(const struct fat_entry *entry, void *arg)
{
    struct pass *pass = arg;
    bool is_wanted = could_be_taken(pass, entry);

    if (is_wanted && (entry->is_opaque || (entry->kind != FAT_ENTRY_ELF && entry->kind != FAT_ENTRY_PTX)))
        pass->error = -ENOTSUP;
    return is_wanted;
}

static void keep_error(struct pass *pass, int error)
{
    pass->error = pass->error ? pass->error : error;
}

/* One version. */
static int read_code(struct pass *pass, const void *bytes, size_t size)
{
    int error;

    if (pass->versions++ == IMAGE_VERSIONS_MAX)
        return -ENOTSUP;
    pass->begin(pass->arg);
    error = elf_image_variables(bytes, size, pass->visit, pass->arg, pass->facts);
    return error == -ENOTSUP ? ptx_text_variables(bytes, size, pass->visit, pass->arg, pass->facts) : error;
}

static void read_entry(const struct fat_entry *entry, void *arg)
{
    struct pass *pass = arg;

    keep_error(pass, entry->bytes ? read_code(pass, entry->bytes, entry->size) : -EINVAL);
}

/* In a file more may follow, which the driver may take. */
static bool is_all(const unsigned char *bytes, size_t size)
{
    for (size_t at = fat_binary_bytes(bytes); at < size; at++)
        if (bytes[at])
            return false;
    return true;
}

/* A fat binary, whose entries are known to be in order. */
static int read_fat(struct pass *pass, const void *bytes, size_t size)
{
    const struct image_target *target = pass->target;
    uint64_t all = target->count < 64 ? (UINT64_C(1) << target->count) - 1 : UINT64_MAX;

    pass->takes_text = target->prefers_text || pass->exact != all;
    fat_binary_read(bytes, size, is_wanted, read_entry, pass);
    keep_error(pass, pass->versions && is_all(bytes, size) ? 0 : -EINVAL);
    return pass->error;
}

int image_variables_read(const void *bytes, size_t size, const struct image_target *target,
                         image_version_fn begin, image_variable_fn visit, void *arg,
                         struct image_facts *facts)
{
    struct pass pass = {.target = target, .begin = begin, .visit = visit, .arg = arg, .facts = facts};
    int error = fat_binary_read(bytes, size, note_exact, read_entry, &pass);

    if (error == -ENOTSUP)
        return read_code(&pass, bytes, size);
    return error ? error : read_fat(&pass, bytes, size);
}
