/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/report.h"

#include "device/capacity.h"
#include "device/device.h"
#include "driver/handle.h"
#include "machine/identity.h"
#include "memory/array.h"
#include "memory/graph_memory.h"
#include "memory/host.h"
#include "memory/memory.h"
#include "memory/space.h"
#include "memory/vmm.h"
#include "stream/hazard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned sticky_errors;

void report_sticky(void)
{
    sticky_errors++;
}

/* What the memory in use at the end is used for. */
static void write_stores(FILE *file, const struct device *device)
{
    static const char *const words[STORE_COUNT] = {"host",  "native",   "managed", "pool",
                                                   "array", "physical", "graph",   "managed_host"};

    fprintf(file, "\"final_kinds\": {");
    for (unsigned i = 0; i < STORE_COUNT; i++)
        fprintf(file, "%s\"%s\": %zu", i ? ", " : "", words[i], device->stores[i]);
    fprintf(file, "}");
}

static void write_usage(FILE *file, const char *key, const struct usage *usage)
{
    fprintf(file, "\"%s\": {\"device\": %zu, \"host\": %zu}", key, usage->device_bytes, usage->host_bytes);
}

static void write_managed(FILE *file, const struct device *device)
{
    const struct managed_usage *managed = &device->managed;

    fprintf(
        file,
        "\"managed\": {\"allocated_bytes\": %zu, \"held_bytes\": %zu, \"host_bytes\": %zu, "
        "\"prefetched_pages\": %zu, \"faulted_pages\": %zu, \"remote_pages\": %zu, \"evicted_pages\": %zu}",
        managed->allocated_bytes, device->stores[STORE_MANAGED], device->stores[STORE_MANAGED_HOST],
        managed->prefetched_pages, managed->faulted_pages, managed->remote_pages, managed->evicted_pages);
}

static void write_spent(FILE *file, const struct device *device)
{
    static const char *const words[SPENT_KINDS] = {"to_device", "from_device", "faults", "kernels",
                                                   "mapping"};

    fprintf(file, ", \"time_ns\": {");
    for (unsigned i = 0; i < SPENT_KINDS; i++)
        fprintf(file, "%s\"%s\": %llu", i ? ", " : "", words[i],
                (unsigned long long)atomic_load(&device->spent_ns[i]));
    fprintf(file, "}");
}

static void write_shared(FILE *file, const struct device *device)
{
    size_t used, peak;

    if (capacity_shared(device, &used, &peak))
        fprintf(file, ", \"shared\": {\"used_bytes\": %zu, \"peak_bytes\": %zu}", used, peak);
}

/* What the program has not given back. Contexts and what goes with them (streams, modules) are not counted.
 */
static size_t leaks(void)
{
    return memory_count(MEMORY_NATIVE) + memory_count(MEMORY_POOLED) + memory_count(MEMORY_MANAGED) +
           memory_count(MEMORY_PINNED) + memory_count(MEMORY_REGISTERED) + memory_count(MEMORY_IMPORTED) +
           physical_count() + space_reservations() + array_count() + graph_memory_count();
}

static void write_all(FILE *file)
{
    const char *comma = "";

    fprintf(file, "{\"calls\": {");
    for (unsigned i = 0; i < entry_count; i++) {
        if (entry_calls(i)) {
            fprintf(file, "%s\"%s\": %llu", comma, entries[i].symbol, (unsigned long long)entry_calls(i));
            comma = ", ";
        }
    }
    fprintf(file, "},\n \"devices\": [");
    for (int i = 0; i < device_count; i++) {
        char uuid[UUID_TEXT];

        identity_text(devices[i].index, uuid);
        fprintf(file, "%s{\"uuid\": \"%s\", ", i ? ", " : "", uuid);
        write_usage(file, "peak_bytes", &devices[i].peak);
        fprintf(file, ", ");
        write_usage(file, "final_bytes", &devices[i].used);
        fprintf(file, ", ");
        write_stores(file, &devices[i]);
        fprintf(file, ", ");
        write_managed(file, &devices[i]);
        write_spent(file, &devices[i]);
        write_shared(file, &devices[i]);
        fprintf(file, "}");
    }
    fprintf(file,
            "],\n \"pinned_bytes\": %zu, \"registered_bytes\": %zu, \"hazards\": %u, \"sticky_errors\": %u, "
            "\"leaks\": %zu}\n",
            host_bytes(MEMORY_PINNED), host_bytes(MEMORY_REGISTERED), hazard_count(), sticky_errors, leaks());
}

/* The file's name, with the process's number for %p, and that of the file to write it to first. False: too long. */
static bool name_files(char *name, char *path, size_t bytes)
{
    const char *number = strstr(options.report, "%p");
    int before = number ? (int)(number - options.report) : 0;
    int length = number
                     ? snprintf(name, bytes, "%.*s%ld%s", before, options.report, (long)getpid(), number + 2)
                     : snprintf(name, bytes, "%s", options.report);

    return (size_t)length < bytes && (size_t)snprintf(path, bytes, "%s.%ld", name, (long)getpid()) < bytes;
}

void report_write(void)
{
    char name[4096], path[4096];
    FILE *file;
    bool good;

    if (!options.report || !sim.initialized || sim.forked || !name_files(name, path, sizeof path))
        return;
    file = fopen(path, "we");
    if (file) {
        write_all(file);
        good = !ferror(file);
        if (fclose(file) == 0 && good && rename(path, name) == 0)
            return;
    }
    fprintf(stderr, "simgpu: SIMGPU_REPORT=%s: %s\n", options.report, strerror(errno));
}
