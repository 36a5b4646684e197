/* SPDX-License-Identifier: Apache-2.0 */
/* elf_image.c - see elf_image.h. */
#include "base/elf_image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#ifndef EM_CUDA
#define EM_CUDA 190
#endif

struct image {
    const unsigned char *bytes;
    size_t size;
    Elf64_Ehdr header;
};

/* A range of the image, or NULL when it is not all inside. */
static const void *range(const struct image *image, uint64_t offset, uint64_t bytes)
{
    return offset <= image->size && bytes <= image->size - offset ? image->bytes + offset : NULL;
}

static bool is_elf(const Elf64_Ehdr *header)
{
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_ident[EI_DATA] == ELFDATA2LSB;
}

static bool read_section(const struct image *image, unsigned index, Elf64_Shdr *out)
{
    uint64_t offset;
    const void *at =
        index < image->header.e_shnum &&
                !__builtin_add_overflow(image->header.e_shoff, (uint64_t)index * sizeof(*out), &offset)
            ? range(image, offset, sizeof(*out))
            : NULL;

    if (at)
        memcpy(out, at, sizeof(*out));
    return at != NULL;
}

/* A string of a string table, NULL when it does not end inside. */
static const char *read_string(const struct image *image, const Elf64_Shdr *table, uint64_t offset)
{
    const char *strings = range(image, table->sh_offset, table->sh_size);

    if (!strings || table->sh_type == SHT_NOBITS || offset >= table->sh_size ||
        !memchr(strings + offset, 0, table->sh_size - offset))
        return NULL;
    return strings + offset;
}

static int read_symbols(const struct image *image, const Elf64_Shdr *table, elf_image_visit_fn visit,
                        void *arg, bool *out_uses_heap)
{
    Elf64_Shdr strings;
    const unsigned char *symbols = range(image, table->sh_offset, table->sh_size);

    if (!symbols || !read_section(image, table->sh_link, &strings))
        return -EINVAL;
    for (uint64_t i = 0; i < table->sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym symbol;

        memcpy(&symbol, symbols + i * sizeof(symbol), sizeof(symbol));
        const char *name = read_string(image, &strings, symbol.st_name);

        if (!name)
            return -EINVAL;
        if (symbol.st_shndx == SHN_UNDEF)
            *out_uses_heap |= strcmp(name, "malloc") == 0;
        else if (ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT && symbol.st_size && *name)
            visit(name, symbol.st_size, image->header.e_machine == EM_CUDA, arg);
    }
    return 0;
}

int elf_image_read(const void *bytes, size_t size, elf_image_visit_fn visit, void *arg, bool *out_uses_heap)
{
    struct image image = {.bytes = bytes, .size = size};
    bool uses_heap = false;
    bool has_table = false;
    int error = 0;

    if (size < sizeof(image.header))
        return -ENOTSUP;
    memcpy(&image.header, bytes, sizeof(image.header));
    if (!is_elf(&image.header))
        return -ENOTSUP;
    if (image.header.e_shentsize != sizeof(Elf64_Shdr))
        return -EINVAL;
    /* The GPU's own images keep their local variables in the full table; of a shared object the exports count. */
    uint32_t wanted = image.header.e_machine == EM_CUDA ? SHT_SYMTAB : SHT_DYNSYM;

    for (unsigned i = 0; !error && i < image.header.e_shnum; i++) {
        Elf64_Shdr section;

        if (!read_section(&image, i, &section))
            return -EINVAL;
        if (section.sh_type != wanted)
            continue;
        has_table = true;
        error = read_symbols(&image, &section, visit, arg, &uses_heap);
    }
    if (!error && !has_table)
        return -EINVAL; /* stripped: what it holds cannot be known */
    if (!error)
        *out_uses_heap = uses_heap;
    return error;
}

size_t image_bytes(const void *bytes)
{
    Elf64_Ehdr header;
    uint64_t end;

    if (memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return 0;
    memcpy(&header, bytes, sizeof(header));
    if (!is_elf(&header) || header.e_shentsize != sizeof(Elf64_Shdr) ||
        __builtin_add_overflow(header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr), &end))
        return 0;
    /* Tools put the section headers last, or the sections behind them; the driver has read both already. */
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr section;

        memcpy(&section, (const unsigned char *)bytes + header.e_shoff + i * sizeof(section),
               sizeof(section));
        if (section.sh_type != SHT_NOBITS && section.sh_offset + section.sh_size > end)
            end = section.sh_offset + section.sh_size;
    }
    return end;
}
