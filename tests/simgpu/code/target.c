/* SPDX-License-Identifier: Apache-2.0 */
#include "code/target.h"

#include <ctype.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind white space and comments. */
static const char *skip(const char *at)
{
    for (;;) {
        const char *end;

        at += strspn(at, " \t\r\n");
        if (at[0] == '/' && at[1] == '/')
            end = strchr(at, '\n');
        else if (at[0] == '/' && at[1] == '*')
            end = strstr(at, "*/");
        else
            return at;
        if (!end)
            return at + strlen(at);
        at = end + (*end == '*' ? 2 : 1);
    }
}

/* The digits of the first target; the directive stands behind .version, before anything else. */
static const char *target_find(const char *text)
{
    const char *at = skip(text);

    if (strncmp(at, ".version", 8) == 0)
        at = skip(at + 8 + strcspn(at + 8, "\r\n"));
    if (strncmp(at, ".target", 7) != 0)
        return NULL;
    at = skip(at + 7);
    if (strncmp(at, "sm_", 3) != 0 && strncmp(at, "compute_", 8) != 0)
        return NULL;
    at = strchr(at, '_') + 1;
    return isdigit((unsigned char)*at) ? at : NULL;
}

int target_architecture(const char *text)
{
    const char *digits = target_find(text);
    long number = digits ? strtol(digits, NULL, 10) : 0;

    return number > 0 && number < 10000 ? (int)number : 0;
}

enum target_fit target_judge(const char *text, int capability)
{
    int architecture = target_architecture(text);
    const char *suffix = target_find(text);

    if (!architecture || architecture > capability)
        return TARGET_OTHER;
    suffix += strspn(suffix, "0123456789");
    if (*suffix == 'a')
        return architecture == capability ? TARGET_SPECIAL : TARGET_OTHER;
    if (*suffix == 'f')
        return architecture / 10 == capability / 10 ? TARGET_SPECIAL : TARGET_OTHER;
    return TARGET_FITS;
}

CUresult target_refuse(void)
{
    static bool said;
    int state;

    if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED)) {
        /* To print is a point of cancellation, which an entry is only if it is told to be. */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        fprintf(stderr, "simgpu: device code without PTX for this device: machine code does not run here\n");
        pthread_setcancelstate(state, NULL);
    }
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}
