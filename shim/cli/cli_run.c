/* SPDX-License-Identifier: Apache-2.0 */
/* ebbtide run: flags into the environment, the library into LD_PRELOAD, then the command. */
#include "base/compiler.h"
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/options.h"

#define LIBRARY_NAME "libebbtide.so"

extern char **environ;

static int help(void)
{
    puts("usage: ebbtide run [options] [--] command [argument...]\n"
         "\n"
         "Options end at the first word that is none. Each is also an environment variable: --disk is "
         "EBBTIDE_DISK.\n"
         "Sizes: K M G T are powers of 1024, 0.x and x% are shares, a bare integer is bytes, off is no "
         "limit.\n");
    for (const struct option_row *row = options_rows; row->variable; row++) {
        const char *fallback = *row->default_text ? row->default_text : "none";
        printf("  --%s\n      %s\n      accepted: %s; default: %s\n", row->flag, row->help, row->forms,
               fallback);
    }
    puts("  --help\n      this text");
    return CLI_HELPED;
}

static void print_complaint(const struct options_complaint *complaint, IGNORED void *arg)
{
    char text[OPTIONS_TEXT_BYTES];

    options_describe(complaint, text, sizeof(text));
    cli_fail("%s", text);
}

/* Say what is wrong with a flag that no row has: a later version's, a slip, or nothing we know. */
static int fail_unknown_flag(const char *flag)
{
    static const char prefix[] = "EBBTIDE_";
    char variable[64];
    size_t length = strlen(prefix);
    const char *const environment[] = {variable, NULL};
    struct options scratch;

    memcpy(variable, prefix, length);
    for (; *flag && *flag != '=' && length < sizeof(variable) - 1; flag++)
        variable[length++] = *flag == '-' ? '_' : (char)toupper((unsigned char)*flag);
    variable[length] = '\0';
    options_parse(&scratch, environment, print_complaint, NULL);
    return CLI_FAILED;
}

/* A value of a flag that needs none. Any other word may be the command, and no command is called 0 or 1. */
static bool is_switch(const char *word)
{
    return word && (strcmp(word, "0") == 0 || strcmp(word, "1") == 0);
}

/*
 * Put the flag at *argument into the environment, and move *argument behind it and its value.
 * Returns 0 or CLI_FAILED.
 */
static int take_flag(char *const **argument, struct options *scratch)
{
    const char *flag = *(*argument)++ + strlen("--");
    const struct option_row *row = options_find_flag(flag);
    const char *value = strchr(flag, '=');

    if (!row)
        return fail_unknown_flag(flag);
    if (value)
        value++;
    else if (row->type == OPTION_FLAG && !is_switch(**argument))
        value = "1";
    else
        value = *(*argument) ? *(*argument)++ : NULL;

    if (!value)
        return cli_fail("--%s needs a value; accepted: %s", row->flag, row->forms);
    if (options_set(scratch, row->variable, value) < 0)
        return cli_fail("--%s does not take '%s'; accepted: %s", row->flag, value, row->forms);
    return setenv(row->variable, value, 1) < 0 ? cli_fail("cannot set %s: %s", row->variable, strerror(errno))
                                               : 0;
}

/* The library beside this executable, as in the build folder. Returns false when there is none. */
static bool find_beside(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);

    if (length <= 0 || length == PATH_MAX)
        return false;
    path[length] = '\0';
    char *name = strrchr(path, '/') + 1;
    if ((size_t)(path + PATH_MAX - name) < sizeof(LIBRARY_NAME))
        return false;
    memcpy(name, LIBRARY_NAME, sizeof(LIBRARY_NAME));
    return access(path, R_OK) == 0;
}

/* Only these two places: a search could pick up what someone left in a folder. */
static int find_library(char path[PATH_MAX])
{
    if (!find_beside(path)) {
        if (access(EBBTIDE_LIBRARY, R_OK) < 0)
            return cli_fail(LIBRARY_NAME " is neither beside this command nor at %s", EBBTIDE_LIBRARY);
        memcpy(path, EBBTIDE_LIBRARY, sizeof(EBBTIDE_LIBRARY));
    }
    /* The loader splits LD_PRELOAD there and knows no quoting. */
    if (strpbrk(path, " :"))
        return cli_fail("'%s' cannot be preloaded: its path has a blank or a colon", path);
    return 0;
}

int cli_preload(void)
{
    char path[PATH_MAX];
    const char *others = getenv("LD_PRELOAD");
    char *value = path;

    if (find_library(path) != 0)
        return CLI_FAILED;
    if (others && *others && asprintf(&value, "%s:%s", path, others) < 0)
        return cli_fail("out of memory");
    return setenv("LD_PRELOAD", value, 1) < 0 ? cli_fail("cannot set LD_PRELOAD: %s", strerror(errno)) : 0;
}

/* The command, or a child of it, may leave the folder that its paths are meant from. Returns 0 or CLI_FAILED. */
static int set_absolute_paths(struct options *options)
{
    char folder[PATH_MAX];

    if (!getcwd(folder, sizeof(folder)) || *folder != '/')
        return 0; /* it is gone: then the paths are as good as they can be */
    if (options_make_absolute(options, folder) < 0)
        return cli_fail("a path is too long when it begins with %s", folder);
    for (const struct option_row *row = options_rows; row->variable; row++) {
        const char *path = (const char *)options + row->field_offset;

        if (row->type == OPTION_PATH && *path && setenv(row->variable, path, 1) < 0)
            return cli_fail("cannot set %s: %s", row->variable, strerror(errno));
    }
    return 0;
}

int cli_take_options(char *const **arguments)
{
    char *const *argument = *arguments;
    struct options scratch;

    options_init(&scratch);
    while (*argument && strncmp(*argument, "--", 2) == 0) {
        if (strcmp(*argument, "--") == 0) {
            argument++;
            break;
        }
        if (strcmp(*argument, "--help") == 0)
            return help();
        if (take_flag(&argument, &scratch) != 0)
            return CLI_FAILED;
    }
    if (*argument && **argument == '-' && strcmp(argument[-1], "--") != 0)
        return cli_fail("no option '%s'; try 'ebbtide run --help'", *argument);
    if (options_parse(&scratch, (const char *const *)environ, print_complaint, NULL) > 0)
        return CLI_FAILED;
    *arguments = argument;
    return set_absolute_paths(&scratch);
}

int cli_run(char *const *argument)
{
    int status = cli_take_options(&argument);

    if (status != 0)
        return status == CLI_HELPED ? CLI_OK : status;
    if (!*argument)
        return cli_fail("no command to run; try 'ebbtide run --help'");
    if (cli_preload() != 0)
        return CLI_FAILED;

    execvp(*argument, argument);
    int failure = errno;
    cli_fail("cannot run '%s': %s", *argument, strerror(failure));
    return failure == ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}
