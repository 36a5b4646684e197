/* SPDX-License-Identifier: Apache-2.0 */
/* PTX texts become one. */
#include "code/link.h"
#include "code/target.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"

static char *linked(const char *one, const char *two)
{
    const char *texts[] = {one, two};
    char *text = NULL;

    cr_assert_eq(link_texts(texts, 2, &text), CUDA_SUCCESS);
    return text;
}

static CUresult refused(const char *one, const char *two)
{
    const char *texts[] = {one, two};
    char *text;

    return link_texts(texts, 2, &text);
}

static unsigned count(const char *text, const char *piece)
{
    unsigned found = 0;

    for (; (text = strstr(text, piece)); text += strlen(piece))
        found++;
    return found;
}

static bool in_order(const char *text, const char *first, const char *second)
{
    const char *at = strstr(text, first);

    return at && strstr(at, second);
}

Test(link, what_one_input_declares_another_defines_in_either_order)
{
    const char *use = HEAD ".extern .global .u32 seen;\n.extern .func (.param .b32 r) f (.param .b32 a);\n"
                           ".visible .entry k() { call (r), f, (a); st.global.u32 [seen], 1; ret; }\n";
    const char *have = HEAD ".visible .global .u32 seen = 7;\n"
                            ".visible .func (.param .b32 r) f (.param .b32 a) { ret; }\n";

    for (unsigned turn = 0; turn < 2; turn++) {
        char *text = turn ? linked(have, use) : linked(use, have);

        cr_assert(!strstr(text, ".extern"), "%s", text);
        cr_assert(count(text, ".version") == 1 && count(text, "seen = 7") == 1 &&
                  count(text, "{ ret; }") == 1);
        cr_assert(in_order(text, "f (.param .b32 a) ;", "seen = 7"), "%s", text);
        cr_assert(in_order(text, "seen = 7", ".entry k"), "%s", text);
        free(text);
    }
}

Test(link, what_nobody_defines_is_declared_once)
{
    const char *one = HEAD ".extern .func vprintf();\n.extern .shared .align 16 .b8 dynamic[];\n";
    char *text = linked(one, one);

    cr_assert_eq(count(text, ".extern .func vprintf();"), 1);
    cr_assert_eq(count(text, ".extern .shared .align 16 .b8 dynamic[];"), 1);
    free(text);
}

Test(link, names_that_an_input_keeps_to_itself_stay_apart)
{
    char *text = linked(HEAD ".global .align 1 .b8 $str[2] = {104, 0};\n.func own() { ret; }\n"
                             ".visible .entry a() { mov.u64 %rd1, $str; call own, (); } // $str\n",
                        HEAD ".global .align 1 .b8 $str[2] = {105, 0};\n.func own() { ret; }\n"
                             ".visible .entry b() { mov.u64 %rd1, $str; call own, (); $strange: ret; }\n");

    cr_assert_eq(count(text, "$str[2]"), 0, "%s", text);
    cr_assert_eq(count(text, "$str__0[2] = {104"), 1, "%s", text);
    cr_assert(in_order(text, ".entry a() { mov.u64 %rd1, $str__0; call own__0",
                       ".entry b() { mov.u64 %rd1, $str__1;"));
    cr_assert_eq(count(text, "$strange"), 1);
    free(text);
    text = linked(HEAD ".global .u32 alone;\n", HEAD ".global .u32 other;\n");
    cr_assert(strstr(text, "alone;") && strstr(text, "other;"));
    free(text);
    text = linked(HEAD ".global .u32 same = 1;\n", HEAD ".visible .global .u32 same = 2;\n");
    cr_assert(strstr(text, "same__0 = 1") && strstr(text, ".visible .global .u32 same = 2"), "%s", text);
    free(text);
}

Test(link, one_of_several_weak_definitions_stays)
{
    const char *weak = HEAD ".weak .func f() { weak: ret; }\n.common .global .u32 c;\n";
    char *text = linked(weak, weak);

    cr_assert(count(text, "{ weak: ret; }") == 1 && count(text, ".u32 c;") == 1);
    free(text);
    text = linked(weak, HEAD ".visible .func f() { strong: ret; }\n");
    cr_assert(!strstr(text, "weak:") && strstr(text, "strong:"));
    free(text);
    text = linked(HEAD ".visible .func f() { strong: ret; }\n", weak);
    cr_assert(!strstr(text, "weak:") && strstr(text, "strong:"));
    free(text);
}

Test(link, two_definitions_of_a_name_are_refused)
{
    cr_assert_eq(refused(HEAD ".visible .func f() { ret; }", HEAD ".visible .func f() { ret; }"),
                 CUDA_ERROR_INVALID_IMAGE);
    cr_assert_eq(refused(HEAD ".visible .global .u32 x;", HEAD ".visible .const .u32 x;"),
                 CUDA_ERROR_INVALID_IMAGE);
}

Test(link, brackets_in_comments_and_strings_close_nothing)
{
    char *text = linked(HEAD "/* } */ .visible .entry a() { // }\n .pragma \"}\"; /* } */ ret; }\n"
                             ".file 1 \"a } b.cu\"\n.section .debug_str { .b8 1, 2 }\n"
                             ".visible .global .u64 table[2] = {a, a};\n",
                        HEAD ".visible .entry b .maxntid 256, 1, 1 { ret; }\n");

    cr_assert(strstr(text, ".entry a()") && strstr(text, ".entry b .maxntid 256, 1, 1 { ret; }"), "%s", text);
    cr_assert(!strstr(text, ".file") && !strstr(text, ".section"), "%s", text);
    free(text);
}

Test(link, the_newest_version_and_architecture_are_the_head)
{
    char *text =
        linked(".version 7.8\n.target sm_90\n.address_size 64\n", ".version 8.10\n.target sm_75, debug\n");

    cr_assert_eq(strncmp(text, ".version 8.10\n.target sm_90\n.address_size 64\n", 45), 0, "%s", text);
    free(text);
}

Test(link, what_is_no_whole_text_is_refused)
{
    static const char *const texts[] = {"",
                                        "nonsense",
                                        ".target sm_80\n",
                                        HEAD ".visible .entry k() {",
                                        HEAD ".visible .func (",
                                        HEAD ".global .u32 x = {1, ",
                                        HEAD ".global .u32 x",
                                        HEAD "} ;",
                                        HEAD ".visible .entry { ret; }",
                                        HEAD ".pragma \"",
                                        HEAD "/*",
                                        HEAD ".func \"f\\"};

    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        CUresult expected = strcmp(texts[i], HEAD "/*") == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;

        cr_assert_eq(refused(texts[i], HEAD), expected, "%s", texts[i]);
    }
}

Test(link, any_piece_of_a_text_is_linked_or_refused)
{
    const char *whole =
        HEAD ".weak .func f(.param .b32 a) { call g, (a); \"x\" ret; }\n.global .b8 s[2] = {1, 2};\n"
             ".visible .entry k(.param .u64 p) { // f\n ret; }\n";

    for (size_t first = 0; first < strlen(whole); first++) {
        for (size_t bytes = 0; bytes <= strlen(whole) - first; bytes++) {
            char *piece = strndup(whole + first, bytes), *text = NULL;
            const char *texts[] = {whole, piece};

            if (link_texts(texts, 2, &text) == CUDA_SUCCESS)
                free(text);
            free(piece);
        }
    }
}

Test(link, a_target_names_the_devices_that_it_is_for)
{
    cr_assert_eq(target_architecture("// Triton\n//\n\n.version 8.7\n.target sm_120a\n"), 120);
    cr_assert_eq(target_architecture("/* c */ .version 3.1 .target sm_20"), 0,
                 "the version has a line of its own");
    cr_assert_eq(target_architecture(".version 8.7\n"), 0);
    cr_assert_eq(target_judge(".version 8.7\n.target sm_90, texmode_independent\n", 90), TARGET_FITS);
    cr_assert_eq(target_judge(".version 8.7\n.target sm_90\n", 89), TARGET_OTHER);
    cr_assert_eq(target_judge(".version 8.7\n.target sm_90a\n", 100), TARGET_OTHER);
    cr_assert_eq(target_judge("", 90), TARGET_OTHER);
}
