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

/* Of the GPU's own images. Data symbols of code that is not linked yet have a type of their own. */
enum {
    TYPE_OBJECT_UNLINKED = 13,
    OTHER_MANAGED = 4
};

/* What ends with a launch, and parameters: no variables, though they have symbols. */
static bool is_transient(const struct image *image, unsigned section)
{
    static const char *const prefixes[] = {".nv.shared", ".nv.local", ".nv.constant0"};
    Elf64_Shdr names, header;
    const char *name =
        read_section(image, image->header.e_shstrndx, &names) && read_section(image, section, &header)
            ? read_string(image, &names, header.sh_name)
            : NULL;

    for (size_t i = 0; name && i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool is_variable(const struct image *image, const Elf64_Sym *symbol)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);

    if (!symbol->st_size || symbol->st_shndx == SHN_UNDEF)
        return false;
    if (image->header.e_machine != EM_CUDA)
        return type == STT_OBJECT;
    return (type == STT_OBJECT || type == TYPE_OBJECT_UNLINKED) && !is_transient(image, symbol->st_shndx);
}

static void read_symbol(const struct image *image, const Elf64_Sym *symbol, const char *name,
                        image_variable_fn visit, void *arg, struct image_facts *facts)
{
    bool is_device = image->header.e_machine == EM_CUDA;

    if (symbol->st_shndx == SHN_UNDEF)
        facts->uses_heap |= image_allocates(name, strlen(name));
    if (!*name || !is_variable(image, symbol))
        return;
    facts->has_managed |= is_device && symbol->st_other & OTHER_MANAGED;
    visit(&(struct image_variable){name, strlen(name), is_device}, arg);
}

static int read_symbols(const struct image *image, const Elf64_Shdr *table, image_variable_fn visit,
                        void *arg, struct image_facts *facts)
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
        read_symbol(image, &symbol, name, visit, arg, facts);
    }
    return 0;
}

/* 0, or what elf_image_variables says of such bytes. */
static int open_image(const void *bytes, size_t size, struct image *out)
{
    *out = (struct image){.bytes = bytes, .size = size};
    if (size < sizeof(out->header))
        return -ENOTSUP;
    memcpy(&out->header, bytes, sizeof(out->header));
    if (!is_elf(&out->header))
        return -ENOTSUP;
    return out->header.e_shentsize == sizeof(Elf64_Shdr) ? 0 : -EINVAL;
}

int elf_image_variables(const void *bytes, size_t size, image_variable_fn visit, void *arg,
                        struct image_facts *facts)
{
    struct image image;
    bool has_table = false;
    int error = open_image(bytes, size, &image);

    if (error)
        return error;
    /* The GPU's own images keep their local variables in the full table; of a shared object the exports count. */
    uint32_t wanted = image.header.e_machine == EM_CUDA ? SHT_SYMTAB : SHT_DYNSYM;

    for (unsigned i = 0; !error && i < image.header.e_shnum; i++) {
        Elf64_Shdr section;

        if (!read_section(&image, i, &section))
            return -EINVAL;
        if (section.sh_type != wanted)
            continue;
        has_table = true;
        error = read_symbols(&image, &section, visit, arg, facts);
    }
    return error || has_table ? error : -EINVAL; /* stripped: what it holds cannot be known */
}

bool elf_image_table(const void *head, struct elf_table *out)
{
    Elf64_Ehdr header;

    _Static_assert(sizeof(header) == ELF_IMAGE_HEAD_BYTES, "the head is the header");
    memcpy(&header, head, sizeof(header));
    if (!is_elf(&header) || header.e_shentsize != sizeof(Elf64_Shdr) || !header.e_shnum)
        return false;
    *out = (struct elf_table){header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr)};
    return true;
}

size_t elf_image_bytes(const struct elf_table *at, const void *table)
{
    uint64_t end, one;

    if (__builtin_add_overflow(at->offset, at->bytes, &end))
        return 0;
    /* Tools put the section headers last, or the sections behind them. */
    for (size_t i = 0; i < at->bytes; i += sizeof(Elf64_Shdr)) {
        Elf64_Shdr section;

        memcpy(&section, (const unsigned char *)table + i, sizeof(section));
        if (section.sh_type == SHT_NOBITS)
            continue;
        if (__builtin_add_overflow(section.sh_offset, section.sh_size, &one))
            return 0;
        if (one > end)
            end = one;
    }
    return end;
}

/* ---- kernels ------------------------------------------------------------------------------------------------ */

/* Of NVIDIA's entries in a kernel's section of information: one byte says the form, one the meaning. A value of 16 bits
 * or the length of what follows is next. */
enum {
    FORM_LONG = 4,
    KERNEL_BYTES = 0x19,    /* the value: of all parameters */
    PARAMETER = 0x17,       /* a number, its place, and its size in the upper 14 bits of a word */
    LARGE_PARAMETER = 0x45, /* the same, with the size in the lower 16 */
    PARAMETER_BYTES = 12
};

struct information {
    struct kernel_parameter parameter[KERNEL_PARAMETERS_MAX];
    unsigned count; /* one more than the largest number */
    unsigned seen;
    unsigned bytes;
};

static bool note_parameter(struct information *of, unsigned meaning, const unsigned char *at)
{
    uint16_t number, offset;
    uint32_t word;

    memcpy(&number, at + 4, sizeof(number));
    memcpy(&offset, at + 6, sizeof(offset));
    memcpy(&word, at + 8, sizeof(word));
    uint32_t bytes = meaning == PARAMETER ? word >> 18 : word & UINT16_MAX;

    if (number >= KERNEL_PARAMETERS_MAX || !bytes || offset + bytes > KERNEL_BYTES_MAX ||
        of->parameter[number].bytes)
        return false;
    of->parameter[number] = (struct kernel_parameter){offset, (uint16_t)bytes};
    of->count = number < of->count ? of->count : number + 1u;
    of->seen++;
    return true;
}

static bool read_information(const unsigned char *at, size_t size, struct information *out)
{
    const unsigned char *end = at + size;

    while (end - at >= 4) {
        unsigned form = at[0], meaning = at[1];
        size_t value = (size_t)at[2] | (size_t)at[3] << 8;

        at += 4;
        if (!form || form > FORM_LONG || (form == FORM_LONG && value > (size_t)(end - at)))
            return false;
        if (meaning == KERNEL_BYTES && form != FORM_LONG)
            out->bytes = (unsigned)value;
        if ((meaning == PARAMETER || meaning == LARGE_PARAMETER) &&
            (form != FORM_LONG || value != PARAMETER_BYTES || !note_parameter(out, meaning, at)))
            return false;
        at += form == FORM_LONG ? value : 0;
    }
    return at == end;
}

/* All are there, one behind the other, and together they are what the kernel takes. */
static bool is_whole(const struct information *of)
{
    unsigned end = 0;

    for (unsigned i = 0; i < of->count; i++) {
        if (of->parameter[i].offset < end)
            return false;
        end = (unsigned)of->parameter[i].offset + of->parameter[i].bytes;
    }
    return of->seen == of->count && end == of->bytes;
}

static void read_kernel(const struct image *image, const Elf64_Shdr *section, const char *name,
                        kernel_visit_fn visit, void *arg)
{
    static const char prefix[] = ".nv.info.";
    const size_t skipped = sizeof(prefix) - 1;
    const unsigned char *at = range(image, section->sh_offset, section->sh_size);
    struct information of;

    if (!at || section->sh_type == SHT_NOBITS || section->sh_flags & SHF_COMPRESSED ||
        strncmp(name, prefix, skipped) != 0 || !name[skipped])
        return;
    memset(&of, 0, sizeof(of));
    if (read_information(at, section->sh_size, &of) && is_whole(&of))
        visit(&(struct kernel_shape){name + skipped, strlen(name + skipped), of.parameter, of.count}, arg);
}

int elf_image_kernels(const void *bytes, size_t size, kernel_visit_fn visit, void *arg)
{
    struct image image;
    Elf64_Shdr names, section;
    int error = open_image(bytes, size, &image);

    if (error)
        return error;
    if (!read_section(&image, image.header.e_shstrndx, &names))
        return -EINVAL;
    for (unsigned i = 0; i < image.header.e_shnum; i++) {
        const char *name =
            read_section(&image, i, &section) ? read_string(&image, &names, section.sh_name) : NULL;

        if (!name)
            return -EINVAL;
        read_kernel(&image, &section, name, visit, arg);
    }
    return 0;
}
