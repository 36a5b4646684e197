/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps very many small buffers of all sizes, made from one another by kernels; some are replaced by larger or smaller ones all
 * the time. Then reads every byte. Their memory is cudaMalloc's, or stream-ordered out of the device's pool.
 */
#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "peak.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

enum {
    FAR_IN = 64,     /* one in so many is made from a buffer anywhere, the others from a neighbour */
    REPLACED_IN = 16 /* and one in so many is replaced */
};

struct buffer {
    CUdeviceptr data;
    uint64_t words;
};

struct herd {
    uint64_t count, most_words, seed, drawn;
    bool is_ordered;
    struct buffer *buffers;
    CUfunction fill, mix;
};

static uint64_t draw(struct herd *herd, uint64_t below)
{
    return random_at(herd->seed, herd->drawn++) % below;
}

/* Most are much smaller than the largest. */
static struct buffer buffer_make(struct herd *herd)
{
    struct buffer buffer = {.words = 1 + draw(herd, 1 + draw(herd, herd->most_words))};
    size_t bytes = buffer.words * sizeof(uint64_t);

    if (!herd->is_ordered) {
        buffer.data = driver_alloc(bytes);
        return buffer;
    }
    DRIVER(cuMemAllocAsync, (&buffer.data, bytes, NULL));
    peak_add(bytes);
    return buffer;
}

static void buffer_free(const struct herd *herd, const struct buffer *buffer)
{
    size_t bytes = buffer->words * sizeof(uint64_t);

    if (!herd->is_ordered) {
        driver_free(buffer->data, bytes);
        return;
    }
    DRIVER(cuMemFreeAsync, (buffer->data, NULL));
    peak_remove(bytes);
}

static void buffer_fill(const struct herd *herd, struct buffer *buffer, uint64_t seed)
{
    driver_launch(herd->fill, buffer->words, (void *[]){&buffer->data, &buffer->words, &seed}, NULL);
}

static void buffer_mix(const struct herd *herd, struct buffer *to, struct buffer *from)
{
    driver_launch(herd->mix, to->words, (void *[]){&to->data, &to->words, &from->data, &from->words}, NULL);
}

/* What fits of the old one goes to the new one. */
static void buffer_replace(struct herd *herd, struct buffer *buffer)
{
    struct buffer next = buffer_make(herd);
    uint64_t kept = next.words < buffer->words ? next.words : buffer->words;

    buffer_fill(herd, &next, herd->drawn);
    DRIVER(cuMemcpyDtoDAsync, (next.data, buffer->data, kept * sizeof(uint64_t), NULL));
    buffer_free(herd, buffer);
    *buffer = next;
}

static void herd_make(struct herd *herd)
{
    if (herd->count < 2 || !herd->most_words)
        failure_exit(FAILURE_OTHER, "herd", "no buffers");
    herd->buffers = failure_malloc(herd->count * sizeof(*herd->buffers));
    for (uint64_t i = 0; i < herd->count; i++) {
        herd->buffers[i] = buffer_make(herd);
        buffer_fill(herd, &herd->buffers[i], herd->seed + i);
        progress_show("make", i + 1, herd->count);
    }
}

static void herd_walk(struct herd *herd)
{
    for (uint64_t i = 0; i < herd->count; i++) {
        uint64_t from = draw(herd, FAR_IN) ? (i + 1) % herd->count : draw(herd, herd->count);

        if (!draw(herd, REPLACED_IN))
            buffer_replace(herd, &herd->buffers[i]);
        if (from != i)
            buffer_mix(herd, &herd->buffers[i], &herd->buffers[from]);
        progress_show("walk", i + 1, herd->count);
    }
}

static uint64_t herd_read(const struct herd *herd)
{
    struct digest *digest = digest_create();
    uint64_t *host = failure_malloc((herd->most_words + 1) * sizeof(*host));

    for (uint64_t i = 0; i < herd->count; i++) {
        const struct buffer *buffer = &herd->buffers[i];

        DRIVER(cuMemcpyDtoH, (host, buffer->data, buffer->words * sizeof(*host)));
        digest_add(digest, host, buffer->words * sizeof(*host));
    }
    free(host);
    return digest_finish(digest);
}

static void herd_free(struct herd *herd)
{
    for (uint64_t i = 0; i < herd->count; i++)
        buffer_free(herd, &herd->buffers[i]);
    free(herd->buffers);
}

int main(int argc, char **argv)
{
    struct herd herd = {.count = 10000, .seed = 1};
    uint64_t rounds = 2, most_bytes = 64 << 10, hash;
    const char *image = NULL, *memory = "plain";
    const struct argument table[] = {
        {"buffers", "number of buffers (10000)", ARGUMENT_COUNT, &herd.count},
        {"most", "size of the largest (64K)", ARGUMENT_SIZE, &most_bytes},
        {"memory", "plain, or ordered by the stream (plain)", ARGUMENT_TEXT, &memory},
        {"rounds", "how often each is made anew (2)", ARGUMENT_COUNT, &rounds},
        {"seed", "of sizes and values (1)", ARGUMENT_COUNT, &herd.seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    CUmodule module;

    arguments_read(argc, argv, "Keeps very many small buffers.", NULL, table);
    herd.is_ordered = strcmp(memory, "ordered") == 0;
    if (!herd.is_ordered && strcmp(memory, "plain") != 0)
        failure_exit(FAILURE_OTHER, "herd", "no such memory");
    driver_open();
    module = driver_load(image);
    herd.most_words = most_bytes / sizeof(uint64_t);
    herd.fill = driver_function(module, "fill");
    herd.mix = driver_function(module, "mix");
    herd_make(&herd);
    while (rounds--)
        herd_walk(&herd);
    hash = herd_read(&herd);
    herd_free(&herd);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
