/* SPDX-License-Identifier: Apache-2.0 */
/* Advice about managed memory: what it changes of where pages are, and what is known of it. */
#include "driver.h"
#include "pages.h"

#include <criterion/criterion.h>

Test(advice, what_is_used_comes_unless_it_can_be_reached_where_it_is)
{
    CUdeviceptr block;

    start_small("1");
    block = managed(8 * MIB);
    fetch(block, 8 * MIB, HOST);
    advise(block + 2 * MIB, 2 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
    advise(block + 4 * MIB, 2 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, HOST);
    advise(block + 6 * MIB, 2 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
    advise(block + 6 * MIB, 2 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, 0);
    use(block, 8 * MIB);
    cr_assert_eq(mib(block, 2 * MIB, 0), 2, "nothing is known of it");
    cr_assert_eq(mib(block + 2 * MIB, 2 * MIB, HOST), 2, "it is mapped");
    cr_assert_eq(mib(block + 4 * MIB, 2 * MIB, HOST), 2, "there it is preferred");
    cr_assert_eq(mib(block + 6 * MIB, 2 * MIB, 0), 2, "here it is preferred");
    advise(block, 8 * MIB, CU_MEM_ADVISE_UNSET_ACCESSED_BY, 0);
    advise(block, 8 * MIB, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, 0);
    use(block, 8 * MIB);
    cr_assert_eq(mib(block, 8 * MIB, 0), 8);
}

Test(advice, the_first_use_puts_it_where_it_is_preferred)
{
    CUdeviceptr block;

    start_small("2");
    block = managed(6 * MIB);
    advise(block, 2 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, HOST);
    advise(block + 2 * MIB, 2 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, 1);
    use(block, 6 * MIB);
    cr_assert_eq(mib(block, 6 * MIB, HOST), 2);
    cr_assert_eq(mib(block + 2 * MIB, 2 * MIB, 1), 2);
    cr_assert_eq(mib(block + 4 * MIB, 2 * MIB, 0), 2);
}

Test(advice, a_page_is_on_one_device_unless_it_is_mostly_read)
{
    CUdeviceptr block;

    start_small("2");
    block = managed(2 * MIB);
    fetch(block, 2 * MIB, 1);
    use(block, 2 * MIB);
    cr_assert_eq(mib(block, 2 * MIB, 0), 2);
    cr_assert_eq(simgpu_used_bytes(1), 0);
    advise(block, 2 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, HOST);
    fetch(block, 2 * MIB, 1);
    fetch(block, 2 * MIB, HOST);
    cr_assert_eq(mib(block, 2 * MIB, 0) + mib(block, 2 * MIB, 1) + mib(block, 2 * MIB, HOST), 6);
    must(cuMemsetD32(block, 1, 1));
    must(cuCtxSynchronize());
    cr_assert_eq(simgpu_used_bytes(0), 2 * MIB, "what is written is one again");
    cr_assert_eq(simgpu_used_bytes(1), 0);
    fetch(block, 2 * MIB, 1);
    advise(block, 2 * MIB, CU_MEM_ADVISE_UNSET_READ_MOSTLY, HOST);
    cr_assert_eq(simgpu_used_bytes(0) + simgpu_used_bytes(1), 2 * MIB);
}

Test(advice, a_write_from_elsewhere_ends_all_copies_but_one)
{
    CUdeviceptr block, plain;

    start_small("2");
    block = managed(2 * MIB);
    advise(block, 2 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, HOST);
    advise(block, 2 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
    fetch(block, 2 * MIB, 1);
    fetch(block, 2 * MIB, HOST);
    must(cuMemsetD32(block, 1, 1));
    must(cuCtxSynchronize());
    cr_assert_eq(mib(block, 2 * MIB, 0), 2, "the mapping does not count");
    cr_assert_eq(mib(block, 2 * MIB, 1) + mib(block, 2 * MIB, HOST), 0);
    fetch(block, 2 * MIB, 1);
    fetch(block, 2 * MIB, HOST);
    must(cuMemAlloc(&plain, 16 * MIB));
    must(cuMemsetD32(block, 1, 1));
    must(cuCtxSynchronize());
    cr_assert_eq(mib(block, 2 * MIB, 1) + mib(block, 2 * MIB, HOST), 2, "there is no room here");
}

Test(advice, a_mapping_reaches_pages_of_another_device)
{
    CUdeviceptr block;

    start_small("2");
    block = managed(4 * MIB);
    fetch(block, 4 * MIB, 1);
    advise(block, 2 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
    use(block, 4 * MIB);
    cr_assert_eq(mib(block, 2 * MIB, 1), 2);
    cr_assert_eq(mib(block + 2 * MIB, 2 * MIB, 0), 2);
}

Test(advice, of_several_copies_only_the_last_goes_to_the_host)
{
    CUdeviceptr block, others;

    start_small("2");
    block = managed(2 * MIB);
    others = managed(16 * MIB);
    advise(block, 2 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, HOST);
    fetch(block, 2 * MIB, 0);
    fetch(block, 2 * MIB, 1);
    fetch(others, 16 * MIB, 0);
    cr_assert_eq(mib(block, 2 * MIB, 0) + mib(block, 2 * MIB, HOST), 0);
    cr_assert_eq(mib(block, 2 * MIB, 1), 2);
    fetch(others, 16 * MIB, 1);
    cr_assert_eq(mib(block, 2 * MIB, HOST), 2);
    cr_assert_eq(simgpu_used_bytes(0), 0);
}

static int attribute(CUdeviceptr start, size_t bytes, CUmem_range_attribute name)
{
    int value = 99;

    must(cuMemRangeGetAttribute(&value, sizeof value, name, start, bytes));
    return value;
}

Test(advice, what_was_advised_and_asked_for_is_known_of_a_range)
{
    int accessors[3];
    CUdeviceptr block;

    start_small("2");
    block = managed(4 * MIB);
    cr_assert_eq(attribute(block, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), CU_DEVICE_INVALID);
    fetch(block, 4 * MIB, 1);
    cr_assert_eq(attribute(block, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), 1);
    fetch(block, MIB, HOST);
    cr_assert_eq(attribute(block, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), CU_DEVICE_INVALID);
    cr_assert_eq(attribute(block, MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE),
                 CU_MEM_LOCATION_TYPE_HOST);
    advise(block, 4 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 1);
    advise(block + 2 * MIB, MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
    advise(block, 4 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, HOST);
    advise(block, MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, HOST);
    must(cuMemRangeGetAttribute(accessors, sizeof accessors, CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, block,
                                4 * MIB));
    cr_assert(accessors[0] == 1 && accessors[1] == CU_DEVICE_INVALID && accessors[2] == CU_DEVICE_INVALID);
    cr_assert_eq(attribute(block, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION), CU_DEVICE_CPU);
    cr_assert_eq(attribute(block, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 0);
    cr_assert_eq(attribute(block, MIB, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 1);
    cr_assert_eq(cuMemRangeGetAttribute(accessors, 8, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, block, MIB),
                 CUDA_ERROR_INVALID_VALUE);
}
