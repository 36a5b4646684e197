/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the command: picks the subcommand. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/doctor.h"

int cli_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("ebbtide: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CLI_FAILED;
}

static int help(void)
{
    fputs("usage: ebbtide run [options] [--] command [argument...]\n"
          "       ebbtide doctor [options]\n"
          "       ebbtide stats [--json] PID|FILE\n"
          "       ebbtide top [--once | --json]\n"
          "       ebbtide --help | --version\n"
          "\n"
          "Keeps an unmodified GPU program inside a device, a host and a disk budget.\n"
          "\n"
          "  run      start a command with the library preloaded; 'ebbtide run --help' lists the options\n"
          "  doctor   say what works on this machine: hooks, driver, budgets, where blocks go\n"
          "  stats    the figures of a process, while it runs and when it has gone\n"
          "  top      all processes that use devices through the library\n"
          "\n"
          "The manual page ebbtide(1) tells the rest.\n",
          stdout);
    return CLI_OK;
}

static bool is_later(const char *name)
{
    static const char *const later[] = {"report", NULL};

    for (const char *const *known = later; *known; known++)
        if (strcmp(name, *known) == 0)
            return true;
    return false;
}

int main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : NULL;

    if (!name)
        return cli_fail("no subcommand; try 'ebbtide --help'");
    if (strcmp(name, "run") == 0)
        return cli_run(argv + 2);
    if (strcmp(name, "doctor") == 0)
        return cli_doctor(argv + 2);
    if (strcmp(name, "stats") == 0)
        return cli_stats(argv + 2);
    if (strcmp(name, "top") == 0)
        return cli_top(argv + 2);
    if (strcmp(name, "--help") == 0)
        return help();
    if (strcmp(name, "--version") == 0) {
        puts("ebbtide " EBBTIDE_VERSION "\n" VERSIONS_TEXT);
        return CLI_OK;
    }
    if (is_later(name))
        return cli_fail("'%s' is not in this version", name);
    return cli_fail("no subcommand '%s'; try 'ebbtide --help'", name);
}
