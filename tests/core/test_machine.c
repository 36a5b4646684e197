/* SPDX-License-Identifier: Apache-2.0 */
/* test_machine.c - what cgroups of both versions and pressure stall information say. */
#include "base/machine.h"

#include <criterion/criterion.h>

#include "machine_files.h"

#define MIB ((uint64_t)1 << 20)

static const char *root;
static struct machine machine;

static void start(void)
{
    root = machine_files_init();
}

TestSuite(machine, .init = start, .fini = machine_files_finish);

static void look(void)
{
    machine_look(root, &machine);
}

Test(machine, without_any_file_nothing_is_known)
{
    look();
    cr_expect_eq(machine.limit_bytes, UINT64_MAX);
    cr_expect_eq(machine.used_bytes, 0);
    cr_expect_eq(machine.stalled_ppm, 0);
}

Test(machine, group_of_version_2_is_told_without_its_cached_files)
{
    machine_files_write("/proc/self/cgroup", "0::/a/b\n");
    machine_files_write("/sys/fs/cgroup/a/b/memory.max", "1073741824\n");
    machine_files_write("/sys/fs/cgroup/a/b/memory.current", "900000000\n");
    machine_files_write(
        "/sys/fs/cgroup/a/b/memory.stat",
        "anon 1\nfile 5\ninactive_anon 7\nactive_anon 8\ninactive_file 200000000\nactive_file 100000000\n");
    machine_files_write(
        "/sys/fs/cgroup/a/b/memory.pressure",
        "some avg10=12.34 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    machine_files_write("/proc/pressure/memory", "some avg10=99.00 avg60=0.00 avg300=0.00 total=1\n");
    look();
    cr_expect_eq(machine.limit_bytes, 1024 * MIB);
    cr_expect_eq(machine.used_bytes, 600000000);
    cr_expect_eq(machine.stalled_ppm, 123400);
}

Test(machine, least_limit_on_the_way_up_holds_with_the_use_of_that_group)
{
    machine_files_write("/proc/self/cgroup", "0::/a/b\n");
    machine_files_write("/sys/fs/cgroup/a/b/memory.max", "max\n");
    machine_files_write("/sys/fs/cgroup/a/b/memory.current", "5\n");
    machine_files_write("/sys/fs/cgroup/a/memory.max", "1073741824\n");
    machine_files_write("/sys/fs/cgroup/a/memory.current", "77\n");
    look();
    cr_expect_eq(machine.limit_bytes, 1024 * MIB);
    cr_expect_eq(machine.used_bytes, 77);
}

Test(machine, group_of_version_1_is_told_and_the_stalls_of_the_machine)
{
    machine_files_write("/proc/self/cgroup", "9:name=systemd:/x\n4:memory:/job\n0::/\n");
    machine_files_write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1073741824\n");
    machine_files_write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000\n");
    machine_files_write("/sys/fs/cgroup/memory/job/memory.stat",
                        "cache 9\ninactive_file 1\ntotal_inactive_file 100\ntotal_active_file 200\n");
    machine_files_write("/proc/pressure/memory", "some avg10=1.05 avg60=0.00 avg300=0.00 total=1\n");
    look();
    cr_expect_eq(machine.limit_bytes, 1024 * MIB);
    cr_expect_eq(machine.used_bytes, 700);
    cr_expect_eq(machine.stalled_ppm, 10500);
}

Test(machine, limit_above_the_memory_there_is_is_none)
{
    machine_files_write("/proc/self/cgroup", "0::/a\n");
    machine_files_write("/sys/fs/cgroup/a/memory.max", "1000000000000000000\n");
    machine_files_write("/sys/fs/cgroup/a/memory.current", "900000000\n");
    look();
    cr_expect_eq(machine.limit_bytes, UINT64_MAX);
    cr_expect_eq(machine.used_bytes, 0);
}

Test(machine, garbage_is_no_figure)
{
    machine_files_write("/proc/self/cgroup", "0::/a\nnonsense\n:::\n");
    machine_files_write("/sys/fs/cgroup/a/memory.max", "many\n");
    machine_files_write("/proc/pressure/memory", "some of it\n");
    look();
    cr_expect_eq(machine.limit_bytes, UINT64_MAX);
    cr_expect_eq(machine.stalled_ppm, 0);
}

Test(machine, nodes_are_those_with_memory_and_processors)
{
    cr_expect_eq(machine_nodes(root), 0);
    machine_files_write("/sys/devices/system/node/has_memory", "0-3,8,62-70\n");
    machine_files_write("/sys/devices/system/node/has_cpu", "0,2-3,62-63\n");
    cr_expect_eq(machine_nodes(root), 0xd | (uint64_t)1 << 62);
    machine_files_write("/sys/devices/system/node/has_memory", "\n");
    cr_expect_eq(machine_nodes(root), 0);
}
