/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA_VISIBLE_DEVICES, and what tells devices apart. A machine of four; NVML shows all of them, in their order. */
#include "driver.h"
#include "nvml/nvml.h"

#include <criterion/criterion.h>
#include <string.h>

enum {
    MACHINE = 4
};

static const char *uuid_of(unsigned index)
{
    static char uuids[MACHINE][96];
    nvmlDevice_t device;

    cr_assert_eq(nvmlDeviceGetHandleByIndex_v2(index, &device), NVML_SUCCESS);
    cr_assert_eq(nvmlDeviceGetUUID(device, uuids[index], sizeof uuids[index]), NVML_SUCCESS);
    return uuids[index];
}

static void begin(void)
{
    setenv("SIMGPU_DEVICES", "4", 1);
    unsetenv("CUDA_VISIBLE_DEVICES");
    cr_assert_eq(nvmlInit_v2(), NVML_SUCCESS);
}

TestSuite(visible, .init = begin);

/* Exactly these devices of the machine, in this order, by their digits. */
static void expect_visible(const char *list, const char *indexes)
{
    int count;

    if (list)
        setenv("CUDA_VISIBLE_DEVICES", list, 1);
    if (!*indexes) {
        cr_assert_eq(cuInit(0), CUDA_ERROR_NO_DEVICE);
        cr_assert_eq(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
        return;
    }
    must(cuInit(0));
    must(cuDeviceGetCount(&count));
    cr_assert_eq((size_t)count, strlen(indexes), "%s: %d devices", list, count);
    for (int i = 0; i < count; i++) {
        const char *expected = uuid_of((unsigned)(indexes[i] - '0'));
        char text[64], bus[16], *at = text + sprintf(text, "GPU-");
        CUuuid uuid, again;

        must(cuDeviceGetUuid(&uuid, i));
        must(cuDeviceGetUuid_v2(&again, i));
        cr_assert_arr_eq(&uuid, &again, sizeof uuid);
        for (int byte = 0; byte < 16; byte++)
            at += sprintf(at, "%s%02x", byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-" : "",
                          (unsigned char)uuid.bytes[byte]);
        cr_assert_str_eq(text, expected);
        must(cuDeviceGetPCIBusId(bus, sizeof bus, i));
        cr_assert_eq(strtol(bus + 5, NULL, 16), indexes[i] - '0' + 1);
    }
}

Test(visible, all_are_without_a_list)
{
    expect_visible(NULL, "0123");
}

Test(visible, none_is_with_an_empty_list)
{
    expect_visible("", "");
}

Test(visible, none_is_behind_a_first_that_does_not_exist)
{
    expect_visible("-1", "");
}

Test(visible, numbers_give_the_order)
{
    expect_visible("2,0,3", "203");
}

Test(visible, what_follows_an_invalid_number_is_hidden)
{
    expect_visible("0,2,-1,1", "02");
}

Test(visible, a_number_beyond_the_last_is_invalid)
{
    expect_visible("1,4,0", "1");
}

Test(visible, a_word_is_no_number)
{
    expect_visible("3,x,0", "3");
}

Test(visible, what_follows_a_number_in_a_word_does_not_matter)
{
    expect_visible("1gpu, 2ampere", "12");
}

Test(visible, an_empty_word_ends_the_list)
{
    expect_visible("1,,2", "1");
}

Test(visible, one_named_twice_leaves_none)
{
    expect_visible("0,1,0", "");
}

Test(visible, uuids_give_the_order)
{
    char list[256];

    snprintf(list, sizeof list, "%s,%s", uuid_of(3), uuid_of(1));
    expect_visible(list, "31");
}

/* As much of it as tells it from the others. */
static int needed(unsigned index)
{
    int length = 0;

    for (unsigned i = 0; i < MACHINE; i++) {
        int common = 0;

        while (i != index && uuid_of(i)[common] == uuid_of(index)[common])
            common++;
        length = common + 1 > length ? common + 1 : length;
    }
    return length;
}

Test(visible, a_uuid_can_be_abbreviated)
{
    char list[256];

    snprintf(list, sizeof list, "%.*s,%.*s", needed(2), uuid_of(2), needed(0) + 5, uuid_of(0));
    expect_visible(list, "20");
}

Test(visible, an_abbreviation_of_two_is_invalid)
{
    char list[256];

    snprintf(list, sizeof list, "%s,GPU-,%s", uuid_of(2), uuid_of(0));
    expect_visible(list, "2");
}

Test(visible, a_uuid_that_is_nobodys_is_invalid)
{
    char list[256];

    snprintf(list, sizeof list, "%s,GPU-00000000-0000-0000-0000-000000000000,%s", uuid_of(2), uuid_of(0));
    expect_visible(list, "2");
}

Test(visible, a_number_among_uuids_is_invalid)
{
    char list[256];

    snprintf(list, sizeof list, "%s,1", uuid_of(2));
    expect_visible(list, "2");
}

Test(visible, one_named_by_two_abbreviations_leaves_none)
{
    char list[256];

    snprintf(list, sizeof list, "%s,%.*s", uuid_of(2), needed(2), uuid_of(2));
    expect_visible(list, "");
}

Test(visible, partitions_do_not_exist)
{
    expect_visible("MIG-0", "");
}

Test(visible, the_order_of_devices_is_that_of_the_bus)
{
    setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
    expect_visible("3,0", "30");
}

Test(visible, nvml_shows_what_is_hidden)
{
    nvmlDevice_t device;
    unsigned count;

    expect_visible("2", "2");
    cr_assert_eq(nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
    cr_assert_eq(count, MACHINE);
    cr_assert_eq(nvmlDeviceGetHandleByUUID(uuid_of(3), &device), NVML_SUCCESS);
}
