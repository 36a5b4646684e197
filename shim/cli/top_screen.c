/* SPDX-License-Identifier: Apache-2.0 */
/* top_screen.c - see top_screen.h. */
#include "cli/top_screen.h"

#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/top_lines.h"

enum {
    PERIOD_MS = 1000,
    HEAD_LINES = 2,
    ESCAPE = 27,
    CTRL_L = 12 /* draw all of it again, where something else has written there */
};

enum colour {
    PLAIN,
    ROOMY,
    NEARLY,
    FULL
};

static struct {
    struct top_list *list;
    char *filter;
    size_t filter_bytes, filter_length;
    bool filtering;   /* keys go to the filter */
    size_t at, first; /* the chosen row, and the uppermost one */
    bool open;        /* one process is shown, from this line on */
    size_t open_first, open_lines;
    int open_pid;
    bool has_colours;
} top;

static struct live_view view;

static void draw_line(int row, const char *line, attr_t attributes)
{
    move(row, 0);
    clrtoeol();
    attron(attributes);
    addnstr(line, COLS);
    attroff(attributes);
}

/* ---- the list ------------------------------------------------------------------------------------------------------ */

static enum colour colour_of(const struct top_row *row)
{
    double part = row->budget_bytes && row->budget_bytes != UINT64_MAX
                      ? (double)row->used_bytes / (double)row->budget_bytes
                      : 0;

    return part >= 0.95 ? FULL : part >= 0.85 ? NEARLY : ROOMY;
}

static void draw_row(int at, const struct top_row *row, bool chosen)
{
    char line[TOP_LINE_BYTES];

    top_line_row(line, (unsigned)COLS, row);
    draw_line(at, line, chosen ? A_REVERSE : A_NORMAL);
    if (top.has_colours)
        mvchgat(at, TOP_BAR_AT, TOP_BAR, chosen ? A_REVERSE : A_NORMAL, (short)colour_of(row), NULL);
}

static size_t rows_shown(void)
{
    return LINES > HEAD_LINES + 1 ? (size_t)LINES - HEAD_LINES - 1 : 1;
}

static void draw_list(void)
{
    const struct top_list *list = top.list;
    char line[TOP_LINE_BYTES];

    if (top.at >= list->count)
        top.at = list->count ? list->count - 1 : 0;
    if (top.first > top.at)
        top.first = top.at;
    if (top.at >= top.first + rows_shown())
        top.first = top.at - rows_shown() + 1;
    top_line_head(line, (unsigned)COLS, list);
    draw_line(0, line, A_BOLD);
    top_line_columns(line, (unsigned)COLS);
    draw_line(1, line, A_REVERSE);
    for (size_t i = 0; i < rows_shown(); i++) {
        int at = HEAD_LINES + (int)i;

        if (top.first + i < list->count)
            draw_row(at, &list->rows[top.first + i], top.first + i == top.at);
        else
            draw_line(at, !list->count && !i ? "        nobody uses a device with the library" : "",
                      A_NORMAL);
    }
}

/* ---- one process --------------------------------------------------------------------------------------------------- */

static void draw_detail(const char *line, void *arg)
{
    size_t *at = arg;

    if (*at >= top.open_first && *at < top.open_first + (size_t)LINES - 1)
        draw_line((int)(*at - top.open_first), line, *at ? A_NORMAL : A_BOLD);
    ++*at;
}

static void draw_process(void)
{
    enum live_state state;
    size_t lines = 0;

    if (live_read_process(top.list->folder, top.open_pid, &view, &state) < 0) {
        top.open = false;
        draw_list();
        return;
    }
    erase();
    top_lines_of_process((unsigned)COLS, &view, state, draw_detail, &lines);
    top.open_lines = lines;
}

static void draw(void)
{
    char line[TOP_LINE_BYTES];

    if (top.open)
        draw_process();
    else
        draw_list();
    if (top.filtering)
        snprintf(line, sizeof(line), "filter: %s_", top.filter);
    else
        snprintf(line, sizeof(line), "%s",
                 top.open ? "esc back  arrows scroll  q quit"
                          : "d h m w p sort  enter open  / filter  a all  q quit");
    draw_line(LINES - 1, line, A_DIM);
    refresh();
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static void type_filter(int key)
{
    if (key == '\n' || key == KEY_ENTER || key == ESCAPE)
        top.filtering = false;
    else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && top.filter_length)
        top.filter[--top.filter_length] = '\0';
    else if (key >= ' ' && key < 127 && top.filter_length + 1 < top.filter_bytes) {
        top.filter[top.filter_length++] = (char)key;
        top.filter[top.filter_length] = '\0';
    }
    top_list_read(top.list);
}

static void sort_by(int key)
{
    static const char keys[TOP_ORDERS + 1] = "dhmwp";
    const char *found = strchr(keys, key);

    if (found)
        top.list->order = (enum top_order)(found - keys);
}

static void move_by(long lines)
{
    size_t *at = top.open ? &top.open_first : &top.at;
    size_t last = top.open ? top.open_lines : top.list->count;

    if (lines < 0)
        *at = *at > (size_t)-lines ? *at - (size_t)-lines : 0;
    else if (*at + (size_t)lines < last)
        *at += (size_t)lines;
}

static void open_process(void)
{
    if (top.at >= top.list->count)
        return;
    top.open = true;
    top.open_first = 0;
    top.open_pid = top.list->rows[top.at].who.pid;
}

/* False: leave. */
static bool obey(int key)
{
    if (top.filtering && key != ERR && key != KEY_RESIZE && key != CTRL_L) {
        type_filter(key);
        return true;
    }
    switch (key) {
    case 'q':
        return false;
    case KEY_UP:
    case 'k':
        move_by(-1);
        break;
    case KEY_DOWN:
    case 'j':
        move_by(1);
        break;
    case KEY_PPAGE:
        move_by(-10);
        break;
    case KEY_NPAGE:
        move_by(10);
        break;
    case '\n':
    case KEY_ENTER:
        open_process();
        break;
    case ESCAPE:
        top.open = false;
        break;
    case '/':
        top.filtering = !top.open;
        break;
    case CTRL_L:
        clearok(curscr, TRUE);
        break;
    case 'a':
        top.list->dead_too = !top.list->dead_too;
        break;
    default:
        if (key > 0 && key < 128)
            sort_by(key);
    }
    return true;
}

static void start_colours(void)
{
    const char *none = getenv("NO_COLOR");

    top.has_colours = !(none && *none) && has_colors() && start_color() == OK;
    if (!top.has_colours)
        return;
    use_default_colors();
    init_pair(ROOMY, COLOR_GREEN, -1);
    init_pair(NEARLY, COLOR_YELLOW, -1);
    init_pair(FULL, COLOR_RED, -1);
}

int top_screen(struct top_list *list, char *filter, size_t filter_bytes)
{
    SCREEN *screen;
    bool goes_on = true;

    setlocale(LC_ALL, "");
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return cli_fail("this terminal (TERM) cannot be drawn on; 'ebbtide top --once' needs none");
    top.list = list;
    top.filter = filter;
    top.filter_bytes = filter_bytes;
    top.filter_length = strlen(filter);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    start_colours();
    timeout(PERIOD_MS);
    while (goes_on) {
        draw();
        int key = getch();

        goes_on = obey(key);
        if (key == ERR || key == 'a' || strchr("dhmwp", key > 0 && key < 128 ? key : ' '))
            top_list_read(list);
    }
    endwin();
    delscreen(screen);
    return CLI_OK;
}
