/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as text: what is read, what is refused, what comes out. */
#include "base/size.h"

#include <criterion/criterion.h>
#include <errno.h>

#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)

static void expect_bytes(const char *text, uint64_t bytes)
{
    struct size_spec spec;
    cr_assert_eq(size_parse(text, &spec), 0, "'%s' is refused", text);
    cr_expect_eq(spec.kind, SIZE_BYTES, "'%s'", text);
    cr_expect_eq(spec.bytes, bytes, "'%s' is %llu", text, (unsigned long long)spec.bytes);
}

static void expect_ppm(const char *text, uint32_t ppm)
{
    struct size_spec spec;
    cr_assert_eq(size_parse(text, &spec), 0, "'%s' is refused", text);
    cr_expect_eq(spec.kind, SIZE_FRACTION, "'%s'", text);
    cr_expect_eq(spec.ppm, ppm, "'%s' is %u ppm", text, spec.ppm);
}

static void expect_text(uint64_t bytes, const char *text)
{
    char buf[SIZE_TEXT_BYTES];
    cr_expect_eq(size_format(bytes, buf, sizeof(buf)), strlen(text), "%s", text);
    cr_expect_str_eq(buf, text);
}

Test(size, a_bare_integer_is_bytes)
{
    expect_bytes("0", 0);
    expect_bytes("1", 1);
    expect_bytes("1073741824", GIB);
}

Test(size, units_are_powers_of_1024_with_or_without_iB)
{
    expect_bytes("8G", 8 * GIB);
    expect_bytes("512MiB", 512 * KIB * KIB);
    expect_bytes("3K", 3 * KIB);
    expect_bytes("2TiB", 2 * KIB * GIB);
    expect_bytes("2m", 2 * KIB * KIB);
}

Test(size, a_decimal_with_a_unit_is_bytes)
{
    expect_bytes("1.5G", GIB + GIB / 2);
    expect_bytes("0.25KiB", 256);
}

Test(size, a_decimal_without_a_unit_and_a_percentage_are_fractions)
{
    expect_ppm("0.8", 800000);
    expect_ppm("1.0", 1000000);
    expect_ppm("80%", 800000);
    expect_ppm("100%", 1000000);
    expect_ppm("12.5%", 125000);
    expect_ppm("0%", 0);
    expect_ppm("0.3333333333", 333333);
}

Test(size, off_is_no_limit)
{
    struct size_spec spec;
    cr_assert_eq(size_parse("off", &spec), 0);
    cr_expect_eq(spec.kind, SIZE_NO_LIMIT);
    cr_expect_eq(size_resolve(&spec, 5), SIZE_UNLIMITED);
}

Test(size, anything_else_is_refused_and_changes_nothing)
{
    static const char *const bad[] = {
        "",     " ",   "-1",   "+1",  " 8G",  "8G ",   "8GB", "8Gi",   "8GiBs", "8 G",    "G",    "x",
        "0x10", "1e3", "1.",   ".5",  "1..5", "1.5.2", "1.5", "1.1",   "101%",  "100.1%", "%",    "8%G",
        "8G%",  "OFF", "offf", "nan", "inf",  "8\xc3", "8P",  "0.8K%", "8G,9G", "1_0",    "1,5G",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct size_spec spec = {.kind = SIZE_BYTES, .bytes = 77};
        cr_expect_eq(size_parse(bad[i], &spec), -EINVAL, "'%s' is taken", bad[i]);
        cr_expect(spec.kind == SIZE_BYTES && spec.bytes == 77 && spec.ppm == 0, "'%s' changed it", bad[i]);
    }
}

Test(size, more_than_64_bits_hold_is_refused)
{
    struct size_spec spec;
    expect_bytes("18446744073709551614", UINT64_MAX - 1);
    cr_expect_eq(size_parse("18446744073709551615", &spec), -EINVAL, "that one stands for no limit");
    cr_expect_eq(size_parse("18446744073709551616", &spec), -EINVAL);
    cr_expect_eq(size_parse("99999999999999999999999", &spec), -EINVAL);
    expect_bytes("16777215T", UINT64_MAX - (KIB * GIB - 1));
    cr_expect_eq(size_parse("16777216T", &spec), -EINVAL);
    cr_expect_eq(size_parse("16777215.999999999T", &spec), 0);
}

Test(size, a_fraction_resolves_against_the_whole_rounded_down)
{
    struct size_spec spec;
    cr_assert_eq(size_parse("95%", &spec), 0);
    cr_expect_eq(size_resolve(&spec, 100), 95);
    cr_expect_eq(size_resolve(&spec, 101), 95);
    cr_expect_eq(size_resolve(&spec, 0), 0);
    cr_assert_eq(size_parse("100%", &spec), 0);
    cr_expect_eq(size_resolve(&spec, UINT64_MAX - 1), UINT64_MAX - 1);
}

Test(size, bytes_resolve_to_themselves)
{
    struct size_spec spec;
    cr_assert_eq(size_parse("8G", &spec), 0);
    cr_expect_eq(size_resolve(&spec, 5), 8 * GIB);
}

Test(size, amounts_are_written_for_people)
{
    expect_text(0, "0 B");
    expect_text(1023, "1023 B");
    expect_text(1024, "1 KiB");
    expect_text(1536, "1.5 KiB");
    expect_text(2 * KIB * KIB, "2 MiB");
    expect_text(GIB - 1, "1023.9 MiB");
    expect_text(8 * GIB, "8 GiB");
    expect_text(5000 * KIB * GIB, "5000 TiB");
    expect_text(SIZE_UNLIMITED - 1, "16777215.9 TiB");
    expect_text(SIZE_UNLIMITED, "unlimited");
}

Test(size, a_text_that_does_not_fit_is_cut_and_ended)
{
    char buf[4] = "xxx";
    cr_expect_eq(size_format(2 * KIB * KIB, buf, sizeof(buf)), 3);
    cr_expect_str_eq(buf, "2 M");
    cr_expect_eq(size_format(1, buf, 0), 0);
}
