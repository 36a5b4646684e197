/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standardises the columns of a matrix of real bytes with the CUDA runtime, as a SystemDS script would:
 *
 *     mean = colMeans(X);  X = X - mean;  sd = colSds(X);  X = X / sd;
 *
 * The matrix lies in row blocks, each an allocation of its own. Every step writes new blocks and frees the
 * old ones when it is through, so twice the matrix is live at the peak; the matrix is sized such that this is
 * --bytes, but for a part of one row.
 */
#include "standardize.h"

#include "arguments.h"
#include "digest.h"
#include "failure.h"
#include "files.h"
#include "peak.h"
#include "runtime.h"

#include <stdlib.h>

enum {
    GRANULE_BYTES = 2 << 20,
    BLOCKS_OF_NEED = 32
};

static const uint64_t row_bytes = COLUMNS * sizeof(float);

struct matrix {
    uint64_t rows, blocks, block_rows; /* the last block may have fewer */
    float **block;                     /* on the device */
};

struct kernels {
    cudaKernel_t widen, column_sums, means_of_sums, subtract;
    cudaKernel_t column_squares, deviations_of_squares, divide;
};

/* One value per column; on the device. */
struct columns {
    double *sums, *squares;
    float *means, *deviations;
};

static uint64_t block_rows(const struct matrix *matrix, uint64_t b)
{
    uint64_t left = matrix->rows - b * matrix->block_rows;

    return left < matrix->block_rows ? left : matrix->block_rows;
}

static struct matrix matrix_like(const struct matrix *matrix)
{
    struct matrix like = *matrix;

    like.block = failure_malloc(like.blocks * sizeof(*like.block));
    return like;
}

static float *block_alloc(struct matrix *matrix, uint64_t b)
{
    matrix->block[b] = runtime_alloc(block_rows(matrix, b) * row_bytes);
    return matrix->block[b];
}

static void block_free(struct matrix *matrix, uint64_t b)
{
    runtime_free(matrix->block[b], block_rows(matrix, b) * row_bytes);
}

static void matrix_free(struct matrix *matrix)
{
    for (uint64_t b = 0; b < matrix->blocks; b++)
        block_free(matrix, b);
    free(matrix->block);
}

static struct kernels kernels_load(cudaLibrary_t library)
{
    return (struct kernels){
        .widen = runtime_kernel(library, "widen"),
        .column_sums = runtime_kernel(library, "column_sums"),
        .means_of_sums = runtime_kernel(library, "means_of_sums"),
        .subtract = runtime_kernel(library, "subtract"),
        .column_squares = runtime_kernel(library, "column_squares"),
        .deviations_of_squares = runtime_kernel(library, "deviations_of_squares"),
        .divide = runtime_kernel(library, "divide"),
    };
}

static struct columns columns_alloc(void)
{
    struct columns columns = {
        .sums = runtime_alloc(COLUMNS * sizeof(double)),
        .squares = runtime_alloc(COLUMNS * sizeof(double)),
        .means = runtime_alloc(COLUMNS * sizeof(float)),
        .deviations = runtime_alloc(COLUMNS * sizeof(float)),
    };

    RUNTIME(cudaMemset, (columns.sums, 0, COLUMNS * sizeof(double)));
    RUNTIME(cudaMemset, (columns.squares, 0, COLUMNS * sizeof(double)));
    return columns;
}

static void columns_free(struct columns *columns)
{
    runtime_free(columns->sums, COLUMNS * sizeof(double));
    runtime_free(columns->squares, COLUMNS * sizeof(double));
    runtime_free(columns->means, COLUMNS * sizeof(float));
    runtime_free(columns->deviations, COLUMNS * sizeof(float));
}

/* Reads X from the files and sums up its columns. */
static void matrix_load(struct matrix *x, struct files *files, const struct kernels *kernels, double *sums)
{
    uint64_t most = x->block_rows * COLUMNS;
    uint8_t *host = failure_malloc(most), *bytes = runtime_alloc(most);

    for (uint64_t b = 0; b < x->blocks; b++) {
        uint64_t rows = block_rows(x, b), count = rows * COLUMNS;
        float *block = block_alloc(x, b);

        files_read(files, host, count);
        RUNTIME(cudaMemcpy, (bytes, host, count, cudaMemcpyHostToDevice));
        runtime_launch(kernels->widen, count, (void *[]){&bytes, &block, &count}, NULL);
        runtime_launch(kernels->column_sums, COLUMNS, (void *[]){&block, &rows, &sums}, NULL);
        progress_show("load", b + 1, x->blocks);
    }
    runtime_free(bytes, most);
    free(host);
}

/* The result of one elementwise step; the matrix it came from is gone. */
static struct matrix matrix_step(struct matrix *from, cudaKernel_t kernel, float *columns, const char *name)
{
    struct matrix to = matrix_like(from);

    for (uint64_t b = 0; b < from->blocks; b++) {
        uint64_t rows = block_rows(from, b);
        float *source = from->block[b], *target = block_alloc(&to, b);

        runtime_launch(kernel, rows * COLUMNS, (void *[]){&source, &columns, &target, &rows}, NULL);
        progress_show(name, b + 1, from->blocks);
    }
    matrix_free(from);
    return to;
}

static uint64_t matrix_hash(const struct matrix *matrix)
{
    struct digest *digest = digest_create();
    float *host = failure_malloc(matrix->block_rows * row_bytes);

    for (uint64_t b = 0; b < matrix->blocks; b++) {
        uint64_t bytes = block_rows(matrix, b) * row_bytes;

        RUNTIME(cudaMemcpy, (host, matrix->block[b], bytes, cudaMemcpyDeviceToHost));
        digest_add(digest, host, bytes);
        progress_show("read back", b + 1, matrix->blocks);
    }
    free(host);
    return digest_finish(digest);
}

static uint64_t standardize(struct matrix *x, struct files *files, const struct kernels *kernels)
{
    struct columns columns = columns_alloc();
    uint64_t hash;

    matrix_load(x, files, kernels, columns.sums);
    runtime_launch(kernels->means_of_sums, COLUMNS, (void *[]){&columns.sums, &x->rows, &columns.means},
                   NULL);
    *x = matrix_step(x, kernels->subtract, columns.means, "subtract");
    for (uint64_t b = 0; b < x->blocks; b++) {
        uint64_t rows = block_rows(x, b);

        runtime_launch(kernels->column_squares, COLUMNS, (void *[]){&x->block[b], &rows, &columns.squares},
                       NULL);
    }
    runtime_launch(kernels->deviations_of_squares, COLUMNS,
                   (void *[]){&columns.squares, &x->rows, &columns.deviations}, NULL);
    *x = matrix_step(x, kernels->divide, columns.deviations, "divide");
    hash = matrix_hash(x);
    matrix_free(x);
    columns_free(&columns);
    return hash;
}

int main(int argc, char **argv)
{
    static const char *const default_folders[] = {"/usr/lib", "/usr/share"};
    uint64_t bytes = 64 << 20, block_bytes = 0;
    const char *image = NULL;
    const struct argument table[] = {
        {"bytes", "device memory at the peak: twice the matrix (64M)", ARGUMENT_SIZE, &bytes},
        {"block", "size of a block (a 32nd of --bytes in steps of 2M, at least 2M)", ARGUMENT_SIZE,
         &block_bytes},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    int count = arguments_read(argc, argv, "Standardises the columns of a matrix made of files' bytes.",
                               "[folder…]", table);
    struct matrix x;
    struct files *files;
    cudaLibrary_t library;
    struct kernels kernels;
    uint64_t hash;

    if (!block_bytes)
        block_bytes = bytes / BLOCKS_OF_NEED / GRANULE_BYTES * GRANULE_BYTES;
    if (!block_bytes)
        block_bytes = GRANULE_BYTES;
    x.rows = bytes / 2 / row_bytes;
    x.block_rows = block_bytes / row_bytes;
    if (!x.rows || !x.block_rows)
        failure_exit(FAILURE_OTHER, "bytes", "less than a row");
    x.blocks = (x.rows + x.block_rows - 1) / x.block_rows;
    x.block = failure_malloc(x.blocks * sizeof(*x.block));
    files =
        files_open(count ? (const char *const *)argv : default_folders, count ? count : 2, x.rows * COLUMNS);
    library = runtime_load(image);
    kernels = kernels_load(library);
    hash = standardize(&x, files, &kernels);
    files_close(files);
    RUNTIME(cudaLibraryUnload, (library));
    result_print(hash, peak_bytes());
    return 0;
}
