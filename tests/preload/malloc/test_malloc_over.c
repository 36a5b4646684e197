/* SPDX-License-Identifier: Apache-2.0 */
/* EBBTIDE_ON_FULL=allow: the heap may pass the host budget, of 64 MiB. */
#include <criterion/criterion.h>

#include <malloc.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)

Test(over, the_heap_passes_the_budget_and_the_ledger_says_so)
{
    size_t before = mallinfo2().uordblks;
    void *memory[12];

    for (unsigned i = 0; i < 12; i++) {
        memory[i] = malloc(10 * MIB);
        cr_assert(memory[i], "object %u", i);
    }
    cr_expect_geq(mallinfo2().uordblks, 120 * MIB);
    for (unsigned i = 0; i < 12; i++)
        free(memory[i]);
    cr_expect_leq(mallinfo2().uordblks, before + 64 * 1024);
}
