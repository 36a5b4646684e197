/* SPDX-License-Identifier: Apache-2.0 */
/* ebbtide stats: the figures of a process, from its page: one that runs, or one that has gone. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/options.h"
#include "live/reader.h"
#include "live/report.h"

extern char **environ;

static int help(void)
{
    fputs("usage: ebbtide stats [--json] [--live-dir dir] PID|FILE\n"
          "\n"
          "The table of --stats, of a process that runs or of one that has gone, however it ended.\n"
          "\n"
          "  PID         the process; its page is looked for where the library puts it\n"
          "  FILE        the page itself\n"
          "  --json      the figures as in the file of --stats-json\n"
          "  --live-dir  where the pages are\n",
          stdout);
    return CLI_OK;
}

static int fail_to_read(const char *name, int error)
{
    switch (error) {
    case -ESRCH:
        return cli_fail(
            "process %s has no page: it never used a device with the library, its EBBTIDE_LIVE_DIR is "
            "another one, or it is another user's",
            name);
    case -EINVAL:
        return cli_fail("%s is no page of a process", name);
    case -EPROTONOSUPPORT:
        return cli_fail("%s is a page of another version of ebbtide", name);
    case -ENODATA:
        return cli_fail("%s has been cut short: no figures are left in it", name);
    default:
        return cli_fail("cannot read %s: %s", name, strerror(-error));
    }
}

/* A number is a process. */
static int find(const char *name, const char *folder, struct live_view *view, enum live_state *state)
{
    char *rest;
    long pid;

    errno = 0;
    pid = strtol(name, &rest, 10);
    if (*name < '0' || *name > '9' || *rest)
        return live_read(AT_FDCWD, name, view, state);
    if (errno || pid > INT32_MAX)
        return -ESRCH;
    return live_read_process(folder, (int)pid, view, state);
}

const char *cli_live_folder(void)
{
    static struct options options;

    options_init(&options);
    options_parse(&options, (const char *const *)environ, NULL, NULL);
    return options.live_dir;
}

/* What the figures alone do not say. */
static void say_state(struct sheet *sheet, const struct live_view *view, enum live_state state)
{
    static const char *const words[] = {[LIVE_RUNS] = "runs",
                                        [LIVE_ENDS] = "has ended",
                                        [LIVE_KILLED] = "was killed, or has become another program"};

    sheet_text(sheet, view->head.who.command, strlen(view->head.who.command));
    sheet_put(sheet, ": %s%s\n", words[state],
              view->is_cut && state != LIVE_RUNS
                  ? ", in the middle of an update: these are the figures before it"
                  : "");
}

static int show(const struct live_view *view, enum live_state state, bool as_json)
{
    struct report report = {.who = &view->head.who, .now = &view->now, .look = view->look};
    struct sheet sheet = {.fd = STDOUT_FILENO};

    if (as_json)
        report_json(&sheet, &report);
    else {
        say_state(&sheet, view, state);
        report_table(&sheet, &report);
    }
    return sheet_flush(&sheet) < 0 ? cli_fail("cannot write: %s", strerror(-sheet.error)) : CLI_OK;
}

int cli_stats(char *const *argument)
{
    static struct live_view view;
    const char *folder = cli_live_folder();
    enum live_state state;
    bool as_json = false;
    int error;

    for (; *argument && strncmp(*argument, "--", 2) == 0; argument++) {
        if (strcmp(*argument, "--help") == 0)
            return help();
        if (strcmp(*argument, "--json") == 0)
            as_json = true;
        else if (strcmp(*argument, "--live-dir") == 0 && argument[1])
            folder = *++argument;
        else
            return cli_fail("stats has no option '%s'; try 'ebbtide stats --help'", *argument);
    }
    if (!*argument || argument[1])
        return cli_fail("stats wants one process or file; try 'ebbtide stats --help'");
    error = find(*argument, folder, &view, &state);
    return error < 0 ? fail_to_read(*argument, error) : show(&view, state, as_json);
}
