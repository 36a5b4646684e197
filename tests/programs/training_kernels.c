/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A residual network of square layers: sums = weights · input, output = input + softsign(sums) / 2, squared
 * error, gradient descent with momentum and weight decay. Row k of a weight matrix holds what input k adds to
 * all the sums.
 */
#include "kernel.h"
#include "training.h"

#include <math.h>

/* A dot product is summed up in as many parts as a vector register may hold, in one order everywhere. */
enum {
    PARTS = 8
};

/* A number in [-1, 1). */
FUNCTION float uniform(uint64_t seed, uint64_t n)
{
    return (float)(int32_t)(uint32_t)(random_at(seed, n) >> 32) * 0x1p-31F;
}

SIMGPU_KERNEL4(initialise, struct layer, layer, uint64_t, count, uint64_t, seed, float, scale)
{
    SIMGPU_TOUCH(layer.weights, count * sizeof(float));
    SIMGPU_TOUCH(layer.gradient, count * sizeof(float));
    SIMGPU_TOUCH(layer.momentum, count * sizeof(float));
    EACH(uint64_t, i, count) {
        layer.weights[i] = uniform(seed, i) * scale;
        layer.gradient[i] = 0;
        layer.momentum[i] = 0;
    }
}

/* The input and target of the step at hand. */
SIMGPU_KERNEL5(sample, const uint64_t *RESTRICT, step, float *RESTRICT, input, float *RESTRICT, target,
               uint32_t, width, uint64_t, seed)
{
    SIMGPU_TOUCH(step, sizeof(*step));
    SIMGPU_TOUCH(input, width * sizeof(*input));
    SIMGPU_TOUCH(target, width * sizeof(*target));
    EACH(uint32_t, i, width) {
        input[i] = uniform(seed, *step * width + i);
        target[i] = input[i] * 0.5F;
    }
}

SIMGPU_KERNEL5(forward, const float *RESTRICT, weights, const float *RESTRICT, input, float *RESTRICT, sums,
               float *RESTRICT, output, uint32_t, width)
{
    SIMGPU_TOUCH(weights, (uint64_t)width * width * sizeof(*weights));
    SIMGPU_TOUCH(sums, width * sizeof(*sums));
    SIMGPU_TOUCH(output, width * sizeof(*output));
    EACH(uint32_t, i, width)
        sums[i] = 0;
    for (uint32_t k = 0; k < width; k++) {
        const float *row = weights + (uint64_t)k * width;
        float in = input[k];

        EACH(uint32_t, i, width)
            sums[i] += row[i] * in;
    }
    EACH(uint32_t, i, width)
        output[i] = input[i] + 0.5F * (sums[i] / (1 + fabsf(sums[i])));
}

SIMGPU_KERNEL6(loss, const uint64_t *RESTRICT, step, const float *RESTRICT, output, const float *RESTRICT,
               target, float *RESTRICT, delta, float *RESTRICT, losses, uint32_t, width)
{
    SIMGPU_TOUCH(delta, width * sizeof(*delta));
    SIMGPU_TOUCH(losses + *step, sizeof(*losses));
    EACH(uint32_t, i, width)
        delta[i] = output[i] - target[i];
    EACH(uint32_t, once, 1) {
        float sum = 0;

        for (uint32_t i = 0; i < width; i++)
            sum += (output[i] - target[i]) * (output[i] - target[i]);
        losses[*step + once] = sum / (float)width;
    }
}

SIMGPU_KERNEL4(slope, const float *RESTRICT, sums, const float *RESTRICT, delta, float *RESTRICT, slopes,
               uint32_t, width)
{
    SIMGPU_TOUCH(slopes, width * sizeof(*slopes));
    EACH(uint32_t, i, width) {
        float size = 1 + fabsf(sums[i]);

        slopes[i] = delta[i] * 0.5F / (size * size);
    }
}

/* The gradient of a layer's weights, and the delta of the layer before it in place of this one's. */
SIMGPU_KERNEL6(backward, const float *RESTRICT, weights, const float *RESTRICT, input, const float *RESTRICT,
               slopes, float *RESTRICT, delta, float *RESTRICT, gradient, uint32_t, width)
{
    SIMGPU_TOUCH(weights, (uint64_t)width * width * sizeof(*weights));
    SIMGPU_TOUCH(gradient, (uint64_t)width * width * sizeof(*gradient));
    SIMGPU_TOUCH(delta, width * sizeof(*delta));
    EACH(uint32_t, k, width) {
        const float *row = weights + (uint64_t)k * width;
        float *out = gradient + (uint64_t)k * width;
        float in = input[k], parts[PARTS] = {0};

        for (uint32_t i = 0; i < width; i += PARTS)
            for (int part = 0; part < PARTS; part++) {
                parts[part] += row[i + part] * slopes[i + part];
                out[i + part] = in * slopes[i + part];
            }
        for (int part = 1; part < PARTS; part++)
            parts[0] += parts[part];
        delta[k] += parts[0];
    }
}

/* One step of the optimiser for all layers; which memory it works on, only the table tells. */
SIMGPU_KERNEL5(update, const struct layer *RESTRICT, layers, uint32_t, layer_count, uint64_t, count, float,
               rate, float, decay)
{
    SIMGPU_TOUCH(layers, layer_count * sizeof(*layers));
    for (uint32_t l = 0; l < layer_count; l++) {
        float *RESTRICT weights = layers[l].weights;
        float *RESTRICT momentum = layers[l].momentum;
        const float *RESTRICT gradient = layers[l].gradient;

        SIMGPU_TOUCH(weights, count * sizeof(*weights));
        SIMGPU_TOUCH(momentum, count * sizeof(*momentum));
        SIMGPU_TOUCH(gradient, count * sizeof(*gradient));
        EACH(uint64_t, i, count) {
            float moved = 0.9F * momentum[i] + gradient[i] + decay * weights[i];

            momentum[i] = moved;
            weights[i] -= rate * moved;
        }
    }
}

SIMGPU_KERNEL1(advance, uint64_t *, step)
{
    SIMGPU_TOUCH(step, sizeof(*step));
    EACH(uint32_t, once, 1)
        step[once]++;
}
