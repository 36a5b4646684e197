/* SPDX-License-Identifier: Apache-2.0 */
/* Modules and libraries: their functions have parameter layouts, their images have global data. */
#include "cuda/kernel_parameters.h"
#include "cuda/modules.h"
#include "hook/hooks.h"

CUresult hook_cuModuleLoad(__typeof__(cuModuleLoad) *next, CUmodule *module, const char *fname)
{
    return modules_from_file(next(module, fname), module, false, fname);
}

CUresult hook_cuModuleLoadData(__typeof__(cuModuleLoadData) *next, CUmodule *module, const void *image)
{
    return modules_from_memory(next(module, image), module, false, image);
}

CUresult hook_cuModuleLoadDataEx(__typeof__(cuModuleLoadDataEx) *next, CUmodule *module, const void *image,
                                 unsigned int numOptions, CUjit_option *options, void **optionValues)
{
    return modules_from_memory(next(module, image, numOptions, options, optionValues), module, false, image);
}

CUresult hook_cuModuleUnload(__typeof__(cuModuleUnload) *next, CUmodule hmod)
{
    kernel_parameters_forget_module(hmod);
    modules_forget(hmod);
    return next(hmod);
}

CUresult hook_cuLibraryLoadData(__typeof__(cuLibraryLoadData) *next, CUlibrary *library, const void *code,
                                CUjit_option *jitOptions, void **jitOptionsValues, unsigned int numJitOptions,
                                CUlibraryOption *libraryOptions, void **libraryOptionValues,
                                unsigned int numLibraryOptions)
{
    return modules_from_memory(next(library, code, jitOptions, jitOptionsValues, numJitOptions,
                                    libraryOptions, libraryOptionValues, numLibraryOptions),
                               library, true, code);
}

CUresult hook_cuLibraryLoadFromFile(__typeof__(cuLibraryLoadFromFile) *next, CUlibrary *library,
                                    const char *fileName, CUjit_option *jitOptions, void **jitOptionsValues,
                                    unsigned int numJitOptions, CUlibraryOption *libraryOptions,
                                    void **libraryOptionValues, unsigned int numLibraryOptions)
{
    return modules_from_file(next(library, fileName, jitOptions, jitOptionsValues, numJitOptions,
                                  libraryOptions, libraryOptionValues, numLibraryOptions),
                             library, true, fileName);
}

CUresult hook_cuLibraryUnload(__typeof__(cuLibraryUnload) *next, CUlibrary library)
{
    kernel_parameters_forget_library(library);
    modules_forget(library);
    return next(library);
}
