/* SPDX-License-Identifier: Apache-2.0 */
/* Column means and deviations of a matrix in row blocks, COLUMNS floats a row, row-major. */
#include "kernel.h"
#include "standardize.h"

#include <math.h>

/* How many columns one step sums up. */
enum {
    SUMMED = LANES(COLUMNS)
};

SIMGPU_KERNEL3(widen, const uint8_t *RESTRICT, bytes, float *RESTRICT, block, uint64_t, count)
{
    SIMGPU_TOUCH(bytes, count);
    SIMGPU_TOUCH(block, count * sizeof(*block));
    EACH(uint64_t, i, count)
        block[i] = bytes[i];
}

/* Adds the block's rows, in order, to one sum per column. */
SIMGPU_KERNEL3(column_sums, const float *RESTRICT, block, uint64_t, rows, double *RESTRICT, sums)
{
    SIMGPU_TOUCH(block, rows * COLUMNS * sizeof(*block));
    SIMGPU_TOUCH(sums, COLUMNS * sizeof(*sums));
    EACH(uint32_t, group, COLUMNS / SUMMED) {
        const float *at = block + group * SUMMED;
        double sum[SUMMED];

        for (int lane = 0; lane < SUMMED; lane++)
            sum[lane] = sums[group * SUMMED + lane];
        for (uint64_t row = 0; row < rows; row++)
            for (int lane = 0; lane < SUMMED; lane++)
                sum[lane] += (double)at[row * COLUMNS + lane];
        for (int lane = 0; lane < SUMMED; lane++)
            sums[group * SUMMED + lane] = sum[lane];
    }
}

/* The same for squares. */
SIMGPU_KERNEL3(column_squares, const float *RESTRICT, block, uint64_t, rows, double *RESTRICT, squares)
{
    SIMGPU_TOUCH(block, rows * COLUMNS * sizeof(*block));
    SIMGPU_TOUCH(squares, COLUMNS * sizeof(*squares));
    EACH(uint32_t, group, COLUMNS / SUMMED) {
        const float *at = block + group * SUMMED;
        double sum[SUMMED];

        for (int lane = 0; lane < SUMMED; lane++)
            sum[lane] = squares[group * SUMMED + lane];
        for (uint64_t row = 0; row < rows; row++)
            for (int lane = 0; lane < SUMMED; lane++)
                sum[lane] += (double)at[row * COLUMNS + lane] * (double)at[row * COLUMNS + lane];
        for (int lane = 0; lane < SUMMED; lane++)
            squares[group * SUMMED + lane] = sum[lane];
    }
}

SIMGPU_KERNEL3(means_of_sums, const double *RESTRICT, sums, uint64_t, rows, float *RESTRICT, means)
{
    SIMGPU_TOUCH(sums, COLUMNS * sizeof(*sums));
    SIMGPU_TOUCH(means, COLUMNS * sizeof(*means));
    EACH(uint32_t, column, COLUMNS)
        means[column] = (float)(sums[column] / (double)rows);
}

/* A column without spread keeps its values. */
SIMGPU_KERNEL3(deviations_of_squares, const double *RESTRICT, squares, uint64_t, rows, float *RESTRICT,
               deviations)
{
    SIMGPU_TOUCH(squares, COLUMNS * sizeof(*squares));
    SIMGPU_TOUCH(deviations, COLUMNS * sizeof(*deviations));
    EACH(uint32_t, column, COLUMNS) {
        float deviation = (float)sqrt(squares[column] / (double)(rows > 1 ? rows - 1 : 1));

        deviations[column] = deviation > 0 ? deviation : 1;
    }
}

SIMGPU_KERNEL4(subtract, const float *RESTRICT, from, const float *RESTRICT, means, float *RESTRICT, to,
               uint64_t, rows)
{
    SIMGPU_TOUCH(from, rows * COLUMNS * sizeof(*from));
    SIMGPU_TOUCH(means, COLUMNS * sizeof(*means));
    SIMGPU_TOUCH(to, rows * COLUMNS * sizeof(*to));
    EACH_BLOCK(uint64_t, row, rows)
        EACH_THREAD(uint32_t, column, COLUMNS)
            to[row * COLUMNS + column] = from[row * COLUMNS + column] - means[column];
}

SIMGPU_KERNEL4(divide, const float *RESTRICT, from, const float *RESTRICT, deviations, float *RESTRICT, to,
               uint64_t, rows)
{
    SIMGPU_TOUCH(from, rows * COLUMNS * sizeof(*from));
    SIMGPU_TOUCH(deviations, COLUMNS * sizeof(*deviations));
    SIMGPU_TOUCH(to, rows * COLUMNS * sizeof(*to));
    EACH_BLOCK(uint64_t, row, rows)
        EACH_THREAD(uint32_t, column, COLUMNS)
            to[row * COLUMNS + column] = from[row * COLUMNS + column] / deviations[column];
}
