/* SPDX-License-Identifier: Apache-2.0 */
#include "made_image.h"

#include <elf.h>
#include <lz4.h>
#include <stdio.h>
#include <string.h>

enum {
    CUDA_MACHINE = 190,
    NAMES = 1,
    KERNEL = 2,
    SECTIONS = 3,
    FAT_HEAD_BYTES = 16,
    ENTRY_HEAD_BYTES = 64
};

static unsigned char *put(unsigned char *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return to + bytes;
}

static unsigned char *put_16(unsigned char *to, unsigned value)
{
    return put(to, &(uint16_t){(uint16_t)value}, sizeof(uint16_t));
}

static unsigned char *put_32(unsigned char *to, uint32_t value)
{
    return put(to, &value, sizeof(value));
}

static unsigned char *put_64(unsigned char *to, uint64_t value)
{
    return put(to, &value, sizeof(value));
}

/* What NVIDIA's assembler writes, and in its order: the last parameter first. */
static unsigned char *put_information(unsigned char *to, const struct kernel_parameter *parameter,
                                      unsigned count)
{
    to = put(to, "\004\067\004\000\202\000\000\000", 8); /* something else */
    if (count) {
        to = put(to, "\003\031", 2);
        to = put_16(to, (unsigned)parameter[count - 1].offset + parameter[count - 1].bytes);
    }
    for (unsigned i = count; i--;) {
        to = put(to, parameter[i].bytes < 4096 ? "\004\027\014\000" : "\004\105\014\000", 4);
        to = put_32(to, 0);
        to = put_16(to, i);
        to = put_16(to, parameter[i].offset);
        to = put_32(to, parameter[i].bytes < 4096 ? (uint32_t)parameter[i].bytes << 18 | 0x1f000
                                                  : (uint32_t)parameter[i].bytes | 0x5000000);
    }
    return put(to, "\003\033\377\000", 4); /* and something more */
}

size_t made_cubin(unsigned char *out, const char *kernel, const struct kernel_parameter *parameter,
                  unsigned count)
{
    Elf64_Ehdr header = {.e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = CUDA_MACHINE};
    Elf64_Shdr section[SECTIONS] = {{0}};
    unsigned char *at = out + sizeof(header);

    section[NAMES] = (Elf64_Shdr){.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = (size_t)(at - out)};
    at = put(at, "\0.shstrtab", sizeof("\0.shstrtab"));
    section[KERNEL].sh_name = (uint32_t)((size_t)(at - out) - section[NAMES].sh_offset);
    at += sprintf((char *)at, ".nv.info.%s", kernel) + 1;
    section[NAMES].sh_size = (size_t)(at - out) - section[NAMES].sh_offset;
    section[KERNEL].sh_type = SHT_LOPROC;
    section[KERNEL].sh_offset = (size_t)(at - out);
    at = put_information(at, parameter, count);
    section[KERNEL].sh_size = (size_t)(at - out) - section[KERNEL].sh_offset;
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_shoff = (size_t)(at - out);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = SECTIONS;
    header.e_shstrndx = NAMES;
    memcpy(out, &header, sizeof(header));
    return (size_t)(put(at, section, sizeof(section)) - out);
}

static void put_name(unsigned char **at, const unsigned char *names, const char *name, uint32_t *out)
{
    *out = (uint32_t)(*at - names);
    *at = put(*at, name, strlen(name) + 1);
}

size_t made_symbols(unsigned char *out, const struct made_variable *variable, unsigned count)
{
    enum {
        SYMBOLS = 2,
        FIRST = 3,
        MOST = 16
    };
    Elf64_Ehdr header = {.e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = CUDA_MACHINE};
    Elf64_Shdr section[FIRST + MOST] = {{0}};
    Elf64_Sym symbol[1 + MOST] = {{0}};
    unsigned char *at = out + sizeof(header), *names = at;

    *at++ = 0;
    for (unsigned i = 0; i < count; i++) {
        put_name(&at, names, variable[i].name, &symbol[1 + i].st_name);
        put_name(&at, names, variable[i].section ? variable[i].section : "", &section[FIRST + i].sh_name);
        section[FIRST + i].sh_type = SHT_NOBITS;
        symbol[1 + i].st_info = variable[i].type;
        symbol[1 + i].st_other = variable[i].other;
        symbol[1 + i].st_shndx = (Elf64_Half)(variable[i].section ? FIRST + i : SHN_UNDEF);
        symbol[1 + i].st_size = 8;
    }
    section[NAMES] = (Elf64_Shdr){
        .sh_type = SHT_STRTAB, .sh_offset = (size_t)(names - out), .sh_size = (size_t)(at - names)};
    section[SYMBOLS] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                                    .sh_offset = (size_t)(at - out),
                                    .sh_size = (1 + count) * sizeof(*symbol),
                                    .sh_link = NAMES};
    at = put(at, symbol, (1 + count) * sizeof(*symbol));
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_shoff = (size_t)(at - out);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = (Elf64_Half)(FIRST + count);
    header.e_shstrndx = NAMES;
    memcpy(out, &header, sizeof(header));
    return (size_t)(put(at, section, (FIRST + count) * sizeof(*section)) - out);
}

size_t made_ptx(unsigned char *out, const char *kernel, const struct kernel_parameter *parameter,
                unsigned count)
{
    char *at = (char *)out;

    at += sprintf(at, ".version 8.0\n.target sm_75\n.address_size 64\n\n.visible .entry %s(", kernel);
    for (unsigned i = 0; i < count; i++)
        at += parameter[i].bytes == 8 ? sprintf(at, "%s\n\t.param .u64 %s_param_%u", i ? "," : "", kernel, i)
                                      : sprintf(at, "%s\n\t.param .align 4 .b8 %s_param_%u[%u]", i ? "," : "",
                                                kernel, i, parameter[i].bytes);
    at += sprintf(at, "\n)\n{\n\t.reg .b64 \t%%rd<2>;\n\tret;\n}\n") + 1;
    return (size_t)((unsigned char *)at - out);
}

size_t made_fat(unsigned char *out)
{
    unsigned char *at = put_32(out, 0xba55ed50);

    at = put_16(at, 1);
    at = put_16(at, FAT_HEAD_BYTES);
    put_64(at, 0);
    return FAT_HEAD_BYTES;
}

size_t made_fat_entry(unsigned char *fat, size_t size, unsigned kind, unsigned arch,
                      enum made_packing packing, const unsigned char *bytes, size_t count)
{
    static const uint64_t flags[] = {[MADE_PLAIN] = 0x11, [MADE_LZ4] = 0x2011, [MADE_ZSTD] = 0x8011};
    unsigned char *head = fat + size, *payload = head + ENTRY_HEAD_BYTES, *end = payload;

    end = packing == MADE_LZ4 ? payload + LZ4_compress_default((const char *)bytes, (char *)payload,
                                                               (int)count, LZ4_compressBound((int)count))
                              : put(payload, bytes, count);
    uint32_t packed = (uint32_t)(end - payload);

    while ((end - payload) % 8)
        *end++ = 0;
    head = put_16(head, kind);
    head = put_16(head, 0x101);
    head = put_32(head, ENTRY_HEAD_BYTES);
    head = put_64(head, (uint64_t)(end - payload));
    head = put_32(head, packing == MADE_PLAIN ? 0 : packed);
    head = put_32(head, 0);
    head = put_32(head, 0);
    head = put_32(head, arch);
    head = put_64(head, 0);
    head = put_64(head, flags[packing]);
    head = put_64(head, 0);
    put_64(head, packing == MADE_PLAIN ? 0 : count);
    put_64(fat + 8, (uint64_t)(end - fat) - FAT_HEAD_BYTES);
    return (size_t)(end - fat);
}
