/* SPDX-License-Identifier: Apache-2.0 */
/* ebbtide top: who uses the devices through the library, from the pages of all processes. */
#include "cli/cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/top_lines.h"
#include "cli/top_list.h"
#include "cli/top_screen.h"
#include "live/folder.h"
#include "live/report.h"

enum {
    FILTER_BYTES = 128
};

static int help(void)
{
    fputs("usage: ebbtide top [--once | --json] [--all] [--filter text] [--live-dir dir]\n"
          "\n"
          "Who uses the devices through the library: memory against budgets, what moves, who waits.\n"
          "\n"
          "  --once      print the list once; rates are those of a second\n"
          "  --json      the figures of all, each as 'ebbtide stats --json' has them\n"
          "  --all       processes that have gone, too\n"
          "  --filter    those whose command has this text\n"
          "  --live-dir  where the pages are\n"
          "\n"
          "Keys: d h m w p sort by device, host, moved bytes, waiting, process; arrows and enter open one, "
          "esc goes\n"
          "back; / filters, a shows those that have gone, q leaves. NO_COLOR is honoured.\n",
          stdout);
    return CLI_OK;
}

static int print_once(struct top_list *list)
{
    const struct timespec second = {.tv_sec = 1};
    char line[TOP_LINE_BYTES];

    nanosleep(&second, NULL);
    if (!top_list_read(list))
        return cli_fail("out of memory");
    top_line_head(line, TOP_WIDTH, list);
    puts(line);
    top_line_columns(line, TOP_WIDTH);
    puts(line);
    for (size_t i = 0; i < list->count; i++) {
        top_line_row(line, TOP_WIDTH, &list->rows[i]);
        puts(line);
    }
    return ferror(stdout) ? cli_fail("cannot write: %s", strerror(errno)) : CLI_OK;
}

struct json {
    struct sheet sheet;
    const struct top_list *list;
    bool any;
};

static bool put_page(int folder, const char *name, void *arg)
{
    static const char *const words[] = {
        [LIVE_RUNS] = "runs", [LIVE_ENDS] = "ended", [LIVE_KILLED] = "killed"};
    static struct live_view view;
    struct json *json = arg;
    struct report report = {.who = &view.head.who, .now = &view.now, .look = view.look};
    enum live_state state;

    if (live_read(folder, name, &view, &state) < 0 || (state != LIVE_RUNS && !json->list->dead_too) ||
        !strstr(view.head.who.command, json->list->filter))
        return true;
    sheet_put(&json->sheet, "%s{\"state\": \"%s\", \"figures\":\n", json->any ? ",\n" : "", words[state]);
    report_json(&json->sheet, &report);
    sheet_put(&json->sheet, "}");
    json->any = true;
    return true;
}

static int print_json(const struct top_list *list)
{
    struct json json = {.sheet.fd = STDOUT_FILENO, .list = list};
    char path[LIVE_PATH_BYTES];

    sheet_put(&json.sheet, "{\"version\": 1, \"processes\": [");
    for (unsigned i = 0; live_folder_path(i, list->folder, path); i++) {
        int folder = live_folder_open(i, list->folder, false);

        if (folder < 0)
            continue;
        live_folder_each(folder, put_page, &json);
        close(folder);
    }
    sheet_put(&json.sheet, "]}\n");
    return sheet_flush(&json.sheet) < 0 ? cli_fail("cannot write: %s", strerror(-json.sheet.error)) : CLI_OK;
}

int cli_top(char *const *argument)
{
    static char filter[FILTER_BYTES];
    struct top_list list = {.folder = cli_live_folder(), .filter = filter};
    bool once = false, as_json = false;
    int status;

    for (; *argument; argument++) {
        if (strcmp(*argument, "--help") == 0)
            return help();
        if (strcmp(*argument, "--once") == 0)
            once = true;
        else if (strcmp(*argument, "--json") == 0)
            as_json = true;
        else if (strcmp(*argument, "--all") == 0)
            list.dead_too = true;
        else if (strcmp(*argument, "--live-dir") == 0 && argument[1])
            list.folder = *++argument;
        else if (strcmp(*argument, "--filter") == 0 && argument[1])
            snprintf(filter, sizeof(filter), "%s", *++argument);
        else
            return cli_fail("top does not take '%s'; try 'ebbtide top --help'", *argument);
    }
    if (as_json)
        return print_json(&list);
    if (!once && !isatty(STDOUT_FILENO))
        return cli_fail("top wants a terminal; --once and --json do not");
    if (!top_list_read(&list))
        return cli_fail("out of memory");
    status = once ? print_once(&list) : top_screen(&list, filter, sizeof(filter));
    top_list_finish(&list);
    return status;
}
