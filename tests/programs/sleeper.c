/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that sleeps between its turns: each of its weights lies at addresses of its own. To sleep it saves some on the host and
 * forgets the others, and gives all the memory back; to wake it maps fresh memory at the same addresses, and fills what it forgot
 * anew. Several models take turns, so that one wakes as the next one sleeps.
 */
#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "peak.h"
#include "physical.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

enum {
    WEIGHTS = 6 /* of a model */
};

struct weight {
    CUdeviceptr address;
    uint64_t bytes, words, number;
    CUmemGenericAllocationHandle handle; /* 0: asleep */
    void *saved;                         /* NULL: it is made again */
};

struct model {
    struct weight weight[WEIGHTS];
};

struct work {
    uint64_t models, rounds, seed, awake;
    struct model *model;
    CUstream stream;
    CUfunction fill, mix, fold;
};

static void fill(struct work *work, struct weight *weight)
{
    driver_launch(work->fill, weight->words,
                  (void *[]){&weight->address, &weight->words, &work->seed, &weight->number}, work->stream);
}

static void wake(struct work *work, struct model *model)
{
    for (unsigned i = 0; i < WEIGHTS; i++) {
        struct weight *weight = &model->weight[i];

        if (weight->handle)
            continue;
        weight->handle = physical_map(weight->address, weight->bytes, i % 2);
        if (weight->saved)
            DRIVER(cuMemcpyHtoD, (weight->address, weight->saved, weight->bytes));
        else
            fill(work, weight);
    }
}

/* Every second weight is saved, after it was first awake. */
static void sleep_deeply(struct work *work, struct model *model)
{
    DRIVER(cuStreamSynchronize, (work->stream));
    for (unsigned i = 0; i < WEIGHTS; i++) {
        struct weight *weight = &model->weight[i];

        if (!weight->handle)
            continue;
        if (i % 2 == 0 && !weight->saved)
            weight->saved = failure_malloc(weight->bytes);
        if (weight->saved)
            DRIVER(cuMemcpyDtoH, (weight->saved, weight->address, weight->bytes));
        physical_unmap(weight->address, weight->bytes, weight->handle);
        weight->handle = 0;
    }
}

/* A turn: each weight is mixed with the next, and the result folded into the first. */
static void turn(struct work *work, struct model *model)
{
    for (unsigned i = 0; i + 1 < WEIGHTS; i++) {
        struct weight *one = &model->weight[i], *next = &model->weight[i + 1], *first = &model->weight[0];
        uint64_t words = one->words < next->words ? one->words : next->words;

        driver_launch(work->mix, words,
                      (void *[]){&next->address, &one->address, &first->address, &words, &first->words},
                      work->stream);
        words = words < first->words ? words : first->words;
        driver_launch(work->fold, words, (void *[]){&first->address, &next->address, &words}, work->stream);
    }
}

static void begin(struct work *work, uint64_t bytes)
{
    DRIVER(cuStreamCreate, (&work->stream, CU_STREAM_NON_BLOCKING));
    work->model = failure_malloc(work->models * sizeof(*work->model));
    memset(work->model, 0, work->models * sizeof(*work->model));
    for (uint64_t m = 0; m < work->models; m++)
        for (unsigned i = 0; i < WEIGHTS; i++) {
            struct weight *weight = &work->model[m].weight[i];

            weight->number = m * WEIGHTS + i;
            weight->bytes =
                (bytes * (1 + random_at(work->seed, weight->number) % 3) + (2 << 20) - 1) >> 21 << 21;
            weight->words = weight->bytes / sizeof(uint64_t);
            weight->address = physical_reserve(weight->bytes);
        }
}

static void run(struct work *work)
{
    for (uint64_t round = 0; round < work->rounds; round++) {
        for (uint64_t m = 0; m < work->models; m++) {
            wake(work, &work->model[m]);
            turn(work, &work->model[m]);
            /* So many stay awake as the machine has memory for, by its maker's word. */
            sleep_deeply(work, &work->model[(m + work->models - work->awake) % work->models]);
        }
        progress_show("rounds", round + 1, work->rounds);
    }
}

static uint64_t finish(struct work *work)
{
    struct digest *digest = digest_create();

    for (uint64_t m = 0; m < work->models; m++) {
        wake(work, &work->model[m]);
        turn(work, &work->model[m]);
        DRIVER(cuStreamSynchronize, (work->stream));
        for (unsigned i = 0; i < WEIGHTS; i++) {
            struct weight *weight = &work->model[m].weight[i];
            void *host = failure_malloc(weight->bytes);

            DRIVER(cuMemcpyDtoH, (host, weight->address, weight->bytes));
            digest_add(digest, host, weight->bytes);
            free(host);
        }
        sleep_deeply(work, &work->model[m]);
        for (unsigned i = 0; i < WEIGHTS; i++) {
            physical_unreserve(work->model[m].weight[i].address, work->model[m].weight[i].bytes);
            free(work->model[m].weight[i].saved);
        }
    }
    DRIVER(cuStreamDestroy, (work->stream));
    free(work->model);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    struct work work = {.models = 5, .rounds = 2, .seed = 1, .awake = 3};
    uint64_t bytes = 4 << 20, hash;
    const char *image = NULL;
    const struct argument table[] = {
        {"models", "how many take turns (5)", ARGUMENT_COUNT, &work.models},
        {"awake", "how many of them do not sleep (3)", ARGUMENT_COUNT, &work.awake},
        {"weight", "size of the smallest of a model (4M)", ARGUMENT_SIZE, &bytes},
        {"rounds", "how often each has its turn (2)", ARGUMENT_COUNT, &work.rounds},
        {"seed", "of the values (1)", ARGUMENT_COUNT, &work.seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    CUmodule module;

    arguments_read(argc, argv, "Models that sleep, and wake at the addresses that they had.", NULL, table);
    driver_open();
    module = driver_load(image);
    work.fill = driver_function(module, "fill");
    work.mix = driver_function(module, "mix");
    work.fold = driver_function(module, "fold");
    begin(&work, bytes);
    run(&work);
    hash = finish(&work);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
