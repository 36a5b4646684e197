/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include "failure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool progress;

static void help_print(const char *about, const char *operands, const struct argument *table)
{
    static const char *const kinds[] = {
        [ARGUMENT_SIZE] = "SIZE", [ARGUMENT_COUNT] = "N", [ARGUMENT_TEXT] = "PATH"};

    printf("usage: %s [options]%s%s\n%s\n", program_invocation_short_name, operands ? " " : "",
           operands ? operands : "", about);
    for (; table->name; table++)
        printf("  --%s %s\n      %s\n", table->name, kinds[table->kind], table->help);
    printf("  --progress\n      one line on stderr per step\n");
}

static uint64_t number_read(const char *option, const char *text, bool units)
{
    char *end;
    uint64_t number;
    int shift = 0;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (units && *end && strchr("KMGT", *end))
        shift = 10 * (int)(strchr("KMGT", *end++) - "KMGT" + 1);
    if (errno || end == text || *end || *text == '-' || number > UINT64_MAX >> shift)
        failure_exit(FAILURE_OTHER, option, "not a number in range");
    return number << shift;
}

static const struct argument *argument_find(const struct argument *table, const char *name, size_t length)
{
    for (; table->name; table++)
        if (strlen(table->name) == length && !memcmp(table->name, name, length))
            return table;
    return NULL;
}

/* Reads the option at argv[i], `--name value` or `--name=value`; the index of its last word. */
static int option_read(int argc, char **argv, int i, const struct argument *table)
{
    const char *name = argv[i] + 2, *value = strchr(name, '=');
    const struct argument *argument =
        argument_find(table, name, value ? (size_t)(value - name) : strlen(name));

    if (!argument)
        failure_exit(FAILURE_OTHER, argv[i], "unknown option");
    if (value)
        value++;
    else if (++i < argc)
        value = argv[i];
    else
        failure_exit(FAILURE_OTHER, argument->name, "needs a value");
    if (argument->kind == ARGUMENT_TEXT)
        *(const char **)argument->value = value;
    else
        *(uint64_t *)argument->value = number_read(argument->name, value, argument->kind == ARGUMENT_SIZE);
    return i;
}

int arguments_read(int argc, char **argv, const char *about, const char *operands,
                   const struct argument *table)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            help_print(about, operands, table);
            exit(0);
        } else if (!strcmp(argv[i], "--progress")) {
            progress = true;
        } else if (!strncmp(argv[i], "--", 2)) {
            i = option_read(argc, argv, i, table);
        } else if (operands) {
            argv[count++] = argv[i];
        } else {
            failure_exit(FAILURE_OTHER, argv[i], "unexpected operand");
        }
    }
    return count;
}

void progress_show(const char *step, uint64_t done, uint64_t total)
{
    if (progress)
        fprintf(stderr, "%s: %s %llu/%llu\n", program_invocation_short_name, step, (unsigned long long)done,
                (unsigned long long)total);
}
