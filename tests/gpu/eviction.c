/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels and cuBLAS over blocks that move at random between launches, wherever they lie: the results
 * must be those of a run that moves nothing, to the bit. PyTorch under the same moves: real/torch_eviction.py.
 */
#include "block.h"
#include "kernels.h"

#include "../programs/random.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LAYERS = 6,
    BLOCKS = 2 * LAYERS + 1, /* activations 0 to LAYERS, weights behind them */
    ROUNDS = 5,
};

struct world {
    struct kernels kernels;
    struct block blocks[BLOCKS];
    uint64_t words, moves;
};

/* cuBLAS by its symbols, as it is not there to build with. */
struct cublas {
    void *library, *handle;
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*sgemm)(void *handle, int transa, int transb, int m, int n, int k, const float *alpha,
                 const float *a, int lda, const float *b, int ldb, const float *beta, float *c, int ldc);
};

static bool cublas_open(struct cublas *cublas)
{
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};

    for (unsigned i = 0; i < 3 && !cublas->library; i++)
        cublas->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!cublas->library)
        return false;
    *(void **)&cublas->create = dlsym(cublas->library, "cublasCreate_v2");
    *(void **)&cublas->destroy = dlsym(cublas->library, "cublasDestroy_v2");
    *(void **)&cublas->sgemm = dlsym(cublas->library, "cublasSgemm_v2");
    return cublas->create && cublas->destroy && cublas->sgemm && cublas->create(&cublas->handle) == 0;
}

/* Seed 0 moves nothing and brings every block back to the device. */
static void move_some(struct world *world, uint64_t seed, uint64_t step)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct block *block = &world->blocks[i];
        enum place to = block->place;

        if (!seed)
            to = PLACE_DEVICE;
        else if (random_at(seed, step * BLOCKS + i) % 4 == 0)
            to = block->place == PLACE_DEVICE ? PLACE_HOST : PLACE_DEVICE;
        world->moves += to != block->place;
        if (to != block->place)
            block_move(block, to);
    }
}

static void launch_layer(struct world *world, unsigned layer)
{
    CUdeviceptr out = world->blocks[layer + 1].address, in = world->blocks[layer].address;
    CUdeviceptr weights = world->blocks[LAYERS + 1 + layer].address;
    void *arguments[] = {&out, &in, &weights, &world->words};

    measure_must(kernels_launch(world->kernels.layer, world->words, arguments, NULL), "layer");
}

/* n x n floats fill half of a block at most; the sum is as cuBLAS does it. */
static void multiply(const struct world *world, const struct cublas *cublas, unsigned layer)
{
    const float one = 1, zero = 0;
    const int n = 512;
    int status =
        cublas->sgemm(cublas->handle, 0, 0, n, n, n, &one, (float *)(uintptr_t)world->blocks[layer].address,
                      n, (float *)(uintptr_t)world->blocks[LAYERS + 1 + layer].address, n, &zero,
                      (float *)(uintptr_t)world->blocks[layer + 1].address, n);

    if (status) {
        fprintf(stderr, "cublasSgemm: status %d\n", status);
        _Exit(MEASURE_BROKEN);
    }
}

static void fill_floats(struct world *world, float *buffer)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        for (uint64_t j = 0; j < world->words * 2; j++)
            buffer[j] = (float)(random_at(i, j) >> 40) / (1 << 24) - 0.5F;
        MUST(cuMemcpyHtoD, (world->blocks[i].address, buffer, world->words * 8));
    }
    MUST(cuCtxSynchronize, ());
}

/* All layers, three times over, moves before every launch; returns a digest of the last activations. */
static uint64_t pass(struct world *world, const struct cublas *cublas, uint64_t seed, bool spoilt,
                     uint64_t *buffer)
{
    uint64_t digest = 0;

    move_some(world, 0, 0);
    if (cublas)
        fill_floats(world, (float *)buffer);
    for (unsigned i = 0; i < BLOCKS && !cublas; i++)
        kernels_fill(&world->kernels, world->blocks[i].address, world->words, i);
    for (unsigned step = 0; step < 3 * LAYERS; step++) {
        move_some(world, seed, step);
        if (spoilt && step == LAYERS)
            MUST(cuMemsetD8, (world->blocks[LAYERS + 1].address, 0x77, 1));
        if (cublas)
            multiply(world, cublas, step % LAYERS);
        else
            launch_layer(world, step % LAYERS);
        if (step % LAYERS == LAYERS - 1 && !cublas)
            MUST(cuMemcpyDtoD, (world->blocks[0].address, world->blocks[LAYERS].address, world->words * 8));
    }
    MUST(cuMemcpyDtoH, (buffer, world->blocks[LAYERS].address, world->words * 8));
    for (uint64_t i = 0; i < world->words; i++)
        digest = (digest ^ buffer[i]) * 0x100000001b3U + (digest >> 29);
    return digest;
}

/* How many of the passes under moves differ from the one without. */
static unsigned compare(struct world *world, const struct cublas *cublas, const char *name, uint64_t *buffer)
{
    uint64_t plain = pass(world, cublas, 0, false, buffer);
    unsigned different = 0;
    char row[64];

    for (unsigned round = 0; round < ROUNDS; round++)
        different += pass(world, cublas, round + 1, false, buffer) != plain;
    snprintf(row, sizeof(row), "%s_identical", name);
    measure_row(row, ROUNDS - different, "of_5");
    return different;
}

int main(int argc, char **argv)
{
    struct cublas cublas = {0};
    struct world world = {0};
    unsigned different;
    uint64_t *buffer;
    bool noticed, has_cublas;
    CUdevice device;

    measure_begin(argc, argv, "are results bit-identical while blocks move at random?");
    device = measure_open();
    kernels_load(&world.kernels);
    for (unsigned i = 0; i < BLOCKS; i++)
        block_create(&world.blocks[i], device, measure_size(16 << 20, 2 << 20));
    world.words = measure_size(world.blocks[0].bytes / 8, 64 << 10);
    buffer = malloc(world.blocks[0].bytes);
    if (!buffer)
        return MEASURE_BROKEN;
    different = compare(&world, NULL, "kernels", buffer);
    noticed = pass(&world, NULL, 1, true, buffer) != pass(&world, NULL, 1, false, buffer);
    measure_word("control_spoilt_byte", noticed ? "noticed" : "missed", "control");
    has_cublas = !measure_simulated && cublas_open(&cublas);
    if (has_cublas) {
        different += compare(&world, &cublas, "cublas", buffer);
        cublas.destroy(cublas.handle);
    } else {
        measure_word("cublas", "absent", "library");
    }
    measure_row("moves", (double)world.moves, "moves");
    for (unsigned i = 0; i < BLOCKS; i++)
        block_destroy(&world.blocks[i]);
    free(buffer);
    return measure_verdict(different == 0 && noticed, false, "%u of %u passes differ after %llu moves%s",
                           different, has_cublas ? 2U * ROUNDS : ROUNDS + 0U, (unsigned long long)world.moves,
                           has_cublas ? "" : "; cuBLAS was not there");
}
