/* SPDX-License-Identifier: Apache-2.0 */
/* A link of the chain of test_chain.c: adds CHAIN_ADD to what the next object says; the last one is alone. */
#include <dlfcn.h>
#include <stddef.h>

int chain_value(void);

__attribute__((visibility("default"))) int chain_value(void)
{
#ifdef CHAIN_LAST
    return CHAIN_ADD;
#else
    int (*next)(void) = (int (*)(void))dlsym(RTLD_NEXT, "chain_value");

    return next ? next() + CHAIN_ADD : -1;
#endif
}
