/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every measurement shares: its arguments, its rows and its verdict. One thread.
 *
 * A program prints `# question`, rows `name value unit` and last `verdict: WORD: text`, where WORD is
 *     confirms      the design's assumption holds          exit status 0
 *     open          nothing was decided here               exit status 0
 *     contradicts   it does not hold                       exit status 1
 * Without a device it prints "no GPU: why" and exits with 77. A call that must not fail and does ends the program
 * with status 3 and names the call.
 *
 * With --simulated the device is the simulated one: sizes and counts shrink, and no verdict is based on a time.
 */
#ifndef GPU_MEASURE_H
#define GPU_MEASURE_H

#include "libcuda.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MEASURE_CONTRADICTS = 1,
    MEASURE_BROKEN = 3,
    MEASURE_NO_GPU = 77,
    MEASURE_NO_HOST = 78,    /* of a child: measure_no_host */
    MEASURE_REPETITIONS = 7, /* of whatever is timed or checked repeatedly */
};

extern bool measure_simulated;

/* Reads the arguments and prints the question. Does not touch CUDA, so that children can. */
void measure_begin(int argc, char **argv, const char *question);

/* Opens the driver, makes device 0's primary context current and prints which device and driver it is. */
CUdevice measure_open(void);

/* Whether to print rows about the machine: of several children only the first does. */
bool measure_announces(void);

/* `large` on hardware, `small` on the simulated device. */
uint64_t measure_size(uint64_t large, uint64_t small);

void measure_row(const char *name, double value, const char *unit);
void measure_word(const char *name, const char *word, const char *unit);
void measure_result(const char *name, CUresult result);
/* One row each for the median, the least and the most of `values`, which get sorted. Returns the median. */
double measure_samples(const char *name, double *values, unsigned count, const char *unit);

/* Prints the verdict; returns the exit status. `timed`: it rests on times, which the simulated device has not. */
int measure_verdict(bool holds, bool timed, const char *format, ...) __attribute__((format(printf, 3, 4)));
int measure_open_verdict(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program if the call failed: MUST(cuMemAlloc, (&pointer, bytes)). */
#define MUST(function, arguments) measure_must(cu.function arguments, #function)
void measure_must(CUresult result, const char *call);

/* Ends the program, also from a child, with the verdict that no handle of host memory can be made. */
_Noreturn void measure_no_host(void);

/*
 * Runs `work` in a child of its own, since it may lose its context; for programs that have not opened the driver
 * themselves. Returns what `work` returned (0 to 255), MEASURE_BROKEN if it ended in MUST, or -1 with a row that names
 * the signal or deadline. What `work` returns as an answer is none of these.
 */
int measure_isolated(const char *name, int (*work)(void *), void *argument);

uint64_t measure_now_ns(void);

#endif
