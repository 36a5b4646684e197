/* SPDX-License-Identifier: Apache-2.0 */
/* test_kernel_image.c - the parameters of kernels out of images of every form, whole and broken. Buffers are exactly as long
 * as said, so that a read past the end is seen by the address sanitizer. */
#include "base/image_copy.h"
#include "base/kernel_image.h"
#include "made_image.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PTX = 1,
    ELF = 2,
    ALL = -1
};

static const struct kernel_parameter parameters[] = {{0, 8}, {8, 5000}, {5008, 8}};
static const struct kernel_parameter others[] = {{0, 8}, {8, 8}};

/* What a reader found; the last kernel of all, and of each. */
struct found {
    unsigned count;
    char name[64];
    struct kernel_parameter parameter[8];
    unsigned parameters;
};

static void note(const struct kernel_shape *shape, void *arg)
{
    struct found *found = arg;

    cr_assert_lt(shape->name_bytes, sizeof(found->name));
    cr_assert_leq(shape->count, 8);
    found->count++;
    memcpy(found->name, shape->name, shape->name_bytes);
    found->name[shape->name_bytes] = 0;
    found->parameters = shape->count;
    if (shape->count)
        memcpy(found->parameter, shape->parameter, shape->count * sizeof(*shape->parameter));
}

static struct found read_for(const void *image, size_t size, uint32_t majors)
{
    struct found found = {0};
    unsigned char *exact = malloc(size ? size : 1);

    cr_assert(exact);
    memcpy(exact, image, size);
    kernel_image_read(exact, size, majors, note, &found);
    free(exact);
    return found;
}

static struct found read_text(const char *text)
{
    return read_for(text, strlen(text) + 1, (uint32_t)ALL);
}

static bool is(const struct found *found, const char *name, const struct kernel_parameter *expected,
               unsigned count)
{
    return found->count && strcmp(found->name, name) == 0 && found->parameters == count &&
           (!count || memcmp(found->parameter, expected, count * sizeof(*expected)) == 0);
}

Test(kernel_image, a_cubin_tells_the_parameters_of_its_kernels)
{
    unsigned char image[MADE_IMAGE_BYTES];
    struct found found = read_for(image, made_cubin(image, "_Z3addPfS_", parameters, 3), 0);

    cr_expect(is(&found, "_Z3addPfS_", parameters, 3));
    found = read_for(image, made_cubin(image, "nothing", NULL, 0), 0);
    cr_expect(is(&found, "nothing", NULL, 0), "a kernel may take none");
}

Test(kernel_image, text_tells_the_parameters_of_its_kernels)
{
    unsigned char image[MADE_IMAGE_BYTES];
    struct found found = read_for(image, made_ptx(image, "_Z3addPfS_", parameters, 3), 0);

    cr_expect(is(&found, "_Z3addPfS_", parameters, 3));
    found = read_for(image, made_ptx(image, "nothing", NULL, 0), 0);
    cr_expect(is(&found, "nothing", NULL, 0));
}

Test(kernel_image, parameters_of_text_lie_where_their_types_want_them)
{
    static const struct kernel_parameter expected[] = {{0, 1},  {2, 2},   {8, 8},  {16, 24},
                                                       {40, 4}, {48, 16}, {64, 12}};
    struct found found = read_text("// a comment with .entry none(.param .u64 x)\n"
                                   ".version 8.3 /* { .entry */\n.target sm_90a\n.address_size 64\n"
                                   ".file 1 \"a { name\"\n"
                                   ".global .align 8 .b8 table[16] = {1, 2, 3};\n"
                                   ".func (.param .b32 r) helper(.param .b64 p) { ret; }\n"
                                   ".weak .entry typed ( .param .u8 a , .param .f16 b,\n"
                                   "  .param .u64 .ptr .global .align 16 c, .param .align 8 .b8 d[3][8],\n"
                                   "  .param .s32 e, .param .align 16 .b8 f[16], .param .align 4 .b8 g[12])\n"
                                   "  .maxntid 128, 1, 1\n{ .reg .b32 %r<2>; { .pragma \"}\"; } ret; }\n");

    cr_expect_eq(found.count, 1);
    cr_expect(is(&found, "typed", expected, 7));
}

Test(kernel_image, text_that_is_not_understood_is_not_guessed_at)
{
    static const char *const entries[] = {
        ".entry k(.param .texref t) { }",
        ".entry k(.param .u64) { }",
        ".entry k(.param .v2 .f32 x) { }",
        ".entry k(.param .align 3 .b8 x[4]) { }",
        ".entry k(.param .b8 x[0]) { }",
        ".entry k(.param .b8 x[99999]) { }",
        ".entry k(.param .b8 x[4294967297]) {}",
        ".entry k(.param .u64 x .param .u64 y) { }",
        ".entry k(.param .u64 x,) { }",
        ".entry k(.reg .u64 x) { }",
        ".entry k(.param .u64 x",
        ".entry k(.param .align 8 .b8 x[4] = 3) { }",
        ".entry (.param .u64 x) { }",
        ".entry",
        "#define X .entry k(.param .u32 x) {}\n.entry k(.param .u64 x) { }",
    };

    for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
        char text[512];

        snprintf(text, sizeof(text), ".version 7.0\n.target sm_50\n%s", entries[i]);
        cr_expect_eq(read_text(text).count, 0, "%s", entries[i]);
    }
    cr_expect_eq(read_text(".entry k(.param .u64 x) { }").count, 0, "PTX begins with its version");
    cr_expect_eq(read_text("").count, 0);
}

Test(kernel_image, a_fat_binary_is_read_for_the_processors_that_are_there)
{
    unsigned char fat[4 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    size_t size = made_fat(fat);

    size = made_fat_entry(fat, size, ELF, 75, MADE_PLAIN, one, made_cubin(one, "old", others, 2));
    size = made_fat_entry(fat, size, ELF, 90, MADE_LZ4, one, made_cubin(one, "new", parameters, 3));
    size = made_fat_entry(fat, size, PTX, 90, MADE_LZ4, one, made_ptx(one, "text", parameters, 3));
    size = made_fat_entry(fat, size, 8, 90, MADE_PLAIN, one, 40);
    struct found found = read_for(fat, size, 1u << 9);

    cr_expect_eq(found.count, 1);
    cr_expect(is(&found, "new", parameters, 3));
    found = read_for(fat, size, 1u << 9 | 1u << 7);
    cr_expect_eq(found.count, 2);
    found = read_for(fat, size, 1u << 12);
    cr_expect_eq(found.count, 1);
    cr_expect(is(&found, "text", parameters, 3), "what has no code is compiled from text");
}

Test(kernel_image, what_is_packed_in_another_way_is_passed_over)
{
    unsigned char fat[4 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    size_t size = made_fat(fat);

    size = made_fat_entry(fat, size, ELF, 90, MADE_ZSTD, one, made_cubin(one, "packed", others, 2));
    size = made_fat_entry(fat, size, ELF, 90, MADE_PLAIN, one, made_cubin(one, "plain", others, 2));
    struct found found = read_for(fat, size, 1u << 9);

    cr_expect_eq(found.count, 1);
    cr_expect(is(&found, "plain", others, 2));
}

/* Sections whose words are changed one at a time: what does not hold together is not told. */
Test(kernel_image, a_cubin_that_contradicts_itself_tells_nothing)
{
    unsigned char image[MADE_IMAGE_BYTES];
    size_t size = made_cubin(image, "k", others, 2);
    unsigned char *bytes = memmem(image, size, "\003\031\020\000", 4), *last = bytes + 4, *first = last + 16;

    cr_assert(bytes);
    cr_assert_eq(read_for(image, size, 0).count, 1);
    static const struct {
        unsigned at; /* in the entry of the last parameter, which lies before the first one's */
        unsigned char value;
    } edits[] = {
        {0, 5},   /* a form that there is not */
        {2, 8},   /* shorter than a parameter */
        {3, 255}, /* longer than the section */
        {8, 0},   /* the number of the other one */
        {8, 2},   /* a number is missing */
        {9, 255}, /* a number beyond all */
        {10, 4},  /* within the other one */
        {10, 16}, /* past the end */
        {14, 0},  /* no size */
    };

    for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
        unsigned char before = last[edits[i].at];

        last[edits[i].at] = edits[i].value;
        cr_expect_eq(read_for(image, size, 0).count, 0, "edit %zu", i);
        last[edits[i].at] = before;
    }
    bytes[2] = 24;
    cr_expect_eq(read_for(image, size, 0).count, 0, "a parameter is missing at the end");
    bytes[2] = 16;
    first[1] = 0x55;
    cr_expect_eq(read_for(image, size, 0).count, 0, "the first one is missing");
}

Test(kernel_image, never_reads_past_the_end_of_a_cut_image)
{
    unsigned char fat[4 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    size_t size = made_fat(fat), cubin;

    cubin = made_cubin(one, "k", others, 2);
    for (size_t cut = 0; cut < cubin; cut++)
        cr_expect_eq(read_for(one, cut, 0).count, 0);
    size = made_fat_entry(fat, size, ELF, 90, MADE_LZ4, one, cubin);
    for (size_t cut = 0; cut < size; cut++)
        cr_expect_eq(read_for(fat, cut, (uint32_t)ALL).count, 0);
}

Test(kernel_image, what_does_not_unpack_to_the_size_said_is_passed_over)
{
    unsigned char fat[2 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    size_t start = made_fat(fat), cubin = made_cubin(one, "k", others, 2), size;

    size = made_fat_entry(fat, start, ELF, 90, MADE_LZ4, one, cubin);
    cr_assert_eq(read_for(fat, size, (uint32_t)ALL).count, 1);
    fat[start + MADE_UNPACKED_AT]++;
    cr_expect_eq(read_for(fat, size, (uint32_t)ALL).count, 0, "it is shorter than it says");
    fat[start + MADE_UNPACKED_AT] -= 2;
    cr_expect_eq(read_for(fat, size, (uint32_t)ALL).count, 0, "and longer");
    fat[start + MADE_UNPACKED_AT]++;
    fat[start + MADE_PACKED_AT]--;
    cr_expect_eq(read_for(fat, size, (uint32_t)ALL).count, 0, "its last byte is missing");
}

/* ---- images in memory, of which nobody says how long they are ---------------------------------------------------- */

static void note_piece(const void *bytes, size_t size, void *arg)
{
    kernel_image_read(bytes, size, (uint32_t)ALL, note, arg);
}

/* Bytes that end where the last page does that can be read. */
static unsigned char *at_the_edge(const void *bytes, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page * page;
    unsigned char *memory =
        mmap(NULL, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(memory, MAP_FAILED);
    cr_assert_eq(mprotect(memory + pages, page, PROT_NONE), 0);
    return memcpy(memory + pages - size, bytes, size);
}

Test(image_copy, images_that_end_with_a_page_are_read)
{
    unsigned char image[2 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    struct found found = {0};
    size_t size = made_cubin(image, "elf", parameters, 3);

    cr_expect_eq(image_copy_memory(at_the_edge(image, size), note_piece, &found), 0);
    cr_expect(is(&found, "elf", parameters, 3));
    size = made_ptx(image, "text", parameters, 3);
    cr_expect_eq(image_copy_memory(at_the_edge(image, size), note_piece, &found), 0);
    cr_expect(is(&found, "text", parameters, 3));
    size =
        made_fat_entry(image, made_fat(image), ELF, 90, MADE_PLAIN, one, made_cubin(one, "fat", others, 2));
    cr_expect_eq(image_copy_memory(at_the_edge(image, size), note_piece, &found), 0);
    cr_expect(is(&found, "fat", others, 2));
    cr_expect_eq(found.count, 3);
}

Test(image_copy, images_that_say_to_be_longer_than_they_are_end_nobody)
{
    unsigned char image[2 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    struct found found = {0};
    size_t size = made_cubin(image, "elf", parameters, 3);

    for (size_t cut = 4; cut < size; cut += 7)
        cr_expect_eq(image_copy_memory(at_the_edge(image, cut), note_piece, &found), -EFAULT);
    memset(image + 40, 0x77, 8); /* where the table of sections lies */
    cr_expect_eq(image_copy_memory(at_the_edge(image, size), note_piece, &found), -EFAULT);
    size = made_ptx(image, "text", parameters, 3);
    cr_expect_eq(image_copy_memory(at_the_edge(image, size - 1), note_piece, &found), -EFAULT);
    size =
        made_fat_entry(image, made_fat(image), ELF, 90, MADE_PLAIN, one, made_cubin(one, "fat", others, 2));
    image[11] = 1;
    cr_expect_eq(image_copy_memory(at_the_edge(image, size), note_piece, &found), -EFAULT);
    memset(image + 8, 255, 8);
    cr_expect_eq(image_copy_memory(at_the_edge(image, size), note_piece, &found), -EFAULT);
    cr_expect_eq(found.count, 0);
}

struct wrapper {
    uint32_t magic, version;
    const void *data;
    const void *const *more;
};

Test(image_copy, all_that_a_wrapper_names_is_read)
{
    unsigned char image[2][2 * MADE_IMAGE_BYTES], one[MADE_IMAGE_BYTES];
    struct found found = {0};

    made_fat_entry(image[0], made_fat(image[0]), ELF, 90, MADE_PLAIN, one,
                   made_cubin(one, "first", others, 2));
    made_fat_entry(image[1], made_fat(image[1]), ELF, 90, MADE_PLAIN, one,
                   made_cubin(one, "more", parameters, 3));
    const void *more[] = {image[1], NULL};
    struct wrapper wrapper = {0x466243b1, 1, image[0], more};

    cr_expect_eq(image_copy_memory(&wrapper, note_piece, &found), 0);
    cr_expect_eq(found.count, 1, "version 1 has no more");
    wrapper.version = 2;
    cr_expect_eq(image_copy_memory(&wrapper, note_piece, &found), 0);
    cr_expect_eq(found.count, 3);
    cr_expect(is(&found, "more", parameters, 3));
    more[0] = (const void *)8;
    cr_expect_eq(image_copy_memory(&wrapper, note_piece, &found), -EFAULT);
    wrapper.data = NULL;
    cr_expect_eq(image_copy_memory(&wrapper, note_piece, &found), -EFAULT);
}

Test(image_copy, files_are_read_whole)
{
    char path[] = "/tmp/ebbtide-image-XXXXXX";
    unsigned char image[MADE_IMAGE_BYTES];
    struct found found = {0};
    size_t size = made_ptx(image, "text", parameters, 3) - 1; /* no 0 at the end */
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, image, size), (ssize_t)size);
    cr_expect_eq(image_copy_file(path, note_piece, &found), 0);
    cr_expect(is(&found, "text", parameters, 3));
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_expect_eq(image_copy_file(path, note_piece, &found), -EFAULT, "empty");
    unlink(path);
    cr_expect_eq(image_copy_file(path, note_piece, &found), -EFAULT, "gone");
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(image_copy_file(path, note_piece, &found), -EFAULT, "a pipe that nobody writes to");
    unlink(path);
    close(fd);
    cr_expect_eq(found.count, 1);
}
