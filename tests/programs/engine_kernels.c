/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of the engine on matrices of COLUMNS floats a row; `rows` are those of `left`. */
#include "engine.h"
#include "kernel.h"

#include <math.h>

/* One row: the means of the columns. */
SIMGPU_KERNEL4(column_means, float *RESTRICT, out, const float *RESTRICT, left, const float *RESTRICT, right,
               uint64_t, rows)
{
    SIMGPU_TOUCH(out, COLUMNS * sizeof(*out));
    SIMGPU_TOUCH(left, rows * COLUMNS * sizeof(*left));
    SIMGPU_TOUCH(right, COLUMNS * sizeof(*right));
    EACH(uint32_t, column, COLUMNS) {
        double sum = 0;

        for (uint64_t row = 0; row < rows; row++)
            sum += (double)left[row * COLUMNS + column];
        out[column] = (float)(sum / (double)rows);
    }
}

/* One row: the deviations of columns whose means are 0; 1 where a column is constant. */
SIMGPU_KERNEL4(column_deviations, float *RESTRICT, out, const float *RESTRICT, left, const float *RESTRICT,
               right, uint64_t, rows)
{
    SIMGPU_TOUCH(out, COLUMNS * sizeof(*out));
    SIMGPU_TOUCH(left, rows * COLUMNS * sizeof(*left));
    SIMGPU_TOUCH(right, COLUMNS * sizeof(*right));
    EACH(uint32_t, column, COLUMNS) {
        double sum = 0;

        for (uint64_t row = 0; row < rows; row++)
            sum += (double)left[row * COLUMNS + column] * (double)left[row * COLUMNS + column];
        out[column] = sum > 0 ? (float)sqrt(sum / (double)rows) : 1;
    }
}

/* Each row of the left less the row on the right. */
SIMGPU_KERNEL4(subtract, float *RESTRICT, out, const float *RESTRICT, left, const float *RESTRICT, right,
               uint64_t, rows)
{
    SIMGPU_TOUCH(out, rows * COLUMNS * sizeof(*out));
    SIMGPU_TOUCH(left, rows * COLUMNS * sizeof(*left));
    SIMGPU_TOUCH(right, COLUMNS * sizeof(*right));
    EACH(uint64_t, i, rows * COLUMNS)
        out[i] = left[i] - right[i % COLUMNS];
}

/* Each row of the left by the row on the right. */
SIMGPU_KERNEL4(divide, float *RESTRICT, out, const float *RESTRICT, left, const float *RESTRICT, right,
               uint64_t, rows)
{
    SIMGPU_TOUCH(out, rows * COLUMNS * sizeof(*out));
    SIMGPU_TOUCH(left, rows * COLUMNS * sizeof(*left));
    SIMGPU_TOUCH(right, COLUMNS * sizeof(*right));
    EACH(uint64_t, i, rows * COLUMNS)
        out[i] = left[i] / right[i % COLUMNS];
}
