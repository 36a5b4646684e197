/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/tests/conform.h"

#include "driver.h"

#include <string.h>

void source_begin(struct source *source)
{
    *source = (struct source){NULL, 0, 0};
    source_add(source, ".version 8.6\n.target sm_90\n.address_size 64\n");
}

void source_end(struct source *source)
{
    free(source->text);
}

void source_add(struct source *source, const char *format, ...)
{
    va_list list;
    int length;

    for (;;) {
        size_t left = source->room - source->bytes;

        va_start(list, format);
        length = vsnprintf(source->text ? source->text + source->bytes : NULL, left, format, list);
        va_end(list);
        if (length >= 0 && (size_t)length < left)
            break;
        source->room = source->room * 2 + (size_t)length + 256;
        source->text = realloc(source->text, source->room);
        if (!source->text)
            abort();
    }
    source->bytes += (size_t)length;
}

void source_instruction(struct source *source, const char *text, unsigned count, const char *const names[128])
{
    if (!strchr(text, '$')) {
        source_add(source, "%s %s", text, names['d']);
        for (unsigned i = 0; i + 1 < count; i++)
            source_add(source, ", %s", names["abc"[i] & 127]);
        source_add(source, ";\n");
        return;
    }
    for (; *text; text++) {
        if (*text == '$')
            source_add(source, "%s", names[*++text & 127]);
        else
            source_add(source, "%c", *text);
    }
    source_add(source, "\n");
}

CUmodule source_load(const struct source *source)
{
    CUmodule loaded;
    CUresult result = cuModuleLoadData(&loaded, source->text);

    if (result != CUDA_SUCCESS) {
        fprintf(stderr, "%s\nis not loaded: %d\n", source->text, result);
        exit(2);
    }
    return loaded;
}

CUdeviceptr device_bytes(const void *bytes, size_t size)
{
    CUdeviceptr address;

    must(cuMemAlloc(&address, size));
    if (bytes)
        must(cuMemcpyHtoD(address, bytes, size));
    else
        must(cuMemsetD8(address, 0, size));
    return address;
}

CUresult kernel_run_and_wait(CUmodule module, const char *name, unsigned blocks, unsigned threads,
                             unsigned shared, const CUdeviceptr *params)
{
    CUfunction function;
    void *list[4];
    CUresult result;

    for (unsigned i = 0; i < 4; i++) {
        CUdeviceptr *param = malloc(sizeof *param);

        *param = params[i];
        list[i] = param;
    }
    must(cuModuleGetFunction(&function, module, name));
    result = cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, NULL, list, NULL);
    for (unsigned i = 0; i < 4; i++)
        free(list[i]);
    return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
}
