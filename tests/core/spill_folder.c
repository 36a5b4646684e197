/* SPDX-License-Identifier: Apache-2.0 */
#include "spill_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    exit(1);
}

void spill_init(struct spill *spill, const char *size)
{
    strcpy(spill->path, "/var/tmp/ebbtide-test-XXXXXX");
    must(mkdtemp(spill->path) != NULL, spill->path);
    options_init(&spill->options);
    spill->options.spill_dir.count = 0;
    spill_add(spill, spill->path, size);
}

void spill_add(struct spill *spill, const char *path, const char *size)
{
    struct spill_dirs *dirs = &spill->options.spill_dir;
    struct spill_dir *dir = &dirs->of[dirs->count++];
    memset(dir, 0, sizeof *dir);
    strcpy(dir->path, path);
    if (!size)
        return;
    dir->has_budget = true;
    must(size_parse(size, &dir->budget) == 0, size);
}

unsigned spill_names(const struct spill *spill)
{
    DIR *dir = opendir(spill->path);
    must(dir != NULL, spill->path);
    unsigned names = 0;
    for (const struct dirent *entry; (entry = readdir(dir));)
        names += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return names;
}

void spill_finish(struct spill *spill)
{
    must(rmdir(spill->path) == 0, spill->path);
}
