/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuInit, and the functions that hand out entries.
 *
 * The driver is asked first, and the pointer that it returned decides: name, version and flags together choose an
 * ABI, and only the driver knows which.
 */
#include "base/options.h"
#include "hook/hook_words.h"
#include "hook/lifecycle.h"
#include "hook/self_test.h"

void hook_entry_replace(const char *symbol, void **function)
{
    if (!function || !*function || options_of_process()->disable)
        return;
    void *hook = hooks_replace(*function);

    if (hook == *function)
        self_test_passed(symbol, hook);
    *function = hook;
}

CUresult hook_cuInit(__typeof__(cuInit) *next, unsigned int Flags)
{
    CUresult result = next(Flags);

    if (result == CUDA_SUCCESS)
        lifecycle_cuda_started();
    return result;
}
