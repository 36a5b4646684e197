/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuLink*: texts are added one after the other, and become one. What comes out is PTX again, which the driver loads like
 * any other image; on hardware it is machine code, whose form programs do not know either.
 */
#include "code/fatbin.h"
#include "code/link.h"
#include "code/peek.h"
#include "code/target.h"
#include "driver/handle.h"
#include "driver/sim.h"
#include "machine/options.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct linker {
    char **texts;
    unsigned count;
    char *image; /* what cuLinkComplete has given out */
    char *errors;
    size_t errors_bytes;
};

/* Says into the program's buffer, if it gave one, what is wrong. */
static CUresult complain(const struct linker *linker, CUresult result, const char *name, const char *what)
{
    if (linker->errors && linker->errors_bytes)
        snprintf(linker->errors, linker->errors_bytes, "%s: %s", name ? name : "input", what);
    return result;
}

static void options_take(struct linker *linker, unsigned count, const CUjit_option *names,
                         void *const *values)
{
    for (unsigned i = 0; i < count; i++) {
        if (names[i] == CU_JIT_ERROR_LOG_BUFFER)
            linker->errors = values[i];
        else if (names[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            linker->errors_bytes = (size_t)(uintptr_t)values[i];
    }
    if (linker->errors && linker->errors_bytes)
        linker->errors[0] = 0;
}

CUresult sim_cuLinkCreate_v2(unsigned count, CUjit_option *names, void **values, CUlinkState *state)
{
    struct linker *linker;
    bool added;

    if (!state || (count && (!names || !values)))
        return CUDA_ERROR_INVALID_VALUE;
    linker = calloc(1, sizeof *linker);
    if (!linker)
        return CUDA_ERROR_OUT_OF_MEMORY;
    options_take(linker, count, names, values);
    sim_lock();
    added = handle_add(linker, HANDLE_LINKER);
    sim_unlock();
    if (!added) {
        free(linker);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *state = (CUlinkState)linker;
    return CUDA_SUCCESS;
}

/* A linker is one thread's at a time, as hardware's is. */
static struct linker *linker_of(CUlinkState state)
{
    bool is;

    sim_lock();
    is = handle_is(state, HANDLE_LINKER);
    sim_unlock();
    return is ? (struct linker *)state : NULL;
}

/* Takes the text over. */
static CUresult text_add(struct linker *linker, char *text)
{
    char **texts = realloc(linker->texts, (linker->count + 1) * sizeof *texts);

    if (!texts) {
        free(text);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    linker->texts = texts;
    texts[linker->count++] = text;
    return CUDA_SUCCESS;
}

/* Text of at most so many bytes, which need not have an end. */
static CUresult text_copy(const void *data, size_t size, char **copy)
{
    char *text = malloc(size + 1);

    if (!text)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!peek(data, text, size)) {
        free(text);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    text[size] = 0;
    if (!strstr(text, ".version")) {
        free(text);
        return CUDA_ERROR_INVALID_PTX;
    }
    *copy = text;
    return CUDA_SUCCESS;
}

/* An input is known by its bytes; what it is said to be says only what it may be. */
static CUresult input_add(struct linker *linker, CUjitInputType type, const void *data, size_t size,
                          const char *name)
{
    CUresult result;
    char head[4] = "";
    char *text;

    if ((unsigned)type >= CU_JIT_NUM_INPUT_TYPES || !data || size < sizeof head)
        return CUDA_ERROR_INVALID_VALUE;
    if (!peek(data, head, sizeof head))
        return CUDA_ERROR_INVALID_IMAGE;
    if (memcmp(head, ELFMAG, SELFMAG) == 0 || type == CU_JIT_INPUT_LIBRARY || type == CU_JIT_INPUT_NVVM)
        return complain(linker, target_refuse(), name, "only PTX is linked here");
    result = fatbin_is(head) ? fatbin_text(data, 0, options.capability, &text) : text_copy(data, size, &text);
    if (result == CUDA_SUCCESS)
        return text_add(linker, text);
    return complain(linker, result, name, "no PTX for this device");
}

CUresult sim_cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size,
                              const char *name, unsigned count, CUjit_option *names, void **values)
{
    struct linker *linker = linker_of(state);

    (void)count, (void)names, (void)values;
    return linker ? input_add(linker, type, data, size, name) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path, unsigned count,
                              CUjit_option *names, void **values)
{
    struct linker *linker = linker_of(state);
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
    struct stat status;
    char *bytes = NULL;
    int file;

    (void)count, (void)names, (void)values;
    if (!linker || !path)
        return linker ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return complain(linker, CUDA_ERROR_FILE_NOT_FOUND, path, "cannot be opened");
    if (fstat(file, &status) == 0)
        bytes = malloc((size_t)status.st_size + 1);
    if (bytes && pread(file, bytes, (size_t)status.st_size, 0) == (ssize_t)status.st_size)
        result = input_add(linker, type, bytes, (size_t)status.st_size, path);
    close(file);
    free(bytes);
    return result;
}

CUresult sim_cuLinkComplete(CUlinkState state, void **image, size_t *size)
{
    struct linker *linker = linker_of(state);
    CUresult result = CUDA_SUCCESS;

    if (!linker || !image)
        return linker ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    if (!linker->count)
        return CUDA_ERROR_INVALID_VALUE;
    if (!linker->image)
        result = link_texts((const char *const *)linker->texts, linker->count, &linker->image);
    if (result != CUDA_SUCCESS)
        return complain(linker, result, NULL, "a text does not end, or a name is defined twice");
    *image = linker->image;
    if (size)
        *size = strlen(linker->image) + 1;
    return CUDA_SUCCESS;
}

CUresult sim_cuLinkDestroy(CUlinkState state)
{
    struct linker *linker = linker_of(state);

    if (!linker)
        return CUDA_ERROR_INVALID_HANDLE;
    sim_lock();
    handle_remove(linker);
    sim_unlock();
    for (unsigned i = 0; i < linker->count; i++)
        free(linker->texts[i]);
    free(linker->texts);
    free(linker->image);
    free(linker);
    return CUDA_SUCCESS;
}
