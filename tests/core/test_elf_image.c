/* SPDX-License-Identifier: Apache-2.0 */
/* The image reader on real ELF files, cut ones and garbage. Buffers are exactly as long as said, so that a read past
 * the end is seen by the address sanitizer. */
#include "base/elf_image.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a reader found. */
struct found {
    unsigned count;
    bool has_marker;
    bool is_required;
    struct image_facts facts;
};

__attribute__((visibility("default"))) uint64_t image_test_marker[7] = {1};

static void note(const struct image_variable *variable, void *arg)
{
    static const char marker[] = "image_test_marker";
    struct found *found = arg;

    found->count++;
    found->is_required = variable->is_required;
    found->has_marker |=
        variable->name_bytes == sizeof marker - 1 && memcmp(variable->name, marker, sizeof marker - 1) == 0;
}

/* This program itself, which exports its marker. */
static unsigned char *read_self(size_t *out_bytes)
{
    FILE *file = fopen("/proc/self/exe", "rb");
    unsigned char *image;

    cr_assert(file);
    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    *out_bytes = (size_t)ftell(file);
    rewind(file);
    image = malloc(*out_bytes);
    cr_assert(image && fread(image, 1, *out_bytes, file) == *out_bytes);
    fclose(file);
    return image;
}

static int read_image(const void *image, size_t bytes, struct found *out)
{
    unsigned char *exact = malloc(bytes ? bytes : 1);

    cr_assert(exact);
    memcpy(exact, image, bytes);
    *out = (struct found){0};
    int result = elf_image_variables(exact, bytes, note, out, &out->facts);

    free(exact);
    return result;
}

Test(elf_image, names_the_globals_of_a_shared_object)
{
    size_t bytes;
    unsigned char *image = read_self(&bytes);
    struct found found;

    cr_expect_eq(read_image(image, bytes, &found), 0);
    cr_expect(found.has_marker);
    cr_expect(found.facts.uses_heap, "this program calls malloc");
    cr_expect_not(found.is_required);
    struct elf_table table;

    cr_assert(elf_image_table(image, &table));
    size_t all = elf_image_bytes(&table, image + table.offset);

    cr_expect(all && all <= bytes);
    cr_expect_eq(read_image(image, all, &found), 0);
    free(image);
}

Test(elf_image, requires_the_globals_of_the_gpus_own_images)
{
    size_t bytes;
    unsigned char *image = read_self(&bytes);
    struct found found;

    ((Elf64_Ehdr *)(void *)image)->e_machine = 190;
    int result = read_image(image, bytes, &found);

    cr_expect(result == -EINVAL /* stripped */ || (result == 0 && found.is_required));
    free(image);
}

Test(elf_image, never_reads_past_the_end_of_a_cut_file)
{
    size_t bytes;
    unsigned char *image = read_self(&bytes);
    struct found found;

    for (size_t cut = 0; cut < 256; cut++)
        cr_expect_neq(read_image(image, cut, &found), 0);
    for (size_t i = 1; i < 400; i++) /* the section headers are last: none of these has them all */
        cr_expect_neq(read_image(image, bytes * i / 400, &found), 0);
    free(image);
}

/* Headers, section table, symbols and strings, one byte wrong at a time and many. */
Test(elf_image, survives_garbage)
{
    size_t bytes;
    unsigned char *image = read_self(&bytes);
    Elf64_Ehdr header;
    uint64_t random = 88172645463325252u;
    struct found found;

    memcpy(&header, image, sizeof header);
    for (unsigned round = 0; round < 600; round++) {
        unsigned char *broken = malloc(bytes);

        cr_assert(broken);
        memcpy(broken, image, bytes);
        for (unsigned i = 0; i <= round % 16; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            size_t region = header.e_shnum * sizeof(Elf64_Shdr);
            size_t at = round % 3 == 0   ? random % sizeof header
                        : round % 3 == 1 ? header.e_shoff + random % region
                                         : random % bytes;

            if (at >= 4 && at < bytes)
                broken[at] = (unsigned char)(random >> 32);
        }
        read_image(broken, bytes, &found);
        free(broken);
    }
    free(image);
}

Test(elf_image, does_not_know_what_is_no_elf_file)
{
    static const char ptx[] =
        ".version 8.0\n.target sm_80\n.address_size 64\n// more than sixty-four bytes of text";
    struct found found;

    cr_expect_eq(read_image(ptx, sizeof ptx, &found), -ENOTSUP);
    cr_expect(!elf_image_table(ptx, &(struct elf_table){0}));
    cr_expect_eq(read_image("", 0, &found), -ENOTSUP);
}
