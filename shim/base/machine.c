/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - see machine.h. */
#include "base/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/log.h"

/* Whole small file as text. False when there is none. */
static bool read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return false;
    length = read(fd, buf, size - 1);
    close(fd);
    if (length <= 0)
        return false;
    buf[length] = 0;
    return true;
}

/* The files of one version of cgroups. */
struct version {
    const char *folder, *limit, *used, *inactive, *active;
};

static const struct version version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                         "memory.usage_in_bytes", "\ntotal_inactive_file ",
                                         "\ntotal_active_file "};
static const struct version version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "\ninactive_file ",
                                         "\nactive_file "};

/* The group on the way up whose limit is the least. */
struct group {
    const struct version *version; /* NULL: none has a limit */
    bool is_unknown;               /* a file is there that could not be opened */
    uint64_t limit_bytes;
    char path[600];
};

static uint64_t number_of(const char *text)
{
    uint64_t number = 0;

    for (; *text >= '0' && *text <= '9' && number < UINT64_MAX / 16; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return number;
}

uint64_t machine_number(const char *folder, const char *file, uint64_t none)
{
    char name[700], text[32];

    log_print(name, sizeof(name), "%s/%s", folder, file);
    if (!read_text(name, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
        return none;
    return number_of(text);
}

/* A list such as "0-1,3" as bits. */
static uint64_t nodes_in(const char *root, const char *file)
{
    static const char digits[] = "0123456789";
    char name[200], text[256];
    const char *at = text;
    uint64_t nodes = 0;

    log_print(name, sizeof(name), "%s/sys/devices/system/node/%s", root, file);
    if (!read_text(name, text, sizeof(text)))
        return 0;
    while (*at >= '0' && *at <= '9') {
        uint64_t first = number_of(at), last = first;

        at += strspn(at, digits);
        if (*at == '-')
            last = number_of(++at);
        for (uint64_t node = first; node <= last && node < 63; node++)
            nodes |= (uint64_t)1 << node;
        at += strspn(at, digits);
        at += *at == ',';
    }
    return nodes;
}

uint64_t machine_nodes(const char *root)
{
    return nodes_in(root, "has_memory") & nodes_in(root, "has_cpu");
}

/* Look at a group and all above it; `path` is cut as it goes. */
static void walk_up(char *path, size_t root_length, const struct version *version, struct group *least)
{
    for (;;) {
        uint64_t limit_bytes = machine_number(path, version->limit, UINT64_MAX);
        char *slash;

        if (limit_bytes < least->limit_bytes) {
            least->limit_bytes = limit_bytes;
            least->version = version;
            log_print(least->path, sizeof(least->path), "%s", path);
        }
        slash = strrchr(path, '/');
        if (!slash || (size_t)(slash - path) < root_length)
            return;
        *slash = 0;
    }
}

/* One line of /proc/self/cgroup: "0::/path" or "N:memory:/path". */
static void look_at_line(const char *root, const char *line, struct group *least)
{
    const char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : 0;
    const struct version *version = &version_1;
    char path[600];

    if (!group || strlen(group) > 400 || strlen(root) > 100)
        return;
    if (group == names + 1)
        version = &version_2;
    else if (strncmp(names + 1, "memory:", 7))
        return;
    /* The topmost one has no name of its own. */
    log_print(path, sizeof(path), "%s%s%s", root, version->folder, group[2] ? group + 1 : "");
    walk_up(path, strlen(root) + strlen(version->folder), version, least);
}

static struct group group_of(const char *root)
{
    struct group least = {.limit_bytes = UINT64_MAX};
    char name[200], text[4096], *line, *rest;

    log_print(name, sizeof(name), "%s/proc/self/cgroup", root);
    int before = errno;

    errno = 0;
    if (!read_text(name, text, sizeof(text))) {
        least.is_unknown = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        errno = before;
        return least;
    }
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(0, "\n", &rest))
        look_at_line(root, line, &least);
    return least;
}

/* Not by sysconf, which need not get by without malloc: an allocation may have led here. */
static uint64_t machine_ram_bytes(void)
{
    struct sysinfo info;

    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

uint64_t machine_most_bytes(void)
{
    struct sysinfo info;

    return sysinfo(&info) == 0 ? ((uint64_t)info.totalram + info.totalswap) * info.mem_unit : UINT64_MAX;
}

static uint64_t memory_under(const struct group *group)
{
    uint64_t ram_bytes = machine_ram_bytes();

    if (group->is_unknown)
        return 0;
    return group->limit_bytes < ram_bytes ? group->limit_bytes : ram_bytes;
}

uint64_t machine_memory_bytes(const char *root)
{
    const struct group group = group_of(root);

    return memory_under(&group);
}

static uint64_t figure_in(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? number_of(at + strlen(name)) : 0;
}

/* What the kernel would drop before anybody dies of it does not count. */
static uint64_t group_used(const struct group *group)
{
    char name[700], text[8192];
    uint64_t used_bytes = machine_number(group->path, group->version->used, 0), cached_bytes;

    log_print(name, sizeof(name), "%s/memory.stat", group->path);
    if (!read_text(name, text, sizeof(text)))
        return used_bytes;
    cached_bytes = figure_in(text, group->version->inactive) + figure_in(text, group->version->active);
    return used_bytes > cached_bytes ? used_bytes - cached_bytes : 0;
}

/* Millionths of the last ten seconds in which some task waited for memory: "some avg10=1.23 ...". */
static uint32_t stalled_in(const char *folder, const char *file)
{
    char name[700], text[256];
    const char *at, *point;

    log_print(name, sizeof(name), "%s/%s", folder, file);
    if (!read_text(name, text, sizeof(text)) || !(at = strstr(text, "some avg10=")))
        return 0;
    at += strlen("some avg10=");
    point = strchr(at, '.');
    return (uint32_t)(number_of(at) * 10000 +
                      (point && point < at + 4 ? number_of(point + 1) % 100 * 100 : 0));
}

void machine_look(const char *root, struct machine *out)
{
    struct group group = group_of(root);
    char proc[200];

    *out = (struct machine){.memory_bytes = memory_under(&group), .limit_bytes = UINT64_MAX};
    log_print(proc, sizeof(proc), "%s/proc/pressure", root);
    if (group.version && group.limit_bytes < machine_ram_bytes()) {
        out->limit_bytes = group.limit_bytes;
        out->used_bytes = group_used(&group);
    }
    out->stalled_ppm = group.version == &version_2 && out->limit_bytes != UINT64_MAX
                           ? stalled_in(group.path, "memory.pressure")
                           : stalled_in(proc, "memory");
}
