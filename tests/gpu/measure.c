/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool measure_simulated;
static unsigned children; /* that have been started */
static bool is_child;

enum {
    CHILD_DEADLINE_S = 20 /* less than any measurement with children may take */
};

static _Noreturn void no_gpu(const char *why)
{
    printf("no GPU: %s\n", why);
    fflush(stdout);
    _exit(MEASURE_NO_GPU);
}

void measure_begin(int argc, char **argv, const char *question)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--simulated") != 0) {
            fprintf(stderr, "usage: %s [--simulated]\n", argv[0]);
            exit(2);
        }
        measure_simulated = true;
    }
    /* Whole lines reach the reader even if the driver ends the process. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("# %s\n", question);
}

CUdevice measure_open(void)
{
    const char *why = libcuda_open();
    CUcontext context;
    CUdevice device;
    CUresult result;
    int version, count;
    char name[128] = "";

    if (why)
        no_gpu(why);
    result = cu.cuInit(0);
    if (result != CUDA_SUCCESS)
        no_gpu(libcuda_result(result));
    MUST(cuDeviceGetCount, (&count));
    if (!count)
        no_gpu("the driver has no device");
    MUST(cuDeviceGet, (&device, 0));
    MUST(cuDevicePrimaryCtxRetain, (&context, device));
    MUST(cuCtxSetCurrent, (context));
    if (!measure_announces())
        return device;
    MUST(cuDeviceGetName, (name, sizeof(name), device));
    MUST(cuDriverGetVersion, (&version));
    for (char *at = name; *at; at++)
        *at = *at == ' ' ? '_' : *at;
    measure_word("device", name, "name");
    measure_row("driver", version, "version");
    return device;
}

bool measure_announces(void)
{
    return children == 0;
}

uint64_t measure_size(uint64_t large, uint64_t small)
{
    return measure_simulated ? small : large;
}

void measure_row(const char *name, double value, const char *unit)
{
    printf("%s %.6g %s\n", name, value, unit);
}

void measure_word(const char *name, const char *word, const char *unit)
{
    printf("%s %s %s\n", name, word, unit);
}

void measure_result(const char *name, CUresult result)
{
    measure_word(name, libcuda_result(result), "CUresult");
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double measure_samples(const char *name, double *values, unsigned count, const char *unit)
{
    char full[160];
    double median;

    qsort(values, count, sizeof(*values), compare);
    median = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    snprintf(full, sizeof(full), "%s_median", name);
    measure_row(full, median, unit);
    snprintf(full, sizeof(full), "%s_min", name);
    measure_row(full, values[0], unit);
    snprintf(full, sizeof(full), "%s_max", name);
    measure_row(full, values[count - 1], unit);
    return median;
}

static void verdict(const char *word, const char *format, va_list arguments)
{
    printf("verdict: %s: ", word);
    vprintf(format, arguments);
    printf("\n");
}

int measure_verdict(bool holds, bool timed, const char *format, ...)
{
    bool judged = !timed || !measure_simulated;
    va_list arguments;

    va_start(arguments, format);
    verdict(!judged ? "open" : holds ? "confirms" : "contradicts", format, arguments);
    va_end(arguments);
    return judged && !holds ? MEASURE_CONTRADICTS : 0;
}

int measure_open_verdict(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    verdict("open", format, arguments);
    va_end(arguments);
    return 0;
}

void measure_must(CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", call, libcuda_result(result));
    _exit(MEASURE_BROKEN);
}

_Noreturn void measure_no_host(void)
{
    fflush(stdout);
    if (is_child)
        _exit(MEASURE_NO_HOST);
    exit(measure_verdict(false, false, "no host-located handle can be made: strict mode only"));
}

int measure_isolated(const char *name, int (*work)(void *), void *argument)
{
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        /* A child that hangs in the driver must not outlive the measurement and disturb the next. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        is_child = true;
        alarm(CHILD_DEADLINE_S);
        status = work(argument);
        fflush(stdout);
        /* The driver's exit handlers may hang on a context that is lost. */
        _exit(status);
    }
    children++;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("child");
        exit(MEASURE_BROKEN);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == MEASURE_NO_GPU)
        exit(MEASURE_NO_GPU);
    if (WIFEXITED(status) && WEXITSTATUS(status) == MEASURE_NO_HOST)
        measure_no_host();
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    printf("%s_ended_by %d signal\n", name, WTERMSIG(status));
    return -1;
}

uint64_t measure_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}
