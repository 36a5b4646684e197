/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - see machine.h. */
#include "machine.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Whole small file as text. False when there is none. */
static int read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return 0;
    length = read(fd, buf, size - 1);
    close(fd);
    if (length <= 0)
        return 0;
    buf[length] = 0;
    return 1;
}

/* A limit file holds a number, or a word for none. */
static uint64_t limit_of(const char *path)
{
    char text[32];
    uint64_t bytes = 0;

    if (!read_text(path, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
        return UINT64_MAX;
    for (const char *at = text; *at >= '0' && *at <= '9' && bytes < UINT64_MAX / 16; at++)
        bytes = bytes * 10 + (uint64_t)(*at - '0');
    return bytes;
}

/* The smallest limit on the way from a cgroup to the root; `path` is cut as it goes. */
static uint64_t walk_up(char *path, size_t root_length, const char *file)
{
    uint64_t least = UINT64_MAX;
    char name[600];

    for (;;) {
        char *slash;
        uint64_t limit;

        log_print(name, sizeof(name), "%s/%s", path, file);
        limit = limit_of(name);
        least = limit < least ? limit : least;
        slash = strrchr(path, '/');
        if (!slash || (size_t)(slash - path) < root_length)
            return least;
        *slash = 0;
    }
}

/* One line of /proc/self/cgroup: "0::/path" or "N:memory:/path". */
static uint64_t limit_of_line(const char *line)
{
    static const char v2_root[] = "/sys/fs/cgroup", v1_root[] = "/sys/fs/cgroup/memory";
    const char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : 0;
    char path[512];

    if (!group || strlen(group) > 400)
        return UINT64_MAX;
    if (group == names + 1) {
        log_print(path, sizeof(path), "%s%s", v2_root, group + 1);
        return walk_up(path, sizeof(v2_root) - 1, "memory.max");
    }
    if (strncmp(names + 1, "memory:", 7))
        return UINT64_MAX;
    log_print(path, sizeof(path), "%s%s", v1_root, group + 1);
    return walk_up(path, sizeof(v1_root) - 1, "memory.limit_in_bytes");
}

uint64_t machine_memory_bytes(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    char text[4096], *line, *rest;

    if (!read_text("/proc/self/cgroup", text, sizeof(text)))
        return bytes;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(0, "\n", &rest)) {
        uint64_t limit = limit_of_line(line);

        bytes = limit < bytes ? limit : bytes;
    }
    return bytes;
}
