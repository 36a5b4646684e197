/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine that says what its memory is for: SystemDS' script, X = (X - colMeans(X)) / colSds(X), on objects that are
 * pinned while an operation works on them and buffers in between. With and without ebbtide the result is the same.
 */
#include "engine.h"
#include "arguments.h"
#include "digest.h"
#include "failure.h"
#include "peak.h"
#include "runtime.h"

#include <ebbtide.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
    float *at;
    uint64_t rows; /* of COLUMNS floats */
    int moves;     /* registered: too small an object stays where it is */
};

static cudaLibrary_t library;

static uint64_t bytes_of(const struct object *object)
{
    return object->rows * COLUMNS * sizeof(float);
}

/* 0 is fine, and so is that nobody is there. */
static void check(int result, const char *call)
{
    if (result < 0 && result != -ENOSYS)
        failure_exit(result == -ENOSPC ? FAILURE_OUT_OF_MEMORY : FAILURE_OTHER, call, strerror(-result));
}

/* The result of an operation: room is made before it begins, and what is made of it is pinned. */
static struct object result_of(uint64_t rows, const char *name)
{
    struct object object = {.rows = rows};
    ebb_reservation reservation = 0;
    int here = ebb_reserve(bytes_of(&object), EBB_OVERBOOK_NO, 1000, &reservation, NULL);

    check(here, "ebb_reserve");
    object.at = runtime_alloc(bytes_of(&object));
    object.moves = ebb_register(object.at, bytes_of(&object), 0, name) == 0;
    if (here == 0)
        check(object.moves ? ebb_reserve_commit(reservation, object.at)
                           : ebb_reserve_release(reservation, SIZE_MAX),
              "ebb_reserve_commit");
    return object;
}

static void pin(const struct object *object)
{
    if (object->moves)
        check(ebb_pin(object->at, EBB_RO, NULL), "ebb_pin");
}

static void unpin(const struct object *object, unsigned flags)
{
    if (object->moves)
        check(ebb_unpin(object->at, flags), "ebb_unpin");
}

/* out = kernel(left, right); operands are pinned by the call, the result is a buffer after it. */
static struct object operation(const char *kernel, const struct object *left, const struct object *right,
                               uint64_t rows)
{
    struct object out;
    uint64_t count = left->rows;
    const struct object *other = right ? right : left;

    pin(left);
    if (right)
        pin(right);
    out = result_of(rows, kernel);
    void *arguments[] = {&out.at, (void *)&left->at, (void *)&other->at, &count};

    runtime_launch(runtime_kernel(library, kernel), COLUMNS, arguments, NULL);
    unpin(left, EBB_CLEAN);
    if (right)
        unpin(right, EBB_CLEAN);
    unpin(&out, EBB_DIRTY);
    return out;
}

static uint64_t hash_of(const struct object *object)
{
    struct digest *digest = digest_create();
    float *copy = failure_malloc(bytes_of(object));

    pin(object);
    RUNTIME(cudaMemcpy, (copy, object->at, bytes_of(object), cudaMemcpyDeviceToHost));
    unpin(object, EBB_CLEAN);
    digest_add(digest, copy, bytes_of(object));
    free(copy);
    return digest_finish(digest);
}

static struct object input(uint64_t rows)
{
    struct object x = result_of(rows, "x");
    float *values = failure_malloc(bytes_of(&x));

    for (uint64_t i = 0; i < rows * COLUMNS; i++)
        values[i] = (float)((i * 2654435761u >> 7) % 1000);
    RUNTIME(cudaMemcpy, (x.at, values, bytes_of(&x), cudaMemcpyHostToDevice));
    free(values);
    unpin(&x, EBB_DIRTY);
    return x;
}

int main(int argc, char **argv)
{
    uint64_t bytes = 64 << 20;
    const char *image = NULL;
    const struct argument table[] = {
        {"bytes", "of the matrix (64M)", ARGUMENT_SIZE, &bytes},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    struct ebb_stats stats = {.struct_bytes = sizeof(stats)};
    struct object x, means, centred, deviations, result;
    uint64_t rows, hash;

    arguments_read(argc, argv, "Standardises the columns of a matrix, as an engine with ebbtide.h would.", "",
                   table);
    rows = bytes / (COLUMNS * sizeof(float));
    library = runtime_load(image);
    x = input(rows);
    means = operation("column_means", &x, NULL, 1);
    centred = operation("subtract", &x, &means, rows);
    runtime_free(x.at, bytes_of(&x));
    deviations = operation("column_deviations", &centred, NULL, 1);
    result = operation("divide", &centred, &deviations, rows);
    hash = hash_of(&result);
    if (!ebb_get_stats(&stats))
        fprintf(stderr, "engine: %llu evictions, %llu saves\n", (unsigned long long)stats.evictions,
                (unsigned long long)stats.saves);
    for (struct object *left[] = {&means, &centred, &deviations, &result, NULL}, **one = left; *one; one++)
        runtime_free((*one)->at, bytes_of(*one));
    RUNTIME(cudaLibraryUnload, (library));
    result_print(hash, peak_bytes());
    return 0;
}
