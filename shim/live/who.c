/* SPDX-License-Identifier: Apache-2.0 */
/* who.c - see who.h. */
#include "live/who.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void live_who(struct live_who *out)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, out->command, sizeof(out->command));

    if (fd >= 0)
        close(fd);
    out->pid = (int32_t)getpid();
    if (length < 1)
        length = 1;
    for (ssize_t i = 0; i < length; i++)
        out->command[i] = out->command[i] ? out->command[i] : ' ';
    memset(out->command + length - 1, 0, sizeof(out->command) - (size_t)(length - 1));
}

void live_boot(char boot[LIVE_BOOT_BYTES])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, boot, LIVE_BOOT_BYTES - 1);

    if (fd >= 0)
        close(fd);
    while (length > 0 && boot[length - 1] == '\n')
        length--;
    boot[length < 0 ? 0 : length] = '\0';
}
