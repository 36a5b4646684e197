/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.c - see doctor.h. */
#include "base/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/size.h"
#include "ledger/busy.h"
#include "ledger/limit.h"
#include "ledger/live.h"
#include "ledger/state.h"
#include "live/folder.h"

static void show_device(FILE *out, unsigned ordinal)
{
    char name[24];

    limit_ready(ordinal);
    snprintf(name, sizeof(name), "device %u", ordinal);
    doctor_line(out, name, "budget %s of %s", size_text(core.devices[ordinal].configured_bytes).text,
                size_text(core.devices[ordinal].total_bytes).text);
}

/* Where blocks can go, and whether that is all that was asked for. */
static const char *residency(bool *out_good)
{
    *out_good = true;
    if (core.options->allocator == ALLOCATOR_NATIVE)
        return "nothing moves, it is accounted (EBBTIDE_ALLOCATOR=native)";
    if (core_places())
        return "evicted blocks stay at their address: the driver sends managed memory; none goes to disk";
    if (core.mapped)
        return "evicted blocks stay mapped: host memory maps at a device address";
    if (core.options->residency == RESIDENCY_STRICT)
        return "evicted blocks are unmapped (EBBTIDE_RESIDENCY=strict)";
    *out_good = false;
    return "host memory cannot be mapped at a device address: only blocks that may be unmapped can move";
}

static bool show_devices(FILE *out)
{
    bool is_good;

    for (unsigned i = 0; i < core.device->count; i++)
        show_device(out, i);
    doctor_line(out, "residency", "%s", residency(&is_good));
    return is_good;
}

/* Faults of the kernel on our memory: what keeps registered host memory usable by read(2) and write(2). */
static void show_userfaultfd(FILE *out)
{
    long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    doctor_line(out, "userfaultfd", "%s",
                fd >= 0 ? "yes" : "no: registered host memory stays in memory (vm.unprivileged_userfaultfd)");
    if (fd >= 0)
        close((int)fd);
}

static bool show_folder(FILE *out, const struct spill_dir *dir, const struct size_spec *budget)
{
    struct statvfs stat;
    int file = open(dir->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), direct;

    if (statvfs(dir->path, &stat) < 0 || access(dir->path, W_OK) < 0) {
        doctor_line(out, "spill folder", "%s: cannot be written", dir->path);
        return false;
    }
    uint64_t free_bytes = (uint64_t)stat.f_bavail * stat.f_frsize;

    direct = open(dir->path, O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);
    doctor_line(out, "spill folder", "%s: %s of %s free%s%s", dir->path,
                size_text(size_resolve(dir->has_budget ? &dir->budget : budget, free_bytes)).text,
                size_text(free_bytes).text, file < 0 ? ", no nameless files" : "",
                direct < 0 ? ", no direct I/O" : "");
    if (file >= 0)
        close(file);
    if (direct >= 0)
        close(direct);
    return true;
}

static bool show_disk(FILE *out, const struct options *options)
{
    static const char *const words[] = {"registered", "auto", "always", "off"};
    bool is_good = true;

    doctor_line(out, "disk", "%s", words[options->disk]);
    for (unsigned i = 0; options->disk != DISK_OFF && i < options->spill_dir.count; i++)
        is_good = show_folder(out, &options->spill_dir.of[i], &options->disk_budget) && is_good;
    return is_good;
}

static void show_live(FILE *out, const struct options *options)
{
    char path[LIVE_PATH_BYTES];
    int folder = options->live == LIVE_OFF ? -ECANCELED : live_folder_for_page(options->live_dir, path);

    if (folder >= 0)
        doctor_line(out, "live page", "%s", path);
    else if (folder == -ECANCELED)
        doctor_line(out, "live page", "none (EBBTIDE_LIVE=off)");
    else
        doctor_line(out, "live page", "none: %s cannot be written: %s (EBBTIDE_LIVE_DIR)",
                    *options->live_dir ? options->live_dir : "/dev/shm", strerror(-folder));
    if (folder >= 0)
        close(folder);
}

bool doctor_core(FILE *out, const struct options *options)
{
    bool is_good;

    live_hide();
    is_good = core_active() && show_devices(out);

    doctor_line(out, "host", "budget %s of %s, the smaller of RAM and cgroup",
                size_text(size_resolve(&options->host_budget, machine_memory_bytes(""))).text,
                size_text(machine_memory_bytes("")).text);
    is_good = show_disk(out, options) && is_good;
    show_live(out, options); /* helps, not needs */
    show_userfaultfd(out);
    return is_good;
}
