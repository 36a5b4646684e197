/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* On hardware its own goes first: a real driver may take a file that it does not know for assembly. The simulated device
 * would run hardware's, too, by what of PTX is in it. */
static const char *const files[] = {"kernels.fatbin", "kernels.simgpu.so"};

enum {
    FILES = sizeof(files) / sizeof(files[0]),
    PATH_BYTES = 4096,
};

static const char *file_to_try(unsigned number)
{
    return files[libcuda_is_simulated() ? FILES - 1 - number : number];
}

static void beside_executable(const char *file, char *path)
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_BYTES - 64);
    char *name;

    path[length > 0 ? length : 0] = '\0';
    name = strrchr(path, '/');
    strcpy(name ? name + 1 : path, file);
}

static CUmodule load_beside_executable(void)
{
    CUresult result = CUDA_ERROR_FILE_NOT_FOUND, first = CUDA_SUCCESS;
    char path[PATH_BYTES];
    CUmodule module;

    for (unsigned i = 0; i < FILES && result != CUDA_SUCCESS; i++) {
        beside_executable(file_to_try(i), path);
        result = cu.cuModuleLoad(&module, path);
        first = i ? first : result;
    }
    if (result != CUDA_SUCCESS)
        fprintf(stderr, "%s: %s\n", file_to_try(0), libcuda_result(first));
    measure_must(result, path);
    return module;
}

CUresult kernels_library(CUlibrary *library)
{
    CUresult result = CUDA_ERROR_FILE_NOT_FOUND;
    char path[PATH_BYTES];

    for (unsigned i = 0; i < FILES && result != CUDA_SUCCESS; i++) {
        beside_executable(file_to_try(i), path);
        result = cu.cuLibraryLoadFromFile(library, path, NULL, NULL, 0, NULL, NULL, 0);
    }
    return result;
}

void kernels_load(struct kernels *kernels)
{
    struct {
        const char *name;
        CUfunction *function;
    } wanted[] = {
        {"fill", &kernels->fill},
        {"check", &kernels->check},
        {"add", &kernels->add},
        {"atomics", &kernels->atomics},
        {"churn", &kernels->churn},
        {"stream_read", &kernels->stream_read},
        {"random_read", &kernels->random_read},
        {"layer", &kernels->layer},
    };

    kernels->module = load_beside_executable();
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        MUST(cuModuleGetFunction, (wanted[i].function, kernels->module, wanted[i].name));
}

CUresult kernels_launch(CUfunction function, uint64_t threads, void **arguments, CUstream stream)
{
    const uint64_t block = 256, most = 4096;
    uint64_t blocks = (threads + block - 1) / block;

    blocks = blocks > most ? most : blocks ? blocks : 1;
    return cu.cuLaunchKernel(function, (unsigned)blocks, 1, 1, (unsigned)block, 1, 1, 0, stream, arguments,
                             NULL);
}

void kernels_fill(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t seed)
{
    void *arguments[] = {&words, &count, &seed};

    measure_must(kernels_launch(kernels->fill, count, arguments, NULL), "fill");
}

void kernels_add(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t more)
{
    void *arguments[] = {&words, &count, &more};

    measure_must(kernels_launch(kernels->add, count, arguments, NULL), "add");
}

void kernels_churn(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t rounds,
                   CUstream stream)
{
    void *arguments[] = {&words, &count, &rounds};

    measure_must(kernels_launch(kernels->churn, count, arguments, stream), "churn");
}

uint64_t kernels_wrong(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t seed,
                       uint64_t more)
{
    uint64_t wrong = 0;
    CUdeviceptr counter;
    void *arguments[] = {&words, &count, &seed, &more, &counter};

    MUST(cuMemAlloc, (&counter, sizeof(wrong)));
    MUST(cuMemcpyHtoD, (counter, &wrong, sizeof(wrong)));
    measure_must(kernels_launch(kernels->check, count, arguments, NULL), "check");
    MUST(cuMemcpyDtoH, (&wrong, counter, sizeof(wrong)));
    MUST(cuMemFree, (counter));
    return wrong;
}

uint64_t kernels_rounds(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t ns)
{
    uint64_t rounds = 1;

    /* Grown until it is nearly long enough, so that a busy machine's hiccup does not pass for a kernel. */
    for (;;) {
        uint64_t started_ns = measure_now_ns(), took_ns;

        kernels_churn(kernels, words, count, rounds, NULL);
        MUST(cuCtxSynchronize, ());
        took_ns = measure_now_ns() - started_ns;
        if (took_ns > ns / 2)
            return 1 + (uint64_t)((double)rounds * (double)ns / (double)took_ns);
        rounds *= took_ns < ns / 8 ? 4 : 2;
    }
}
