/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices by fragments, against the product written out. PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/kernel.h"
#include "ptx/tests/numbers.h"

#include <criterion/criterion.h>
#include <string.h>

enum {
    PAD = 8, /* elements that a line in memory has more than the matrix */
    MOST = 32 * (32 + PAD)
};

struct product {
    unsigned rows, columns, depth;
    const char *element, *sum_d, *sum_c; /* types */
    bool a_by_rows, b_by_rows, c_by_rows;
    const char *saturate;
};

static double left[32][16], right[16][32], begin[32][32];

static unsigned bytes_of(const char *type)
{
    return strcmp(type, "f64") == 0                                                            ? 8
           : strcmp(type, "f32") == 0 || strcmp(type, "s32") == 0 || strcmp(type, "tf32") == 0 ? 4
           : strcmp(type, "f16") == 0 || strcmp(type, "bf16") == 0                             ? 2
                                                                                               : 1;
}

static void put(uint8_t *at, const char *type, double value)
{
    float single = (float)value;
    int whole = (int)value;
    u16 half = strcmp(type, "f16") == 0 ? to_h(value) : to_g(value);
    const void *from = strcmp(type, "f64") == 0                                ? (void *)&value
                       : strcmp(type, "f32") == 0 || strcmp(type, "tf32") == 0 ? (void *)&single
                       : bytes_of(type) == 2                                   ? (void *)&half
                                                                               : (void *)&whole;

    memcpy(at, from, bytes_of(type));
}

static double get(const uint8_t *at, const char *type)
{
    double value = 0;
    float single = 0;
    int whole = 0;
    u16 half = 0;
    void *to = strcmp(type, "f64") == 0   ? (void *)&value
               : strcmp(type, "f32") == 0 ? (void *)&single
               : strcmp(type, "f16") == 0 ? (void *)&half
                                          : (void *)&whole;

    memcpy(to, at, bytes_of(type));
    return value + single + whole + (double)h(half);
}

/* Where a matrix of so many rows and columns has an element in memory. */
static size_t place(unsigned row, unsigned column, unsigned rows, unsigned columns, bool by_rows)
{
    return by_rows ? row * (size_t)(columns + PAD) + column : column * (size_t)(rows + PAD) + row;
}

/* Small whole numbers are exact in every type. */
static double small(unsigned number, const char *type)
{
    int value = (int)(number * 7 + number / 5) % 7;

    return *type == 'u' ? value : value - 3;
}

static void draw(const struct product *product)
{
    for (unsigned i = 0; i < product->rows; i++)
        for (unsigned k = 0; k < product->depth; k++)
            left[i][k] = small(i * 17 + k, product->element);
    for (unsigned k = 0; k < product->depth; k++)
        for (unsigned j = 0; j < product->columns; j++)
            right[k][j] = small(k * 31 + j * 3 + 1, product->element);
    for (unsigned i = 0; i < product->rows; i++)
        for (unsigned j = 0; j < product->columns; j++)
            begin[i][j] =
                *product->saturate ? (i + j) % 3 ? 0x7ffffff8 : -0x7ffffff8 : small(i * 5 + j * 11, "s8");
}

static double expected(const struct product *product, unsigned row, unsigned column)
{
    double sum = begin[row][column];

    for (unsigned k = 0; k < product->depth; k++)
        sum += left[row][k] * right[k][column];
    if (*product->saturate)
        sum = sum > 0x7fffffff ? 0x7fffffff : sum < -0x80000000l ? -0x80000000l : sum;
    return sum;
}

static const char *order(bool by_rows)
{
    return by_rows ? "row" : "col";
}

static const char *list(const char *name, unsigned count)
{
    static char texts[4][160];
    static unsigned turn;
    char *text = texts[turn++ % 4];

    strcpy(text, "{");
    for (unsigned i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s%%%s%u", i ? ", " : "", name, i);
    return strcat(text, "}");
}

/* Registers of a fragment: halves of A and B come twice. */
static unsigned registers(unsigned elements, const char *type, bool is_factor)
{
    unsigned bytes = bytes_of(type);

    return is_factor && strcmp(type, "f16") == 0 ? 8 : elements / 32 * bytes / (bytes == 8 ? 8 : 4);
}

static const char *held(const char *type)
{
    return strcmp(type, "f64") == 0 || strcmp(type, "f32") == 0 ? type : "b32";
}

static void write_body(struct source *source, const struct product *product)
{
    unsigned m = product->rows, n = product->columns, k = product->depth;
    unsigned a = registers(m * k, product->element, true), b = registers(k * n, product->element, true);
    unsigned c = registers(m * n, product->sum_c, false), d = registers(m * n, product->sum_d, false);
    bool has_four = strcmp(product->element, "f16") != 0;
    const char *a_order = order(product->a_by_rows), *b_order = order(product->b_by_rows),
               *c_order = order(product->c_by_rows);

    source_add(source,
               "ld.param.u64 %%rd4, [c]; ld.param.u64 %%rd5, [e];\n"
               ".reg .%s %%a<%u>; .reg .%s %%b<%u>; .reg .%s %%c<%u>; .reg .%s %%d<%u>;\n",
               held(product->element), a, held(product->element), b, held(product->sum_c), c,
               held(product->sum_d), d);
    source_add(source, "wmma.load.a.sync.aligned.%s.m%un%uk%u.global.%s %s, [%%rd0], %u;\n", a_order, m, n, k,
               product->element, list("a", a), (product->a_by_rows ? k : m) + PAD);
    source_add(source, "wmma.load.b.sync.aligned.%s.m%un%uk%u.%s %s, [%%rd1], %u;\n", b_order, m, n, k,
               product->element, list("b", b), (product->b_by_rows ? n : k) + PAD);
    source_add(source, "wmma.load.c.sync.aligned.%s.m%un%uk%u.global.%s %s, [%%rd4], %u;\n", c_order, m, n, k,
               product->sum_c, list("c", c), (product->c_by_rows ? n : m) + PAD);
    source_add(source, "wmma.mma.sync.aligned.%s.%s.m%un%uk%u.%s", a_order, b_order, m, n, k, product->sum_d);
    if (has_four)
        source_add(source, ".%s.%s", product->element, product->element);
    source_add(source, ".%s%s %s, %s, %s, %s;\n", product->sum_c, product->saturate, list("d", d),
               list("a", a), list("b", b), list("c", c));
    source_add(source, "wmma.store.d.sync.aligned.%s.m%un%uk%u.global.%s [%%rd5], %s, %u;\n", c_order, m, n,
               k, product->sum_d, list("d", d), (product->c_by_rows ? n : m) + PAD);
}

static CUdeviceptr matrix(const double *numbers, unsigned stride, unsigned rows, unsigned columns,
                          bool by_rows, const char *type)
{
    static uint8_t bytes[MOST * 8];

    memset(bytes, 0x55, sizeof bytes);
    for (unsigned i = 0; i < rows; i++)
        for (unsigned j = 0; j < columns; j++)
            put(bytes + place(i, j, rows, columns, by_rows) * bytes_of(type), type, numbers[i * stride + j]);
    return device_bytes(bytes, sizeof bytes);
}

static void multiply(const struct product *product)
{
    static uint8_t bytes[MOST * 8];
    unsigned m = product->rows, n = product->columns, k = product->depth, size = bytes_of(product->sum_d);
    struct source source = {NULL, 0, 0};
    CUdeviceptr params[4];

    draw(product);
    params[0] = matrix(left[0], 16, m, k, product->a_by_rows, product->element);
    params[1] = matrix(right[0], 32, k, n, product->b_by_rows, product->element);
    params[2] = matrix(begin[0], 32, m, n, product->c_by_rows, product->sum_c);
    params[3] = device_bytes(NULL, sizeof bytes);
    write_body(&source, product);
    cr_assert_eq(kernel_of("", source.text, 1, 32, params), CUDA_SUCCESS, "%s", source.text);
    must(cuMemcpyDtoH(bytes, params[3], sizeof bytes));
    for (unsigned i = 0; i < m; i++)
        for (unsigned j = 0; j < n; j++)
            cr_assert_eq(get(bytes + place(i, j, m, n, product->c_by_rows) * size, product->sum_d),
                         expected(product, i, j), "%u, %u of\n%s", i, j, source.text);
    free(source.text);
}

Test(wmma, halves_of_every_shape_and_order)
{
    static const unsigned shapes[][2] = {{16, 16}, {32, 8}, {8, 32}};

    start();
    for (unsigned i = 0; i < 3; i++)
        for (unsigned orders = 0; orders < 4; orders++)
            multiply(&(struct product){shapes[i][0], shapes[i][1], 16, orders < 2 ? "f16" : "bf16", "f32",
                                       "f32", orders & 1, i & 1, (orders + i) % 3 == 0, ""});
    multiply(&(struct product){16, 16, 16, "f16", "f16", "f16", true, true, true, ""});
    multiply(&(struct product){32, 8, 16, "f16", "f16", "f32", true, false, true, ""});
    multiply(&(struct product){8, 32, 16, "f16", "f32", "f16", false, true, false, ""});
}

Test(wmma, bytes_that_wrap_or_stay_within_the_word)
{
    static const unsigned shapes[][2] = {{16, 16}, {32, 8}, {8, 32}};

    start();
    for (unsigned i = 0; i < 3; i++) {
        multiply(
            &(struct product){shapes[i][0], shapes[i][1], 16, "s8", "s32", "s32", true, false, true, ""});
        multiply(
            &(struct product){shapes[i][0], shapes[i][1], 16, "u8", "s32", "s32", i & 1, i & 1, false, ""});
        multiply(&(struct product){shapes[i][0], shapes[i][1], 16, "s8", "s32", "s32", true, true, true,
                                   ".satfinite"});
    }
}

Test(wmma, words_and_numbers_of_64_bits)
{
    start();
    multiply(&(struct product){16, 16, 8, "tf32", "f32", "f32", true, false, true, ""});
    multiply(&(struct product){16, 16, 8, "tf32", "f32", "f32", false, true, false, ""});
    multiply(&(struct product){8, 8, 4, "f64", "f64", "f64", true, false, true, ""});
    multiply(&(struct product){8, 8, 4, "f64", "f64", "f64", false, true, false, ""});
}

/* Numbers of so many bits, eight lines of four words each; in memory a line has two words more. */
static int narrow(const uint32_t *words, unsigned line, unsigned number, unsigned bits, bool is_signed)
{
    uint32_t word = words[line * 6 + number * bits / 32] >> number * bits % 32;

    return is_signed ? (int)(word << (32 - bits)) >> (32 - bits) : (int)(word & ((1u << bits) - 1));
}

static void multiply_narrow(const char *type, unsigned bits, const char *operation, const char *saturate)
{
    unsigned depth = 128 / bits;
    uint32_t a[48], b[48];
    int c[64], d[64];
    char body[1024];
    CUdeviceptr params[4];

    fill(0);
    memcpy(a, in, sizeof a);
    memcpy(b, in + 48, sizeof b);
    for (unsigned i = 0; i < 64; i++)
        c[i] = *saturate ? 0x7fffffff : (int)i * 3 - 90;
    params[0] = device_bytes(a, sizeof a);
    params[1] = device_bytes(b, sizeof b);
    params[2] = device_bytes(c, sizeof c);
    params[3] = device_bytes(NULL, sizeof d);
    snprintf(body, sizeof body,
             "ld.param.u64 %%rd4, [c]; ld.param.u64 %%rd5, [e];\n"
             "wmma.load.a.sync.aligned.row.m8n8k%u.global.%s {%%r10}, [%%rd0], %u;\n"
             "wmma.load.b.sync.aligned.col.m8n8k%u.%s {%%r11}, [%%rd1], %u;\n"
             "wmma.load.c.sync.aligned.row.m8n8k%u.global.s32 {%%r12, %%r13}, [%%rd4];\n"
             "wmma.mma.%ssync.aligned.row.col.m8n8k%u.s32.%s.%s.s32%s {%%r14, %%r15}, {%%r10}, {%%r11}, "
             "{%%r12, %%r13};\n"
             "wmma.store.d.sync.aligned.row.m8n8k%u.s32 [%%rd5], {%%r14, %%r15};",
             depth, type, 192 / bits, depth, type, 192 / bits, depth, operation, depth, type, type, saturate,
             depth);
    cr_assert_eq(kernel_of("", body, 1, 32, params), CUDA_SUCCESS, "%s", body);
    must(cuMemcpyDtoH(d, params[3], sizeof d));
    for (unsigned i = 0; i < 64; i++) {
        long sum = c[i];

        for (unsigned k = 0; k < depth; k++) {
            int one = narrow(a, i / 8, k, bits, *type == 's'),
                other = narrow(b, i % 8, k, bits, *type == 's');

            sum += *operation == 'x' ? one != other : one * other;
        }
        if (*saturate && sum > 0x7fffffff)
            sum = 0x7fffffff;
        cr_assert_eq(d[i], (int)sum, "%u of\n%s", i, body);
    }
}

Test(wmma, fours_of_bits_and_single_ones)
{
    start();
    multiply_narrow("s4", 4, "", "");
    multiply_narrow("u4", 4, "", "");
    multiply_narrow("u4", 4, "", ".satfinite");
    multiply_narrow("b1", 1, "xor.popc.", "");
    multiply_narrow("b1", 1, "and.popc.", "");
}

/* The same by products whose fragments have their places: what a register has too many or too few of is an error. */
Test(wmma, products_of_bits_are_known_by_all_their_words)
{
    CUdeviceptr params[4] = {0};
    CUmodule loaded;
    struct source source;

    start();
    params[1] = device_bytes(NULL, 4096);
    must(kernel_of(
        "",
        "mov.u32 %r4, 0xffffffff; mov.u32 %r5, 0x0f0f0f0f; mov.u32 %r6, 7;\n"
        "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc {%r10, %r11, %r12, %r13}, {%r4, %r4, %r4, "
        "%r4}, {%r5, %r5}, {%r6, %r6, %r6, %r6};\n"
        "mma.sync.aligned.m8n8k32.row.col.satfinite.s32.u4.s4.s32 {%r14, %r15}, {%r4}, {%r4}, {%r6, %r6};\n"
        "st.global.u32 [%rd3], %r11; st.global.u32 [%rd3+256], %r14;",
        1, 32, params));
    must(cuMemcpyDtoH(out, params[1], 512));
    cr_assert_eq(out[3], 128 + 7);
    cr_assert_eq(out[64], 7u - 15 * 32);
    source_begin(&source);
    source_add(&source,
               ".visible .entry run() { .reg .b32 %%r<8>;\n"
               "mma.sync.aligned.m8n8k32.row.col.s32.s4.s4.s32 {%%r0, %%r1}, {%%r2, %%r3}, {%%r4}, {%%r5, "
               "%%r6}; ret; }\n");
    cr_assert_eq(cuModuleLoadData(&loaded, source.text), CUDA_ERROR_INVALID_PTX);
    source_end(&source);
}

/* The stride that is not written is what the matrix has; a fragment of A is doubled element by element. */
Test(wmma, fragments_come_from_shared_memory_and_are_worked_on)
{
    for (unsigned i = 0; i < 256; i++) {
        float value = (float)(i % 13);

        memcpy(&in[i], &value, sizeof value);
    }
    run_words(
        ".shared .align 32 .b8 tile[1024];\n",
        "mov.u32 %r3, tile; mov.u32 %r4, %r0;\n"
        "copy: mad.wide.u32 %rd4, %r4, 4, %rd0; ld.global.u32 %r5, [%rd4]; mad.lo.u32 %r6, %r4, 4, %r3;\n"
        "st.shared.u32 [%r6], %r5; add.u32 %r4, %r4, 32; setp.lt.u32 %p0, %r4, 256; @%p0 bra copy;\n"
        "bar.warp.sync -1; wmma.load.c.sync.aligned.row.m16n16k16.shared.f32 {%f0, %f1, %f2, %f3, %f4, %f5, "
        "%f6, %f7}, [%r3];\n"
        "add.f32 %f0, %f0, %f0; add.f32 %f1, %f1, %f1; add.f32 %f2, %f2, %f2; add.f32 %f3, %f3, %f3;\n"
        "add.f32 %f4, %f4, %f4; add.f32 %f5, %f5, %f5; add.f32 %f6, %f6, %f6; add.f32 %f7, %f7, %f7;\n"
        "wmma.store.d.sync.aligned.col.m16n16k16.shared::cta.f32 [%r3], {%f0, %f1, %f2, %f3, %f4, %f5, %f6, "
        "%f7};\n"
        "mov.u32 %r4, %r0;\n"
        "back: mad.wide.u32 %rd4, %r4, 4, %rd1; mad.lo.u32 %r6, %r4, 4, %r3; ld.shared.u32 %r5, [%r6];\n"
        "st.global.u32 [%rd4], %r5; add.u32 %r4, %r4, 32; setp.lt.u32 %p0, %r4, 256; @%p0 bra back;",
        1, 32);
    for (unsigned i = 0; i < 256; i++) {
        float value;

        memcpy(&value, &out[i % 16 * 16 + i / 16], sizeof value);
        cr_assert_eq(value, (float)(2 * (i % 13)));
    }
}

/* What a kernel of it may not use is as illegal as with any load. */
Test(wmma, a_fragment_of_no_memory_is_an_illegal_address)
{
    CUdeviceptr params[4] = {1 << 20};

    start();
    cr_assert_eq(kernel_of("", "wmma.load.a.sync.aligned.row.m16n16k16.global.s8 {%r3, %r4}, [%rd0], 16;", 1,
                           32, params),
                 CUDA_ERROR_ILLEGAL_ADDRESS);
}
