/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - see reader.h. */
#include "live/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "live/folder.h"
#include "live/who.h"

/* A writer that is at a copy just now is soon at rest. */
enum {
    TRIES = 8
};

static ssize_t read_all(int file, void *memory, size_t bytes)
{
    size_t at = 0;
    ssize_t got;

    while (at < bytes && (got = pread(file, (char *)memory + at, bytes - at, (off_t)at)) != 0) {
        if (got < 0 && errno != EINTR)
            return -errno;
        at += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)at;
}

static bool is_this_boot(const char *boot)
{
    char here[LIVE_BOOT_BYTES];

    live_boot(here);
    return strcmp(boot, here) == 0;
}

static enum live_state state_of(int file, const struct live_view *view)
{
    if (view->now.flags & LIVE_ENDED)
        return LIVE_ENDS;
    return live_page_is_held(file) && is_this_boot(view->head.boot) ? LIVE_RUNS : LIVE_KILLED;
}

static int read_file(int file, struct live_view *out, enum live_state *out_state)
{
    struct live_page *page = malloc(sizeof(*page));
    struct stat st;
    int error = page ? 0 : -ENOMEM;

    if (!error && (fstat(file, &st) < 0 || !S_ISREG(st.st_mode)))
        error = -EINVAL;
    for (unsigned tries = 0; !error && tries < TRIES; tries++) {
        ssize_t length = read_all(file, page, sizeof(*page));

        error = length < 0 ? (int)length : live_view(page, (size_t)length, out);
        if (error || !out->is_cut)
            break;
    }
    if (!error)
        *out_state = state_of(file, out);
    free(page);
    return error;
}

int live_read(int folder, const char *name, struct live_view *out, enum live_state *out_state)
{
    int file = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC), error;

    if (file < 0)
        return -errno;
    error = read_file(file, out, out_state);
    close(file);
    return error;
}

/* ---- of a process -------------------------------------------------------------------------------------------------- */

struct search {
    unsigned long pid;
    bool found, runs;
    unsigned long long started_s;
    int folder;
    char name[LIVE_NAME_BYTES];
};

static bool look_at_name(int folder, const char *name, void *arg)
{
    struct search *search = arg;
    unsigned long long started_s;
    char *rest;
    bool runs;
    int file;

    if (strtoul(name, &rest, 10) != search->pid)
        return true;
    started_s = strtoull(rest + 1, NULL, 10);
    file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    runs = file >= 0 && live_page_is_held(file);
    if (file >= 0)
        close(file);
    if (search->found && (runs < search->runs || (runs == search->runs && started_s <= search->started_s)))
        return true;
    search->found = true;
    search->runs = runs;
    search->started_s = started_s;
    search->folder = folder;
    log_print(search->name, sizeof(search->name), "%s", name);
    return true;
}

int live_read_process(const char *asked, int pid, struct live_view *out, enum live_state *out_state)
{
    struct search search = {.pid = (unsigned long)pid};
    char path[LIVE_PATH_BYTES];
    int folder[LIVE_FOLDERS], error = -ESRCH;
    unsigned count = 0;

    for (; count < LIVE_FOLDERS && live_folder_path(count, asked, path); count++) {
        folder[count] = live_folder_open(count, asked, false);
        if (folder[count] >= 0)
            live_folder_each(folder[count], look_at_name, &search);
    }
    if (search.found)
        error = live_read(search.folder, search.name, out, out_state);
    while (count)
        if (folder[--count] >= 0)
            close(folder[count]);
    return error;
}
