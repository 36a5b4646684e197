/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_pages.c - live pages with edits at random, some of them sealed anew, are read and shown, or refused: never more than that.
 *
 * The input chooses, over and over, a few edits of a good page. What is shown has no control characters.
 */
#include "cli/top_lines.h"
#include "draw.h"
#include "fuzz.h"
#include "live/page.h"
#include "live/report.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EDITS = 8,
    DEVICES = 2
};

static struct live_page good, page;
static struct live_view view;
static int nowhere = -1;

static void make_good(void)
{
    good.head.devices = DEVICES;
    strcpy(good.head.who.command, "python3 train.py");
    live_seal_head(&good.head);
    for (unsigned copy = 0; copy < 2; copy++) {
        good.now[copy].now.devices = DEVICES;
        strcpy(good.now[copy].now.account_only, "because");
        live_seal_now(&good.now[copy], copy + 1);
        for (unsigned i = 0; i < DEVICES; i++) {
            good.look[i][copy].look.kinds.of[KIND_BLOCK].tally.total = 3;
            live_seal_look(&good.look[i][copy], copy + 1);
        }
    }
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* Some bytes become others; numbers that are large or nearly so are likelier than by chance. */
static void edit(struct input *input, size_t bytes)
{
    static const uint64_t numbers[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)1 << 63, UINT32_MAX, 17};
    unsigned kind = draw(input, 4);
    size_t at = (draw(input, 65536) * 31u + draw(input, 31)) % (bytes - 64);
    size_t length = draw(input, 64);

    if (kind == 0)
        memcpy((char *)&page + at / 8 * 8, &numbers[draw(input, 7)], 8);
    else if (kind == 1)
        memset((char *)&page + at, (int)draw(input, 256), length);
    else if (kind == 2) /* near the beginning, where there is most to break */
        ((char *)&page)[at % (sizeof(page.head) + sizeof(page.now))] = (char)draw(input, 256);
    else
        ((char *)&page)[at] = (char)draw(input, 256);
}

/* Whoever wants to do harm can seal what he likes. */
static void seal(void)
{
    live_seal_head(&page.head);
    for (unsigned copy = 0; copy < 2; copy++) {
        if (page.now[copy].now.devices <= LIVE_DEVICES) /* sealing reads as many */
            live_seal_now(&page.now[copy], page.now[copy].seal.number);
        for (unsigned i = 0; i < DEVICES; i++)
            live_seal_look(&page.look[i][copy], page.look[i][copy].seal.number);
    }
}

/* A line of top is printable, and no wider than it should be. */
static void look_at_line(const char *line, void *arg)
{
    (void)arg;
    if (strlen(line) > TOP_WIDTH)
        abort();
    for (; *line; line++)
        if (*line < ' ' || *line > '~')
            abort();
}

static void show_in_top(void)
{
    struct top_row row = {.who = view.head.who, .now = view.now};
    char line[TOP_LINE_BYTES];

    row.used_bytes = view.now.device[0].budget.used_bytes;
    row.budget_bytes = view.now.device[0].configured_bytes;
    row.refused = view.now.device[0].budget.refused;
    for (unsigned i = 0; i < LIVE_MOVES; i++)
        row.rate_bytes[i] = view.now.counts.moves[i].bytes;
    row.waited_permille = (uint32_t)view.now.counts.stall_ns;
    top_line_row(line, TOP_WIDTH, &row);
    look_at_line(line, NULL);
    top_lines_of_process(TOP_WIDTH, &view, LIVE_KILLED, look_at_line, NULL);
}

static void show(void)
{
    struct report report = {.who = &view.head.who, .now = &view.now, .look = view.look};
    struct sheet sheet = {.fd = nowhere};

    report_table(&sheet, &report);
    sheet.used = 0; /* as if written */
    report_json(&sheet, &report);
    for (size_t i = 0; i < sheet.used; i++)
        if (sheet.buf[i] != '\n' && (unsigned char)sheet.buf[i] < ' ')
            abort();
    show_in_top();
}

/* In memory of its own, so that nothing behind its end is read. */
static void judge(size_t length)
{
    void *copy = malloc(length ? length : 1);

    if (!copy)
        abort();
    memcpy(copy, &page, length);
    if (live_view(copy, length, &view) == 0)
        show();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t bytes = live_page_bytes(DEVICES);
    struct input input = {data, size};

    if (nowhere < 0)
        make_good();
    while (input.size) {
        memcpy(&page, &good, bytes);
        for (unsigned edits = draw(&input, EDITS); edits; edits--)
            edit(&input, bytes);
        if (draw(&input, 2))
            seal();
        judge(draw(&input, 4) ? bytes : draw(&input, (unsigned)bytes + 1));
    }
    return 0;
}
