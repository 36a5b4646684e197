/* SPDX-License-Identifier: Apache-2.0 */
/* Fat binaries, put together here as the compilers put them together. */
#include "code/fatbin.h"

#include <criterion/criterion.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

enum {
    ROOM = 1 << 16,
    PTX = 1,
    MACHINE_CODE = 2,
    LZ4 = 0x2000,
    ZSTD = 0x8000,
    HEADER_BYTES = 16,
    ENTRY_BYTES = 64
};

/* A fat binary in the making. */
struct fat {
    unsigned char bytes[ROOM];
    size_t size, header; /* where the last header is */
};

static void put(struct fat *fat, size_t at, uint64_t value, size_t bytes)
{
    memcpy(fat->bytes + at, &value, bytes);
}

static void begin(struct fat *fat)
{
    fat->header = fat->size;
    put(fat, fat->size, 0xba55ed50u, 4);
    put(fat, fat->size + 4, 1, 2);
    put(fat, fat->size + 6, HEADER_BYTES, 2);
    fat->size += HEADER_BYTES;
}

/* Adds an entry behind the last; `name` may be NULL. */
static void add(struct fat *fat, unsigned kind, unsigned architecture, uint64_t flags, const char *text,
                const char *name)
{
    size_t header_bytes = ENTRY_BYTES + (name ? 64 : 0), at = fat->size, bytes = strlen(text) + 1,
           stored = bytes;
    char *payload = (char *)fat->bytes + at + header_bytes;

    cr_assert(at + header_bytes + 2 * bytes + 256 < ROOM);
    if (flags & LZ4)
        stored = (size_t)LZ4_compress_default(text, payload, (int)bytes, (int)(bytes + 64));
    else if (flags & ZSTD)
        stored = ZSTD_compress(payload, bytes + 64, text, bytes, 3);
    else
        memcpy(payload, text, bytes);
    put(fat, at, kind, 2);
    put(fat, at + 2, 0x101, 2);
    put(fat, at + 4, header_bytes, 4);
    put(fat, at + 8, (stored + 7) & ~(size_t)7, 8);
    put(fat, at + 16, flags & (LZ4 | ZSTD) ? stored : 0, 4);
    put(fat, at + 28, architecture, 4);
    put(fat, at + 40, 0x11 | flags, 8);
    put(fat, at + 56, flags & (LZ4 | ZSTD) ? bytes : 0, 8);
    if (name) {
        put(fat, at + 32, ENTRY_BYTES, 4);
        put(fat, at + 36, strlen(name), 4);
        memcpy(fat->bytes + at + ENTRY_BYTES, name, strlen(name));
    }
    fat->size += header_bytes + ((stored + 7) & ~(size_t)7);
    put(fat, fat->header + 8, fat->size - fat->header - HEADER_BYTES, 8);
}

static char *ptx(const char *target, const char *body)
{
    static char text[8][ROOM / 8];
    static unsigned next;
    char *made = text[next++ % 8];

    snprintf(made, ROOM / 8, ".version 8.0\n.target %s\n.address_size 64\n%s\n", target, body);
    return made;
}

/* What is taken of it must be the text with that piece; NULL: nothing is. */
static void expect(const void *data, size_t size, int capability, const char *piece)
{
    CUresult result;
    char *text = NULL;

    result = fatbin_text(data, size, capability, &text);
    if (!piece) {
        cr_assert_eq(result, CUDA_ERROR_NO_BINARY_FOR_GPU, "%d", result);
        return;
    }
    cr_assert_eq(result, CUDA_SUCCESS, "%d for %s", result, piece);
    cr_assert(strstr(text, piece), "%s is not in %s", piece, text);
    free(text);
}

Test(fatbin, the_newest_code_that_a_device_runs_is_taken)
{
    static struct fat fat;

    begin(&fat);
    add(&fat, PTX, 75, 0, ptx("sm_75", "// old"), NULL);
    add(&fat, MACHINE_CODE, 120, 0, "\177ELF", NULL);
    add(&fat, PTX, 120, 0, ptx("sm_120", "// new"), NULL);
    add(&fat, PTX, 90, 0, ptx("sm_90", "// middle"), NULL);
    for (unsigned in_file = 0; in_file < 2; in_file++) {
        size_t size = in_file ? fat.size : 0;

        expect(fat.bytes, size, 70, NULL);
        expect(fat.bytes, size, 75, "// old");
        expect(fat.bytes, size, 89, "// old");
        expect(fat.bytes, size, 90, "// middle");
        expect(fat.bytes, size, 121, "// new");
    }
}

Test(fatbin, code_is_unpacked)
{
    static const uint64_t ways[] = {0, LZ4, ZSTD};

    for (unsigned i = 0; i < 3; i++) {
        struct fat *fat = calloc(1, sizeof *fat);
        char body[4000];

        memset(body, 'x', sizeof body);
        memcpy(body, "//", 2);
        strcpy(body + sizeof body - 16, "the end");
        begin(fat);
        add(fat, PTX, 80, ways[i], ptx("sm_80", body), NULL);
        cr_assert(!ways[i] || fat->size < 1000);
        expect(fat->bytes, 0, 90, "the end");
        free(fat);
    }
}

Test(fatbin, machine_code_alone_is_no_code_for_this_device)
{
    static struct fat fat;

    begin(&fat);
    expect(fat.bytes, 0, 90, NULL);
    add(&fat, MACHINE_CODE, 90, 0, "\177ELF", NULL);
    add(&fat, 8, 90, 0, "intermediate code of a linker", NULL);
    expect(fat.bytes, 0, 90, NULL);
}

Test(fatbin, code_for_one_architecture_or_family_alone_is_taken_there_and_nowhere_else)
{
    static struct fat fat;

    begin(&fat);
    add(&fat, PTX, 80, 0, ptx("sm_80", "// any"), NULL);
    add(&fat, PTX, 90, 0, ptx("sm_90a", "// hopper"), NULL);
    add(&fat, PTX, 100, 0, ptx("sm_100f", "// family"), NULL);
    add(&fat, PTX, 120, 0, ptx("sm_120a", "// special"), NULL);
    add(&fat, PTX, 120, 0, ptx("sm_120", "// general"), NULL);
    expect(fat.bytes, 0, 89, "// any");
    expect(fat.bytes, 0, 90, "// hopper");
    expect(fat.bytes, 0, 100, "// family");
    expect(fat.bytes, 0, 103, "// family");
    expect(fat.bytes, 0, 110, "// any");
    expect(fat.bytes, 0, 120, "// general");
}

Test(fatbin, a_wrapper_leads_to_its_header)
{
    struct {
        uint32_t magic, version;
        const void *data, *inputs;
    } wrapper = {0x466243b1u, 1, NULL, NULL};
    static struct fat fat;
    char *text;

    begin(&fat);
    add(&fat, PTX, 75, ZSTD, ptx("sm_75", "// here"), NULL);
    wrapper.data = fat.bytes;
    expect(&wrapper, 0, 90, "// here");
    wrapper.version = 3;
    cr_assert_eq(fatbin_text(&wrapper, 0, 90, &text), CUDA_ERROR_INVALID_IMAGE);
    wrapper.version = 1;
    wrapper.data = NULL;
    cr_assert_eq(fatbin_text(&wrapper, 0, 90, &text), CUDA_ERROR_INVALID_IMAGE);
}

Test(fatbin, inputs_of_the_device_linker_are_linked)
{
    static struct fat linked, one, two, runtime;
    const void *inputs[] = {one.bytes, two.bytes, runtime.bytes, NULL};
    struct {
        uint32_t magic, version;
        const void *data, *inputs;
    } wrapper = {0x466243b1u, 2, linked.bytes, inputs};
    char *text;

    begin(&linked);
    begin(&one);
    add(&one, PTX, 75, ZSTD,
        ptx("sm_75", ".extern .func far();\n.visible .entry near() { call far, (); ret; }"), NULL);
    begin(&two);
    add(&two, PTX, 75, LZ4, ptx("sm_75", ".visible .func far() { ret; }"), NULL);
    begin(&runtime);
    add(&runtime, PTX, 75, 0, ptx("sm_75", ".visible .func launch() { ret; }"), "cuda_device_runtime_cu.o");
    add(&runtime, MACHINE_CODE, 75, 0, "\177ELF", "cuda_device_runtime_cu.o");
    cr_assert_eq(fatbin_text(&wrapper, 0, 90, &text), CUDA_SUCCESS);
    cr_assert(strstr(text, ".entry near") && strstr(text, ".visible .func far() { ret; }"));
    cr_assert(!strstr(text, "launch") && !strstr(text, ".extern"));
    free(text);
    cr_assert_eq(fatbin_text(&wrapper, 0, 70, &text), CUDA_ERROR_NO_BINARY_FOR_GPU);
    inputs[0] = &inputs; /* no header */
    cr_assert_eq(fatbin_text(&wrapper, 0, 90, &text), CUDA_ERROR_INVALID_IMAGE);
    inputs[0] = NULL;
    cr_assert_eq(fatbin_text(&wrapper, 0, 90, &text), CUDA_ERROR_INVALID_IMAGE);
}

Test(fatbin, headers_stand_in_a_row_in_a_file)
{
    static struct fat fat;

    begin(&fat);
    add(&fat, PTX, 75, 0, ptx("sm_75", "// old"), NULL);
    fat.size += 8;
    begin(&fat);
    add(&fat, PTX, 90, 0, ptx("sm_90", "// new"), NULL);
    expect(fat.bytes, fat.size, 90, "// new");
    expect(fat.bytes, fat.size, 80, "// old");
    expect(fat.bytes, 0, 90, "// old");
}

/* A copy that ends where nothing can be read. */
static unsigned char *at_the_edge(const void *bytes, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    unsigned char *start =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(start != MAP_FAILED && mprotect(start + room, page, PROT_NONE) == 0);
    return memcpy(start + room - size, bytes, size);
}

static void make(struct fat *fat)
{
    begin(fat);
    add(fat, PTX, 75, ZSTD, ptx("sm_75", "// first"), "first.cu");
    add(fat, MACHINE_CODE, 75, 0, "\177ELF", NULL);
    add(fat, PTX, 80, LZ4, ptx("sm_80", "// second, second, second, second"), NULL);
    add(fat, PTX, 70, 0, ptx("sm_70", "// third"), NULL);
}

Test(fatbin, what_is_cut_short_is_refused)
{
    static struct fat fat;

    make(&fat);
    for (size_t size = 4; size < fat.size; size++) {
        unsigned char *cut = at_the_edge(fat.bytes, size);
        char *text;

        cr_assert_eq(fatbin_text(cut, size, 90, &text), CUDA_ERROR_INVALID_IMAGE, "%zu bytes in a file",
                     size);
        /* In memory only what is used is read, and the last entry is not. */
        if (fatbin_text(cut, 0, 90, &text) == CUDA_SUCCESS) {
            cr_assert(strstr(text, "// second, second"), "%zu bytes in memory", size);
            free(text);
        }
    }
}

Test(fatbin, sizes_that_contradict_each_other_are_refused)
{
    static const struct {
        size_t at, bytes;
    } fields[] = {{6, 2},
                  {8, 8},
                  {HEADER_BYTES + 4, 4},
                  {HEADER_BYTES + 8, 8},
                  {HEADER_BYTES + 16, 4},
                  {HEADER_BYTES + 56, 8}};
    static const uint64_t values[] = {1,         UINT64_MAX, UINT64_MAX - 63,
                                      INT64_MAX, 1ull << 32, (1ull << 40) + 3};

    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        for (unsigned j = 0; j < sizeof values / sizeof *values; j++) {
            struct fat *fat = calloc(1, sizeof *fat);
            unsigned char *bytes;
            char *text = NULL;

            begin(fat);
            add(fat, PTX, 75, ZSTD, ptx("sm_75", "// text"), NULL);
            put(fat, fields[i].at, values[j], fields[i].bytes);
            bytes = at_the_edge(fat->bytes, fat->size);
            for (unsigned in_file = 0; in_file < 2; in_file++)
                cr_assert_neq(fatbin_text(bytes, in_file ? fat->size : 0, 90, &text), CUDA_SUCCESS, "%zu %u",
                              fields[i].at, j);
            free(fat);
        }
    }
}

Test(fatbin, no_change_of_bytes_makes_it_crash)
{
    static struct fat fat;
    unsigned char *bytes;
    unsigned seed = 1;

    make(&fat);
    bytes = at_the_edge(fat.bytes, fat.size);
    for (unsigned i = 0; i < 20000; i++) {
        char *text = NULL;

        for (unsigned flips = 1 + i % 3; flips--;)
            bytes[(unsigned)rand_r(&seed) % (i & 1 ? fat.size : 160)] = (unsigned char)rand_r(&seed);
        memcpy(bytes, fat.bytes, 4);
        if (fatbin_text(bytes, i & 2 ? fat.size : 0, 90, &text) == CUDA_SUCCESS)
            free(text);
        memcpy(bytes, fat.bytes, fat.size);
    }
}
