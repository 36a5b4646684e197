/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include "failure.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    char *path; /* of a folder: with a slash at the end, so that paths compare as their files' do */
    uint64_t bytes;
};

struct list {
    struct file *files;
    size_t count, room;
};

struct files {
    struct list list;
    uint64_t listed_bytes, wanted_bytes;
    size_t at;       /* the file being read */
    uint64_t offset; /* in it */
    int fd;          /* of it; -1: not opened, or not possible */
};

static void list_add(struct list *list, char *path, uint64_t bytes)
{
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 64;
        list->files = realloc(list->files, list->room * sizeof(*list->files));
        if (!list->files)
            failure_exit(FAILURE_OUT_OF_MEMORY, "realloc", "out of memory");
    }
    list->files[list->count++] = (struct file){path, bytes};
}

static void list_clear(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].path);
    free(list->files);
}

static int file_compare(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

/* What is directly in a folder whose path ends in a slash: regular files with content, and folders. */
static struct list folder_list(const char *folder)
{
    struct list list = {0};
    DIR *dir = opendir(folder);
    struct dirent *entry;
    struct stat status;

    /* A folder that cannot be read has no files for us. */
    while (dir && (entry = readdir(dir))) {
        char *path;

        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
            continue;
        if (!S_ISDIR(status.st_mode) && !(S_ISREG(status.st_mode) && status.st_size > 0))
            continue;
        if (asprintf(&path, "%s%s%s", folder, entry->d_name, S_ISDIR(status.st_mode) ? "/" : "") < 0)
            failure_exit(FAILURE_OUT_OF_MEMORY, "asprintf", "out of memory");
        list_add(&list, path, (uint64_t)status.st_size);
    }
    if (dir)
        closedir(dir);
    if (list.count)
        qsort(list.files, list.count, sizeof(*list.files), file_compare);
    return list;
}

static void folder_walk(struct files *files, const char *folder)
{
    struct list list = folder_list(folder);

    for (size_t i = 0; i < list.count && files->listed_bytes < files->wanted_bytes; i++) {
        struct file *file = &list.files[i];

        if (file->path[strlen(file->path) - 1] == '/') {
            folder_walk(files, file->path);
            continue;
        }
        list_add(&files->list, file->path, file->bytes);
        files->listed_bytes += file->bytes;
        file->path = NULL;
    }
    list_clear(&list);
}

struct files *files_open(const char *const *folders, int count, uint64_t wanted_bytes)
{
    struct files *files = failure_malloc(sizeof(*files));
    struct list roots = {0};

    *files = (struct files){.wanted_bytes = wanted_bytes, .fd = -1};
    for (int i = 0; i < count; i++) {
        size_t length = strlen(folders[i]);
        char *path;

        if (asprintf(&path, "%s%s", folders[i], length && folders[i][length - 1] == '/' ? "" : "/") < 0)
            failure_exit(FAILURE_OUT_OF_MEMORY, "asprintf", "out of memory");
        list_add(&roots, path, 0);
    }
    qsort(roots.files, roots.count, sizeof(*roots.files), file_compare);
    for (size_t i = 0; i < roots.count; i++)
        folder_walk(files, roots.files[i].path);
    list_clear(&roots);
    if (!files->list.count)
        failure_exit(FAILURE_OTHER, count ? folders[0] : "folders", "no readable files");
    return files;
}

/* Reads from the current file; what it no longer has is zero. */
static void file_read(struct files *files, char *data, size_t bytes)
{
    size_t done = 0;
    ssize_t got;

    if (!files->offset)
        files->fd = open(files->list.files[files->at].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (done < bytes && files->fd >= 0) {
        got = pread(files->fd, data + done, bytes - done, (off_t)(files->offset + done));
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    memset(data + done, 0, bytes - done);
}

void files_read(struct files *files, void *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        uint64_t left = files->list.files[files->at].bytes - files->offset;
        size_t now = bytes - done < left ? bytes - done : (size_t)left;

        file_read(files, (char *)data + done, now);
        done += now;
        files->offset += now;
        if (now < left)
            continue;
        if (files->fd >= 0)
            close(files->fd);
        files->fd = -1;
        files->offset = 0;
        files->at = (files->at + 1) % files->list.count;
    }
}

void files_close(struct files *files)
{
    if (files->fd >= 0)
        close(files->fd);
    list_clear(&files->list);
    free(files);
}
