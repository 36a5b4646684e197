/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an address is dead while its backing is exchanged, idle and while another stream computes, by
 * size and by direction; and whether calls over adjacent handles may be joined.
 */
#include "block.h"
#include "kernels.h"

#include <stdio.h>

enum {
    REPETITIONS_MAX = 11,
    ADJACENT = 8,
};

static unsigned repetitions;

/* What runs beside the swaps, in memory of its own. */
struct load {
    struct kernels kernels;
    CUstream stream;
    CUdeviceptr words;
    uint64_t count, rounds;
    unsigned overlapped, total; /* swaps that ended before the kernel did */
};

static void load_create(struct load *load)
{
    *load = (struct load){.count = measure_size(4 << 20, 64 << 10)};
    kernels_load(&load->kernels);
    MUST(cuStreamCreate, (&load->stream, CU_STREAM_NON_BLOCKING));
    MUST(cuMemAlloc, (&load->words, load->count * 8));
    MUST(cuMemsetD8, (load->words, 1, load->count * 8));
    load->rounds = kernels_rounds(&load->kernels, load->words, load->count, measure_size(20000000, 5000000));
}

static void load_destroy(struct load *load)
{
    MUST(cuStreamDestroy, (load->stream));
    MUST(cuMemFree, (load->words));
}

static void load_start(struct load *load)
{
    kernels_churn(&load->kernels, load->words, load->count, load->rounds, load->stream);
}

static void load_stop(struct load *load)
{
    load->total++;
    load->overlapped += cu.cuStreamQuery(load->stream) == CUDA_ERROR_NOT_READY;
    MUST(cuStreamSynchronize, (load->stream));
}

static void print_part(const char *name, const char *part, double *values)
{
    char full[128];

    snprintf(full, sizeof(full), "%s_%s", name, part);
    measure_samples(full, values, repetitions, "us");
}

/* Both directions at one size; `load` NULL: idle. Returns the larger median of the dead time, in µs. */
static double swaps(CUdevice device, size_t bytes, struct load *load)
{
    struct block block;
    double worst = 0;

    block_create(&block, device, bytes);
    for (int to = PLACE_HOST; to >= PLACE_DEVICE; to--) {
        double unmap[REPETITIONS_MAX], map[REPETITIONS_MAX], access[REPETITIONS_MAX], dead[REPETITIONS_MAX],
            median;
        char name[64], full[96];

        snprintf(name, sizeof(name), "to_%s_%zuMiB_%s", place_name(to), bytes >> 20, load ? "busy" : "idle");
        for (unsigned i = 0; i < repetitions; i++) {
            struct block_times times;

            measure_must(block_remap(&block, to == PLACE_HOST ? PLACE_DEVICE : PLACE_HOST, NULL), "remap");
            if (load)
                load_start(load);
            measure_must(block_remap(&block, to, &times), "remap");
            if (load)
                load_stop(load);
            unmap[i] = (double)times.unmap_ns / 1e3;
            map[i] = (double)times.map_ns / 1e3;
            access[i] = (double)times.access_ns / 1e3;
            dead[i] = (double)times.dead_ns / 1e3;
        }
        print_part(name, "unmap", unmap);
        print_part(name, "map", map);
        print_part(name, "access", access);
        snprintf(full, sizeof(full), "%s_dead", name);
        median = measure_samples(full, dead, repetitions, "us");
        worst = median > worst ? median : worst;
    }
    block_destroy(&block);
    return worst;
}

/* Grants access to what is mapped side by side, and unmaps it: in one call each, or in one for each handle. */
static CUresult grant_and_unmap(CUdeviceptr address, size_t granule, bool joined)
{
    size_t bytes = joined ? granule * ADJACENT : granule, end = granule * ADJACENT;
    const char *how = joined ? "one_call" : "each";
    CUresult result = CUDA_SUCCESS;
    uint64_t started_ns = measure_now_ns(), granted_ns, ended_ns;
    char name[64];

    for (size_t at = 0; at < end && result == CUDA_SUCCESS; at += bytes)
        result = block_grant(address + at, bytes);
    granted_ns = measure_now_ns();
    snprintf(name, sizeof(name), "adjacent_8_access_%s", how);
    measure_row(name, (double)(granted_ns - started_ns) / 1e3, "us");
    snprintf(name, sizeof(name), "adjacent_8_access_%s_result", how);
    measure_result(name, result);
    granted_ns = measure_now_ns();
    result = CUDA_SUCCESS;
    for (size_t at = 0; at < end && result == CUDA_SUCCESS; at += bytes)
        result = cu.cuMemUnmap(address + at, bytes);
    ended_ns = measure_now_ns();
    snprintf(name, sizeof(name), "adjacent_8_unmap_%s", how);
    measure_row(name, (double)(ended_ns - granted_ns) / 1e3, "us");
    snprintf(name, sizeof(name), "adjacent_8_unmap_%s_result", how);
    measure_result(name, result);
    return result;
}

/* Several handles that lie side by side, of both places. */
static void adjacent(CUdevice device, bool joined)
{
    size_t granule = block_granularity(device), bytes = granule * ADJACENT;
    CUmemGenericAllocationHandle handles[ADJACENT];
    CUdeviceptr address = block_reserve(device, bytes);
    CUresult result;

    for (unsigned i = 0; i < ADJACENT; i++) {
        measure_must(block_handle(device, i % 2 ? PLACE_HOST : PLACE_DEVICE, granule, &handles[i]),
                     "cuMemCreate");
        MUST(cuMemMap, (address + i * granule, granule, 0, handles[i], 0));
    }
    result = grant_and_unmap(address, granule, joined);
    for (unsigned i = 0; i < ADJACENT; i++) {
        if (result != CUDA_SUCCESS)
            MUST(cuMemUnmap, (address + i * granule, granule));
        MUST(cuMemRelease, (handles[i]));
    }
    MUST(cuMemAddressFree, (address, bytes));
}

int main(int argc, char **argv)
{
    size_t sizes[] = {2 << 20, 32 << 20, 128 << 20, 256 << 20};
    unsigned count = (unsigned)measure_size(4, 2);
    double worst = 0, smallest = 0, largest = 0;
    struct load load;
    CUdevice device;

    measure_begin(argc, argv, "how long is an address dead while its backing is exchanged?");
    device = measure_open();
    repetitions = (unsigned)measure_size(REPETITIONS_MAX, 5);
    load_create(&load);
    for (unsigned i = 0; i < count; i++) {
        double idle = swaps(device, sizes[i], NULL), busy = swaps(device, sizes[i], &load);

        smallest = i == 0 ? idle : smallest;
        largest = idle;
        worst = idle > worst ? idle : worst;
        worst = busy > worst ? busy : worst;
    }
    measure_row("busy_overlapped", load.overlapped, "swaps");
    measure_row("busy_total", load.total, "swaps");
    adjacent(device, false);
    adjacent(device, true);
    load_destroy(&load);
    return measure_verdict(
        worst <= 1000 && load.overlapped > load.total / 2, true,
        "dead for at most %.0f us (median), %.1f times as long at the largest size as at the "
        "smallest; %u of %u swaps ended before the kernel beside them",
        worst, largest / smallest, load.overlapped, load.total);
}
