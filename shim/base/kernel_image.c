/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_image.c - see kernel_image.h. */
#include "base/kernel_image.h"

#include <stdbool.h>

#include "base/elf_image.h"
#include "base/fat_binary.h"
#include "base/ptx_text.h"

struct pass {
    kernel_visit_fn visit;
    void *arg;
    uint32_t majors;
    bool reads_text;
    bool has_code; /* for one of the processors */
};

static bool is_wanted(const struct fat_entry *entry, void *arg)
{
    struct pass *pass = arg;
    bool is_for_us = entry->kind == FAT_ENTRY_ELF && !entry->is_opaque && entry->arch / 10 < 32 &&
                     pass->majors >> entry->arch / 10 & 1;

    pass->has_code |= is_for_us;
    return pass->reads_text ? entry->kind == FAT_ENTRY_PTX : is_for_us;
}

static void read_entry(const struct fat_entry *entry, void *arg)
{
    struct pass *pass = arg;

    if (!entry->bytes)
        return;
    if (entry->kind == FAT_ENTRY_ELF)
        elf_image_kernels(entry->bytes, entry->size, pass->visit, pass->arg);
    else
        ptx_text_kernels(entry->bytes, entry->size, pass->visit, pass->arg);
}

void kernel_image_read(const void *bytes, size_t size, uint32_t majors, kernel_visit_fn visit, void *arg)
{
    struct pass pass = {.visit = visit, .arg = arg, .majors = majors};
    int error = fat_binary_read(bytes, size, is_wanted, read_entry, &pass);

    if (!error && !pass.has_code) {
        pass.reads_text = true;
        fat_binary_read(bytes, size, is_wanted, read_entry, &pass);
    }
    if (error && elf_image_kernels(bytes, size, visit, arg))
        ptx_text_kernels(bytes, size, visit, arg);
}
