/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors out of segments that grow: each segment has more addresses than the device has memory, and pieces of physical
 * memory, 2 MiB each in some and 20 MiB in others, behind those that are in use. A tensor lies across pieces as it comes; pieces
 * that nothing lies in any more are unmapped now and then, and given back.
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
    TENSORS_MAX = 64 /* in a segment */
};

struct tensor {
    uint64_t offset, words, number;
};

struct segment {
    CUdeviceptr base;
    uint64_t bytes, piece_bytes, pieces;
    CUmemGenericAllocationHandle *piece; /* 0: not mapped */
    struct tensor tensor[TENSORS_MAX];   /* by their offsets */
    uint64_t tensors;
    bool may_export;
};

struct work {
    uint64_t segments, rounds, seed, made;
    struct segment *segment;
    CUstream stream;
    CUfunction fill, mix, fold;
};

static uint64_t tensor_bytes(const struct tensor *tensor)
{
    return (tensor->words * sizeof(uint64_t) + 511) / 512 * 512;
}

static void segment_open(struct segment *segment, uint64_t piece_bytes, bool may_export)
{
    size_t total;

    DRIVER(cuDeviceTotalMem, (&total, 0));
    segment->piece_bytes = piece_bytes;
    segment->may_export = may_export;
    segment->pieces = (total + total / 8 + piece_bytes - 1) / piece_bytes;
    segment->bytes = segment->pieces * piece_bytes;
    segment->base = physical_reserve(segment->bytes);
    segment->piece = failure_malloc(segment->pieces * sizeof(*segment->piece));
    memset(segment->piece, 0, segment->pieces * sizeof(*segment->piece));
}

/* What a tensor would lie across is mapped. */
static void segment_back(struct segment *segment, const struct tensor *tensor)
{
    uint64_t first = tensor->offset / segment->piece_bytes;
    uint64_t last = (tensor->offset + tensor_bytes(tensor) - 1) / segment->piece_bytes;

    if (last >= segment->pieces)
        failure_exit(FAILURE_OTHER, "segment", "out of addresses");
    for (uint64_t i = first; i <= last; i++)
        if (!segment->piece[i])
            segment->piece[i] = physical_map(segment->base + i * segment->piece_bytes, segment->piece_bytes,
                                             segment->may_export);
}

/* A tensor in the first gap that is large enough; its index. */
static uint64_t tensor_make(struct segment *segment, uint64_t words, uint64_t number)
{
    struct tensor fresh = {.words = words, .number = number};
    uint64_t at = 0;

    if (segment->tensors == TENSORS_MAX)
        failure_exit(FAILURE_OTHER, "segment", "too many tensors");
    for (; at < segment->tensors && segment->tensor[at].offset - fresh.offset < tensor_bytes(&fresh); at++)
        fresh.offset = segment->tensor[at].offset + tensor_bytes(&segment->tensor[at]);
    segment_back(segment, &fresh);
    memmove(&segment->tensor[at + 1], &segment->tensor[at], (segment->tensors - at) * sizeof(fresh));
    segment->tensor[at] = fresh;
    segment->tensors++;
    return at;
}

static void tensor_drop(struct segment *segment, uint64_t at)
{
    segment->tensors--;
    memmove(&segment->tensor[at], &segment->tensor[at + 1],
            (segment->tensors - at) * sizeof(*segment->tensor));
}

/* Does anything lie in a piece? */
static bool piece_used(const struct segment *segment, uint64_t piece)
{
    for (uint64_t i = 0; i < segment->tensors; i++) {
        const struct tensor *tensor = &segment->tensor[i];

        if (tensor->offset < (piece + 1) * segment->piece_bytes &&
            tensor->offset + tensor_bytes(tensor) > piece * segment->piece_bytes)
            return true;
    }
    return false;
}

/* Pieces in which nothing lies are given back once all that was launched has ended. */
static void segment_trim(struct work *work, struct segment *segment)
{
    DRIVER(cuStreamSynchronize, (work->stream));
    for (uint64_t i = 0; i < segment->pieces; i++) {
        if (!segment->piece[i] || piece_used(segment, i))
            continue;
        physical_unmap(segment->base + i * segment->piece_bytes, segment->piece_bytes, segment->piece[i]);
        segment->piece[i] = 0;
    }
}

static CUdeviceptr address_of(const struct segment *segment, uint64_t at)
{
    return segment->base + segment->tensor[at].offset;
}

/* A tensor is folded with a mix of itself and one of another segment. */
static void advance(struct work *work, struct segment *segment, uint64_t number, const struct segment *other,
                    uint64_t with)
{
    uint64_t words, scratch, at = 0, other_words = other->tensor[with].words;
    CUdeviceptr to, from, second;

    while (segment->tensor[at].number != number)
        at++;
    words = segment->tensor[at].words;
    scratch = tensor_make(segment, words, UINT64_MAX);
    at += scratch <= at;
    to = address_of(segment, scratch);
    from = address_of(segment, at);
    second = address_of(other, with);
    driver_launch(work->mix, words, (void *[]){&to, &from, &second, &words, &other_words}, work->stream);
    driver_launch(work->fold, words, (void *[]){&from, &to, &words}, work->stream);
    tensor_drop(segment, scratch);
}

/* A tensor goes, and one of another size comes; what it has is made anew. */
static void replace(struct work *work, struct segment *segment, uint64_t at, uint64_t words)
{
    uint64_t number = work->made++, fresh;
    CUdeviceptr address;

    tensor_drop(segment, at);
    fresh = tensor_make(segment, words, number);
    address = address_of(segment, fresh);
    driver_launch(work->fill, words, (void *[]){&address, &words, &work->seed, &number}, work->stream);
}

static void begin(struct work *work, uint64_t tensors, uint64_t tensor_words)
{
    DRIVER(cuStreamCreate, (&work->stream, CU_STREAM_NON_BLOCKING));
    work->segment = failure_malloc(work->segments * sizeof(*work->segment));
    memset(work->segment, 0, work->segments * sizeof(*work->segment));
    for (uint64_t s = 0; s < work->segments; s++) {
        bool is_large = s % 3;

        segment_open(&work->segment[s], (is_large ? 20 : 2) << 20, is_large);
        for (uint64_t t = 0; t < tensors; t++) {
            uint64_t words = tensor_words * (is_large ? 5 : 1), number = work->made++, at;
            CUdeviceptr address;

            words += random_at(work->seed, number) % words;
            at = tensor_make(&work->segment[s], words, number);
            address = address_of(&work->segment[s], at);
            driver_launch(work->fill, words, (void *[]){&address, &words, &work->seed, &number},
                          work->stream);
        }
    }
}

static void run(struct work *work)
{
    for (uint64_t round = 0; round < work->rounds; round++) {
        for (uint64_t s = 0; s < work->segments; s++) {
            struct segment *segment = &work->segment[s];
            const struct segment *other = &work->segment[(s * 5 + round + 1) % work->segments];

            for (uint64_t t = 0; t < segment->tensors; t++)
                advance(work, segment, segment->tensor[t].number, other, (t + round) % other->tensors);
            if ((s + round) % 3 == 0)
                replace(work, segment, round % segment->tensors, segment->tensor[0].words / 2 + 4096);
            if ((s + round) % 2 == 0)
                segment_trim(work, segment);
        }
        progress_show("rounds", round + 1, work->rounds);
    }
}

static uint64_t finish(struct work *work)
{
    struct digest *digest = digest_create();

    DRIVER(cuStreamSynchronize, (work->stream));
    for (uint64_t s = 0; s < work->segments; s++) {
        struct segment *segment = &work->segment[s];

        while (segment->tensors) {
            uint64_t bytes = segment->tensor[0].words * sizeof(uint64_t);
            void *host = failure_malloc(bytes);

            DRIVER(cuMemcpyDtoH, (host, address_of(segment, 0), bytes));
            digest_add(digest, host, bytes);
            free(host);
            tensor_drop(segment, 0);
        }
        segment_trim(work, segment);
        physical_unreserve(segment->base, segment->bytes);
        free(segment->piece);
    }
    DRIVER(cuStreamDestroy, (work->stream));
    free(work->segment);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    struct work work = {.segments = 12, .rounds = 3, .seed = 1};
    uint64_t tensors = 4, tensor_bytes_each = 1 << 20, hash;
    const char *image = NULL;
    const struct argument table[] = {
        {"segments", "how many, two of three with pieces of 20 MiB (12)", ARGUMENT_COUNT, &work.segments},
        {"tensors", "in each (4)", ARGUMENT_COUNT, &tensors},
        {"tensor", "size of the smallest (1M)", ARGUMENT_SIZE, &tensor_bytes_each},
        {"rounds", "how often each is changed (3)", ARGUMENT_COUNT, &work.rounds},
        {"seed", "of the values (1)", ARGUMENT_COUNT, &work.seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    CUmodule module;

    arguments_read(argc, argv, "Tensors out of segments that grow and shrink by pieces.", NULL, table);
    driver_open();
    module = driver_load(image);
    work.fill = driver_function(module, "fill");
    work.mix = driver_function(module, "mix");
    work.fold = driver_function(module, "fold");
    begin(&work, tensors, tensor_bytes_each / sizeof(uint64_t));
    run(&work);
    hash = finish(&work);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
