/* SPDX-License-Identifier: Apache-2.0 */
/* Each option of the table is in --help and in the manual page, and the page has none that the table lacks.
 */
#include "base/options.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static char text[64 * 1024];

/* What a path, or a command if is_command, holds. */
static const char *contents(const char *source, bool is_command)
{
    cr_assert_not_null(source, "run through meson, which says where the page and the command are");
    FILE *file = is_command ? popen(source, "r") : fopen(source, "r");
    cr_assert_not_null(file, "cannot read %s", source);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    cr_assert_eq(is_command ? pclose(file) : fclose(file), 0);
    return text;
}

/* Whether the word occurs and does not go on. */
static bool has_word(const char *in, const char *word)
{
    size_t length = strlen(word);

    for (; (in = strstr(in, word)); in++)
        if (!isalnum((unsigned char)in[length]) && in[length] != '-')
            return true;
    return false;
}

Test(manual, the_page_has_each_option)
{
    char macro[64];

    contents(getenv("CLI_MANUAL"), false);
    for (const struct option_row *row = options_rows; row->variable; row++) {
        snprintf(macro, sizeof(macro), "Fl -%s", row->flag);
        cr_expect(has_word(text, macro), "--%s is not in the manual page", row->flag);
    }
}

/* Those that the commands beside `run` have for themselves. */
static bool is_of_a_command(const char *flag)
{
    static const char *const flags[] = {"help", "version", "json", "once", "all", "filter"};
    bool found = false;

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        found = found || strcmp(flag, flags[i]) == 0;
    return found;
}

Test(manual, the_page_has_no_option_that_the_table_lacks)
{
    contents(getenv("CLI_MANUAL"), false);
    for (const char *at = text; (at = strstr(at, "Fl -")); at++) {
        char flag[64] = "";
        if (sscanf(at, "Fl -%63[a-z-]", flag) == 1 && !is_of_a_command(flag))
            cr_expect_not_null(options_find_flag(flag), "--%s is not in the table", flag);
    }
}

Test(manual, the_help_has_each_option_with_its_forms_and_default)
{
    char command[4096], expected[512];

    cr_assert_not_null(getenv("CLI_COMMAND"));
    snprintf(command, sizeof(command), "'%s' run --help", getenv("CLI_COMMAND"));
    contents(command, true);
    for (const struct option_row *row = options_rows; row->variable; row++) {
        snprintf(expected, sizeof(expected), "  --%s\n      %s\n      accepted: %s; default: %s\n", row->flag,
                 row->help, row->forms, *row->default_text ? row->default_text : "none");
        cr_expect_not_null(strstr(text, expected), "--%s is not in --help", row->flag);
    }
}
