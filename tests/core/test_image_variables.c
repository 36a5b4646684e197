/* SPDX-License-Identifier: Apache-2.0 */
/* test_image_variables.c - the variables of images of every form. Buffers are exactly as long as said, so that a read past
 * the end is seen by the address sanitizer. */
#include "base/image_variables.h"
#include "made_image.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PTX = 1,
    ELF = 2,
    OTHER = 8,
    OBJECT = 1,
    FUNCTION = 2,
    UNLINKED = 13,
    MANAGED = 4
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* What was told, as words: "| x y?" is a version with a variable that is required, and one that is not. */
struct told {
    char words[512];
    struct image_facts facts;
    int error;
};

static void begin(void *arg)
{
    struct told *told = arg;

    strcat(told->words, *told->words ? " |" : "|");
}

static void note(const struct image_variable *variable, void *arg)
{
    struct told *told = arg;
    size_t length = strlen(told->words);

    cr_assert_lt(length + variable->name_bytes + 3, sizeof(told->words));
    sprintf(told->words + length, " %.*s%s", (int)variable->name_bytes, variable->name,
            variable->is_required ? "" : "?");
}

static struct told read_for(const void *image, size_t size, const struct image_target *target)
{
    struct told told = {0};
    unsigned char *exact = malloc(size ? size : 1);

    cr_assert(exact);
    memcpy(exact, image, size);
    told.error = image_variables_read(exact, size, target, begin, note, &told, &told.facts);
    free(exact);
    return told;
}

static const struct image_target hopper = {.arch = {90}, .count = 1};

static struct told read_text(const char *declarations)
{
    char text[2048];
    int size =
        snprintf(text, sizeof(text), ".version 8.3\n.target sm_90\n.address_size 64\n%s", declarations);

    return read_for(text, (size_t)size + 1, &hopper);
}

static void expect(struct told told, const char *words)
{
    cr_expect_eq(told.error, 0);
    cr_expect_str_eq(told.words, words);
}

Test(image_variables, code_tells_what_is_kept_between_launches)
{
    static const struct made_variable symbols[] = {
        {"exported", ".nv.global", 1 << 4 | OBJECT, 0},
        {"kept", ".nv.global.init", OBJECT, 0},
        {"constant", ".nv.constant3", OBJECT, 0},
        {"unlinked", ".nv.global", UNLINKED, 0x20},
        {"fixed", ".nv.constant3", UNLINKED, 0x80},
        {"elsewhere", NULL, OBJECT, 0},
        {"tile", ".nv.shared._Z1kPf", UNLINKED, 0x40},
        {"reserved", ".nv.shared.reserved.0", OBJECT, 0},
        {"_param", ".nv.constant0._Z1kPf", UNLINKED, 0x80},
        {"_Z1kPf", ".text._Z1kPf", 1 << 4 | FUNCTION, 0x10},
    };
    unsigned char image[MADE_IMAGE_BYTES];
    struct told told = read_for(image, made_symbols(image, symbols, COUNT(symbols)), &hopper);

    expect(told, "| exported kept constant unlinked fixed");
    cr_expect_not(told.facts.uses_heap);
    cr_expect_not(told.facts.has_managed);
}

Test(image_variables, code_tells_that_it_allocates_and_what_the_cpu_writes)
{
    static const struct made_variable heap[] = {{"malloc", NULL, 1 << 4 | FUNCTION, 0}};
    static const struct made_variable aligned[] = {
        {"__cuda_syscall_aligned_malloc", NULL, 1 << 4 | FUNCTION, 0}};
    static const struct made_variable managed[] = {{"shown", ".nv.global", OBJECT, MANAGED}};
    unsigned char image[MADE_IMAGE_BYTES];

    cr_expect(read_for(image, made_symbols(image, heap, 1), &hopper).facts.uses_heap);
    cr_expect(read_for(image, made_symbols(image, aligned, 1), &hopper).facts.uses_heap);
    cr_expect(read_for(image, made_symbols(image, managed, 1), &hopper).facts.has_managed);
}

Test(image_variables, text_tells_what_is_kept_between_launches)
{
    expect(read_text("// .global .u32 commented;\n/* .global .u32 too; */\n"
                     ".visible .global .align 8 .u64 exported;\n"
                     ".global .align 4 .b8 kept[16] = {0, 0, 128, 63, {1, 2}, 0};\n"
                     ".const .align 8 .u64 constant = generic(kept);\n"
                     ".global .u32 one, two[3], three = 5;\n"
                     ".weak.global.align 8 .u64 weak;\n"
                     ".common .global .v4 .f32 common;\n"
                     ".global .align 8 .u64 addresses[2] = { generic(one), 0xFF(two) };\n"
                     ".global .attribute(.unified(0x1, 0x2)) .u64 $everywhere;\n"
                     ".shared .align 4 .b8 tile[16];\n.extern .shared .b8 more[];\n.local .u32 mine;\n"
                     ".global .texref picture;\n.global .surfref surface;\n"
                     ".extern .global .align 8 .u64 elsewhere;\n.global .b8 last[];\n"),
           "| exported kept constant one two three weak common addresses $everywhere elsewhere? last");
}

Test(image_variables, what_functions_do_is_no_variable)
{
    expect(read_text(
               ".global .u64 x;\n.file 1 \"a { .global\"\n"
               ".func (.param .b64 r) f (.param .b64 .ptr .global .align 8 p);\n"
               ".visible .entry k(.param .u64 .ptr .global .align 16 p, .param .u64 q)\n.maxntid 128, 1, 1\n"
               "{\n.reg .b64 %rd<4>;\n.shared .u32 s[4];\n{ ld.global.u64 %rd1, [x]; }\n"
               "prefetch.global.L2::evict_last [%rd1];\ncvta.to.global.u64 %rd2, %rd1;\n"
               "p0 : .callprototype (.param .b32 _) _ (.param .b64 .ptr .global .align 8 _);\nret;\n}\n"
               ".section .debug_str { .b8 1 }\n.const .u32 y;\n"),
           "| x y");
}

Test(image_variables, text_without_any_tells_none)
{
    expect(read_text(".visible .entry k() { ret; }"), "|");
    expect(read_text(""), "|");
}

Test(image_variables, text_tells_that_it_allocates_and_what_the_cpu_writes)
{
    struct told told =
        read_text(".extern .func (.param .b64 r) malloc\n(\n.param .b64 s\n)\n;\n.global .u64 x;");

    expect(told, "| x");
    cr_expect(told.facts.uses_heap);
    cr_expect(read_text(".extern .func (.param .b64 r) __cuda_syscall_aligned_malloc (.param .b64 s);")
                  .facts.uses_heap);
    cr_expect_not(
        read_text(".extern .func vprintf(.param .b64 malloc);.func malloc() { ret; }").facts.uses_heap);
    told = read_text(".global .attribute(.unified(1, 2), .managed) .align 8 .u64 shown;");
    expect(told, "| shown");
    cr_expect(told.facts.has_managed);
}

Test(image_variables, text_that_is_not_understood_is_said_to_be)
{
    static const char *const texts[] = {
        ".global .u32 x",
        ".global .u32 ;",
        ".global .u32 x<4>;",
        ".global .u32 x[4;",
        ".global .u32 x = {1, 2;",
        ".global .u32 x = 4",
        ".global .u32 x y;",
        ".global .attribute(.managed .u32 x;",
        ".const[2] .u32 x;",
        ".global",
        ".entry k() { .global .u32 inner; ret; }",
        ".entry k() { { .const .u32 inner = 4; } ret; }",
        ".entry k() { ret;",
        ".entry k(.param .u64 p",
        "#include \"x\"\n.global .u32 x;",
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        cr_expect_lt(read_text(texts[i]).error, 0, "%s", texts[i]);
    cr_expect_eq(read_for("garbage", 8, &hopper).error, -ENOTSUP);
    cr_expect_eq(read_for("", 0, &hopper).error, -ENOTSUP);
}

/* ---- fat binaries ---------------------------------------------------------------------------------------------- */

struct fat {
    unsigned char bytes[8 * MADE_IMAGE_BYTES];
    size_t size;
};

static void add(struct fat *fat, unsigned kind, unsigned arch, enum made_packing packing, const char *name)
{
    const struct made_variable symbol = {name, ".nv.global", OBJECT, 0};
    unsigned char one[MADE_IMAGE_BYTES];
    size_t size =
        kind == PTX ? (size_t)sprintf((char *)one, ".version 8.0\n.target sm_75\n.global .u64 %s;", name) + 1
                    : made_symbols(one, &symbol, 1);

    if (!fat->size)
        fat->size = made_fat(fat->bytes);
    fat->size = made_fat_entry(fat->bytes, fat->size, kind, arch, packing, one, size);
}

static struct told read_fat(const struct fat *fat, const struct image_target *target)
{
    return read_for(fat->bytes, fat->size, target);
}

Test(image_variables, of_a_fat_binary_all_count_that_could_be_taken)
{
    static const struct image_target ampere = {.arch = {89}, .count = 1},
                                     two = {.arch = {90, 120}, .count = 2},
                                     forced = {.arch = {90}, .count = 1, .prefers_text = true};
    static struct fat fat;

    add(&fat, ELF, 80, MADE_LZ4, "older");
    add(&fat, ELF, 86, MADE_PLAIN, "old");
    add(&fat, ELF, 90, MADE_LZ4, "exact");
    add(&fat, ELF, 90, MADE_PLAIN, "special");
    add(&fat, PTX, 90, MADE_LZ4, "text");
    expect(read_fat(&fat, &hopper), "| exact | special");
    expect(read_fat(&fat, &forced), "| exact | special | text");
    expect(read_fat(&fat, &ampere), "| older | old | text");
    expect(read_fat(&fat, &two), "| exact | special | text");
}

Test(image_variables, what_could_be_taken_and_is_not_read_is_said_to_be_there)
{
    static const struct image_target blackwell = {.arch = {120}, .count = 1};
    static struct fat packed, text, other, broken, none;

    add(&packed, ELF, 90, MADE_ZSTD, "x");
    cr_expect_eq(read_fat(&packed, &hopper).error, -ENOTSUP);
    add(&text, ELF, 90, MADE_LZ4, "x");
    add(&text, PTX, 90, MADE_ZSTD, "x");
    add(&text, ELF, 80, MADE_ZSTD, "x");
    add(&text, OTHER, 90, MADE_PLAIN, "x");
    expect(read_fat(&text, &hopper), "| x");
    cr_expect_eq(read_fat(&text, &blackwell).error, -ENOTSUP);
    add(&other, PTX, 75, MADE_LZ4, "x");
    expect(read_fat(&other, &blackwell), "| x");
    add(&other, OTHER, 90, MADE_PLAIN, "x");
    cr_expect_eq(read_fat(&other, &blackwell).error, -ENOTSUP);
    add(&broken, ELF, 90, MADE_LZ4, "x");
    broken.bytes[made_fat((unsigned char[16]){0}) + MADE_UNPACKED_AT]++;
    cr_expect_eq(read_fat(&broken, &hopper).error, -EINVAL);
    add(&none, ELF, 80, MADE_LZ4, "x");
    cr_expect_eq(read_fat(&none, &hopper).error, -EINVAL, "for another generation");
}

Test(image_variables, nothing_behind_a_fat_binary_is_left_out)
{
    static struct fat fat;

    add(&fat, ELF, 90, MADE_PLAIN, "x");
    fat.size++;
    expect(read_fat(&fat, &hopper), "| x");
    fat.bytes[fat.size++] = 0x50;
    cr_expect_eq(read_fat(&fat, &hopper).error, -EINVAL);
}

Test(image_variables, never_reads_past_the_end_of_a_cut_image)
{
    static struct fat fat;
    unsigned char image[MADE_IMAGE_BYTES];
    const struct made_variable symbol = {"x", ".nv.global", OBJECT, 0};
    size_t size = made_symbols(image, &symbol, 1);

    for (size_t cut = 0; cut < size; cut++)
        cr_expect_lt(read_for(image, cut, &hopper).error, 0);
    add(&fat, ELF, 90, MADE_LZ4, "x");
    for (size_t cut = 0; cut < fat.size; cut++)
        cr_expect_lt(read_for(fat.bytes, cut, &hopper).error, 0);
}
