/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the measurements, for hardware and for the simulated device. Counts are in words. */
#include "../programs/kernel.h"

/* Word i becomes the i-th number of the sequence. */
SIMGPU_KERNEL3(fill, uint64_t *, words, uint64_t, count, uint64_t, seed)
{
    SIMGPU_TOUCH(words, count * sizeof(*words));
    EACH(uint64_t, i, count)
        words[i] = random_at(seed, i);
}

/* Adds to *wrong how many words are not what fill and `more` rounds of add left. */
SIMGPU_KERNEL5(check, const uint64_t *, words, uint64_t, count, uint64_t, seed, uint64_t, more, uint64_t *,
               wrong)
{
    SIMGPU_TOUCH(words, count * sizeof(*words));
    SIMGPU_TOUCH(wrong, sizeof(*wrong));
    EACH(uint64_t, i, count) {
        if (words[i] != random_at(seed, i) + more)
            FETCH_ADD(wrong, 1);
    }
}

/* Makes each word from the one that is there, so that a lost write shows. */
SIMGPU_KERNEL3(add, uint64_t *, words, uint64_t, count, uint64_t, more)
{
    SIMGPU_TOUCH(words, count * sizeof(*words));
    EACH(uint64_t, i, count)
        words[i] += more;
}

/* `times` atomic additions of 1, spread over `slots` words. */
SIMGPU_KERNEL3(atomics, uint64_t *, words, uint64_t, slots, uint64_t, times)
{
    SIMGPU_TOUCH(words, slots * sizeof(*words));
    EACH(uint64_t, i, times)
        FETCH_ADD(&words[i % slots], 1);
}

/* Keeps reading and writing every word, `rounds` times; the contents change and are of no use. */
SIMGPU_KERNEL3(churn, volatile uint64_t *, words, uint64_t, count, uint64_t, rounds)
{
    SIMGPU_TOUCH((const void *)words, count * sizeof(*words));
    for (uint64_t round = 0; round < rounds; round++) {
        EACH(uint64_t, i, count)
            words[i] = words[i] * 3 + round;
    }
}

/* Reads every word once, in order; *sum keeps the compiler from leaving it out. */
SIMGPU_KERNEL3(stream_read, const uint64_t *, words, uint64_t, count, uint64_t *, sum)
{
    uint64_t mine = 0;

    SIMGPU_TOUCH(words, count * sizeof(*words));
    SIMGPU_TOUCH(sum, sizeof(*sum));
    EACH(uint64_t, i, count)
        mine += words[i];
    FETCH_ADD(sum, mine);
}

/* Reads `times` words at random; count must be a power of two. */
SIMGPU_KERNEL4(random_read, const uint64_t *, words, uint64_t, count, uint64_t, times, uint64_t *, sum)
{
    uint64_t mine = 0;

    SIMGPU_TOUCH(words, count * sizeof(*words));
    SIMGPU_TOUCH(sum, sizeof(*sum));
    EACH(uint64_t, i, times)
        mine += words[random_at(times, i) & (count - 1)];
    FETCH_ADD(sum, mine);
}

/* One layer of integer arithmetic: every word of `out` from eight words of `in` and of `weights`. */
SIMGPU_KERNEL4(layer, uint64_t *, out, const uint64_t *, in, const uint64_t *, weights, uint64_t, count)
{
    SIMGPU_TOUCH(out, count * sizeof(*out));
    SIMGPU_TOUCH(in, count * sizeof(*in));
    SIMGPU_TOUCH(weights, count * sizeof(*weights));
    EACH(uint64_t, i, count) {
        uint64_t sum = i;

        for (uint64_t k = 0; k < 8; k++)
            sum = sum * 31 + in[(i * 5 + k * 977) % count] * weights[(i + k * 1009) % count];
        out[i] = sum;
    }
}
