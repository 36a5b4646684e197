/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The negative control. To unmap what a kernel is working on must be fatal, or the drain before every
 * move would prove nothing; and with the drain no move of very many may lose a byte.
 */
#include "block.h"
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FAULTED = 10,
    UNHURT = 11,
    KEPT = 12,
    LOST = 13,
};

struct setting {
    bool drained;
    bool others; /* unmap another block than the one that is worked on */
};

static const char *setting_name(const struct setting *setting)
{
    return setting->others ? "undrained_other" : setting->drained ? "drained" : "undrained";
}

/* Starts a kernel that is still running 5 ms later, when this returns. */
static void start_long_kernel(const struct kernels *kernels, const struct block *block, CUstream stream)
{
    uint64_t rounds = kernels_rounds(kernels, block->address, block->bytes / 8, 50000000), until_ns;

    for (;; rounds *= 4) {
        kernels_churn(kernels, block->address, block->bytes / 8, rounds, stream);
        until_ns = measure_now_ns() + 5000000;
        while (measure_now_ns() < until_ns) {
            /* Not a call of the driver: nothing may wait for the kernel. */
        }
        if (cu.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
            return;
    }
}

/* A block unmapped while a kernel works on it, or after, or while it works on another one. FAULTED or UNHURT. */
static int unmap_beside_kernel(void *argument)
{
    const struct setting *setting = argument;
    struct block block, other;
    struct kernels kernels;
    char name[64];
    CUstream stream;
    CUresult result;
    CUdevice device = measure_open();

    kernels_load(&kernels);
    block_create(&block, device, 2 << 20);
    block_create(&other, device, 2 << 20);
    MUST(cuMemsetD8, (block.address, 1, block.bytes));
    MUST(cuStreamCreate, (&stream, CU_STREAM_NON_BLOCKING));
    start_long_kernel(&kernels, &block, stream);
    if (setting->drained)
        MUST(cuCtxSynchronize, ());
    result = cu.cuMemUnmap(setting->others ? other.address : block.address, block.bytes);
    snprintf(name, sizeof(name), "%s_unmap", setting_name(setting));
    measure_result(name, result);
    result = cu.cuCtxSynchronize();
    snprintf(name, sizeof(name), "%s_synchronize", setting_name(setting));
    measure_result(name, result);
    return result == CUDA_SUCCESS ? UNHURT : FAULTED;
}

struct campaign {
    uint64_t moves_max, deadline_ns;
};

/* Work, drain, copy, remap, again and again; every word must have seen every addition. */
static int moves(void *argument)
{
    const struct campaign *campaign = argument;
    uint64_t started_ns, count, done = 0, wrong;
    struct kernels kernels;
    struct block block;

    block_create(&block, measure_open(), 2 << 20);
    kernels_load(&kernels);
    count = block.bytes / 8;
    kernels_fill(&kernels, block.address, count, 1);
    started_ns = measure_now_ns();
    while (done < campaign->moves_max && measure_now_ns() - started_ns < campaign->deadline_ns) {
        kernels_add(&kernels, block.address, count, 1);
        block_move(&block, block.place == PLACE_DEVICE ? PLACE_HOST : PLACE_DEVICE);
        done++;
    }
    wrong = kernels_wrong(&kernels, block.address, count, 1, done);
    measure_row("drained_moves", (double)done, "moves");
    measure_row("drained_moves_per_s", (double)done * 1e9 / (double)(measure_now_ns() - started_ns), "1/s");
    measure_row("drained_wrong", (double)wrong, "words");
    block_destroy(&block);
    return wrong ? LOST : KEPT;
}

struct outcomes {
    unsigned faulted, unhurt; /* the rest gave no answer */
};

static void try_setting(struct setting *setting, struct outcomes *outcomes)
{
    int end = measure_isolated(setting_name(setting), unmap_beside_kernel, setting);

    outcomes->faulted += end == FAULTED;
    outcomes->unhurt += end == UNHURT;
}

int main(int argc, char **argv)
{
    struct setting undrained = {false, false}, drained = {true, false}, others = {false, true};
    struct outcomes undrained_ends = {0}, drained_ends = {0}, others_ends = {0};
    unsigned repetitions;
    struct campaign campaign;
    int lost;

    measure_begin(argc, argv, "is unmapping without a drain fatal, and with one never?");
    repetitions = (unsigned)measure_size(2, 1);
    campaign = (struct campaign){measure_size(100000, 300), measure_size(12, 5) * 1000000000U};
    for (unsigned i = 0; i < repetitions; i++) {
        try_setting(&undrained, &undrained_ends);
        try_setting(&drained, &drained_ends);
        try_setting(&others, &others_ends);
    }
    lost = measure_isolated("drained_moves", moves, &campaign);
    measure_row("undrained_faults", undrained_ends.faulted, "children");
    measure_row("undrained_unhurt", undrained_ends.unhurt, "children");
    measure_row("drained_faults", drained_ends.faulted, "children");
    measure_row("drained_unhurt", drained_ends.unhurt, "children");
    measure_row("undrained_other_faults", others_ends.faulted, "children");
    measure_row("undrained_other_unhurt", others_ends.unhurt, "children");
    measure_row("children", repetitions, "of_each");
    /* One that died or gave up is no answer, and no contradiction either. */
    if (undrained_ends.unhurt + drained_ends.faulted + others_ends.faulted == 0 && lost != LOST &&
        (undrained_ends.faulted + drained_ends.unhurt + others_ends.unhurt < 3 * repetitions || lost != KEPT))
        return MEASURE_BROKEN;
    return measure_verdict(
        undrained_ends.faulted == repetitions && drained_ends.unhurt == repetitions &&
            others_ends.unhurt == repetitions && lost == KEPT,
        false,
        "%u of %u faulted without a drain, %u of %u lived with one, %u of %u while another block "
        "was unmapped; the moves %s",
        undrained_ends.faulted, repetitions, drained_ends.unhurt, repetitions, others_ends.unhurt,
        repetitions,
        lost == KEPT   ? "lost nothing"
        : lost == LOST ? "lost something"
                       : "gave no answer");
}
