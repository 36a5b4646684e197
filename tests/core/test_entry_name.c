/* SPDX-License-Identifier: Apache-2.0 */
#include "base/entry_name.h"

#include <criterion/criterion.h>

Test(entry_name, suffixes_are_taken_apart)
{
    struct entry_name name = entry_name_of("cuMemcpyDtoHAsync_v2_ptsz");

    cr_expect_eq(name.length, sizeof "cuMemcpyDtoHAsync" - 1);
    cr_expect_eq(name.version, 2);
    cr_expect(name.per_thread);
    name = entry_name_of("cuLaunchKernel");
    cr_expect_eq(name.length, sizeof "cuLaunchKernel" - 1);
    cr_expect_eq(name.version, 1);
    cr_expect_not(name.per_thread);
    cr_expect(entry_name_of("cuMemcpy_ptds").per_thread);
    cr_expect_eq(entry_name_of("_v2").length, 3);
    cr_expect_eq(entry_name_of("").length, 0);
}

Test(entry_name, a_newer_abi_and_another_stream_follow_an_older_abi_does_not)
{
    cr_expect(entry_name_follows("cuMemAlloc_v3", "cuMemAlloc_v2"));
    cr_expect(entry_name_follows("cuLaunchKernel_ptsz", "cuLaunchKernel"));
    cr_expect(entry_name_follows("cuLaunchKernel_v2", "cuLaunchKernel"));
    cr_expect_not(entry_name_follows("cuMemAlloc", "cuMemAlloc_v2"));
    cr_expect_not(entry_name_follows("cuMemAllocAsync", "cuMemAlloc"));
    cr_expect_not(entry_name_follows("cuMemAllo_v3", "cuMemAlloc_v2"));
}
