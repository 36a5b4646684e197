/* SPDX-License-Identifier: Apache-2.0 */
/* host_maps.c - what a range is mapped to, as /proc/self/maps tells (proc(5)). See host_state.h. */
#include "host/host_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"

static uint64_t read_hex(const char **at)
{
    uint64_t value = 0;

    for (;; (*at)++) {
        char c = **at;

        if (c >= '0' && c <= '9')
            value = value * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

static const char *past_word(const char *at)
{
    while (*at && *at != ' ')
        at++;
    while (*at == ' ')
        at++;
    return at;
}

/* Look at one line: `start-end perms offset dev inode   name`, the numbers in hexadecimal but for the inode. False: seen
 * enough. */
static bool check_line(const char *at, uint64_t *from, uint64_t end, int *out_error)
{
    uint64_t start = read_hex(&at), until;
    bool is_private, is_anonymous;

    at++;
    until = read_hex(&at);
    at++;
    is_private = at[0] && at[1] && at[2] && at[3] == 'p';
    at = past_word(past_word(past_word(at)));
    is_anonymous = at[0] == '0' && (at[1] == ' ' || at[1] == 0);
    at = past_word(at);
    /* A stack grows by faults of its own; [vdso] and the like are the kernel's. */
    if (*at && strcmp(at, "[heap]") != 0 && strncmp(at, "[anon:", 6) != 0)
        is_anonymous = false;
    if (until <= *from)
        return true;
    if (start > *from || !is_private || !is_anonymous)
        return false;
    *from = until;
    if (until < end)
        return true;
    *out_error = 0;
    return false;
}

int host_maps_check(uint64_t first, uint64_t end)
{
    char text[8192];
    size_t used = 0;
    bool more = true;
    int error = -EINVAL, file;

    if (first >= end)
        return 0;
    file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    while (more) {
        ssize_t length = read(file, text + used, sizeof(text) - 1 - used);
        char *line = text, *newline;

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            error = -errno;
        if (length <= 0)
            break;
        used += (size_t)length;
        text[used] = 0;
        while (more && (newline = strchr(line, '\n'))) {
            *newline = 0;
            more = check_line(line, &first, end, &error);
            line = newline + 1;
        }
        used -= (size_t)(line - text);
        memmove(text, line, used);
    }
    close(file);
    return error;
}

#define USUAL_MOST 65530 /* Linux's own default */

uint64_t host_maps_most;

uint64_t host_maps_limit(void)
{
    if (!host_maps_most)
        host_maps_most = machine_number("/proc/sys/vm", "max_map_count", USUAL_MOST);
    return host_maps_most;
}
