/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options options;

static void refuse(const char *name, const char *value, const char *forms)
{
    fprintf(stderr, "simgpu: %s=%s: expected %s\n", name, value, forms);
    options.valid = false;
}

/* A byte count: digits, then K M G T as powers of 1024, with or without iB. */
static void read_size(const char *name, size_t *size)
{
    const char *value = getenv(name);
    char *end;
    size_t number, shift = 0;

    if (!value)
        return;
    number = strtoull(value, &end, 10);
    if (end != value && *end) {
        const char *unit = strchr("KMGT", *end);

        shift = unit ? 10 * (size_t)(unit - "KMGT" + 1) : 0;
        end += unit ? (strcmp(end + 1, "iB") == 0 ? 3 : 1) : 0;
    }
    if (end == value || *end || !number || number > SIZE_MAX >> shift)
        refuse(name, value, "a size such as 512M or 8G");
    else
        *size = number << shift;
}

static void read_number(const char *name, double least, double most, double *number)
{
    const char *value = getenv(name);
    char *end;
    double read;

    if (!value)
        return;
    read = strtod(value, &end);
    if (end == value || *end || !(read >= least && read <= most))
        refuse(name, value, "a number in range");
    else
        *number = read;
}

static double number_or(const char *name, double least, double most, double otherwise)
{
    double number = otherwise;

    read_number(name, least, most, &number);
    return number;
}

/* SIMGPU_VMM_NS: a number for all mapping calls, or five in the order of enum vmm_call with commas between. */
static void read_vmm(void)
{
    const char *value = getenv("SIMGPU_VMM_NS"), *at = value;
    unsigned count = 0;
    char *end = NULL;

    for (; at && count < VMM_CALLS; at = *end == ',' ? end + 1 : NULL, count++) {
        double ns = strtod(at, &end);

        if (end == at || !(ns >= 0 && ns <= 1e12))
            break;
        options.vmm_ns[count] = (uint64_t)ns;
    }
    if (at || (value && (*end || (count != 1 && count != VMM_CALLS))))
        refuse("SIMGPU_VMM_NS", value, "a number, or five with commas between");
    for (unsigned i = 1; count == 1 && i < VMM_CALLS; i++)
        options.vmm_ns[i] = options.vmm_ns[0];
}

/* A variable that takes one word. */
static bool has_word(const char *name, const char *word)
{
    const char *value = getenv(name);

    if (!value || !*value)
        return false;
    if (strcmp(value, word) != 0)
        refuse(name, value, word);
    return true;
}

/* A compute capability, `8.6`, as 86. */
static int capability(void)
{
    const char *value = getenv("SIMGPU_COMPUTE_CAPABILITY");
    int major, minor, end = 0;

    if (!value || !*value)
        return 90;
    if (sscanf(value, "%2d.%1d%n", &major, &minor, &end) == 2 && !value[end] && major > 0 && minor >= 0)
        return 10 * major + minor;
    refuse("SIMGPU_COMPUTE_CAPABILITY", value, "a compute capability such as 9.0");
    return 90;
}

static enum host_numa host_numa(void)
{
    const char *value = getenv("SIMGPU_HOST_NUMA");

    if (value && strcmp(value, "anywhere") == 0)
        return HOST_NUMA_ANYWHERE;
    return number_or("SIMGPU_HOST_NUMA", 0, 1, 1) > 0 ? HOST_NUMA_ALL : HOST_NUMA_NONE;
}

static const char *text(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

void options_read(void)
{
    options.valid = true;
    options.memory_bytes = (size_t)8 << 30;
    read_size("SIMGPU_MEMORY", &options.memory_bytes);
    options.devices = (int)number_or("SIMGPU_DEVICES", 0, DEVICES_MAX, 1);
    options.link_gbps = number_or("SIMGPU_LINK_GBPS", 0, 1e6, 0);
    /* What a link carries of zero-copy traffic; to be measured. */
    options.zero_copy_gbps = number_or("SIMGPU_ZEROCOPY_GBPS", 0, 1e6, 0.85 * options.link_gbps);
    options.pin_gbps = number_or("SIMGPU_PIN_GBPS", 0, 1e6, 0);
    options.kernel_ns = (uint64_t)number_or("SIMGPU_KERNEL_NS", 0, 1e12, 0);
    options.kernel_scale = number_or("SIMGPU_KERNEL_SCALE", 0, 1e6, 0);
    options.fault_ns = (uint64_t)number_or("SIMGPU_FAULT_NS", 0, 1e12, 0);
    read_vmm();
    options.host_numa = host_numa();
    options.nodes = (int)number_or("SIMGPU_NODES", 1, NODES_MAX, 1);
    options.node_bytes = SIZE_MAX;
    read_size("SIMGPU_NODE_MEMORY", &options.node_bytes);
    options.host_needs_context = number_or("SIMGPU_HOST_NEEDS_CONTEXT", 0, 1, 0) > 0;
    options.rdma_refused = has_word("SIMGPU_RDMA", "refuse");
    options.pageable = number_or("SIMGPU_PAGEABLE", 0, 1, 0) > 0;
    options.managed = number_or("SIMGPU_MANAGED", 0, 1, 1) > 0;
    options.vmm = number_or("SIMGPU_VMM", 0, 1, 1) > 0;
    options.driver_version = (int)number_or("SIMGPU_DRIVER_VERSION", 2000, 13000, 13000);
    options.capability = capability();
    options.hide_tensors = number_or("SIMGPU_HIDE_TENSORS", 0, 1, 0) > 0;
    options.stuck = number_or("SIMGPU_STUCK", 0, 1, 0) > 0;
    options.cancel = number_or("SIMGPU_CANCEL", 0, 1, 0) > 0;
    read_size("SIMGPU_SCRATCH", &options.scratch_bytes);
    options.fail = text("SIMGPU_FAIL");
    options.ptx = text("SIMGPU_PTX");
    options.report = text("SIMGPU_REPORT");
    options.shared = text("SIMGPU_SHARED");
}
