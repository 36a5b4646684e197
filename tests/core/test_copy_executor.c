/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/executor.h"

#include "fake_device.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    BLOCKS = 3
};

static struct fake_device *fake;
static struct device *device;
static struct copy_executor executor;
static struct executors list;
static uint64_t address[BLOCKS];
static struct host_memory host[BLOCKS];

static void begin(void)
{
    fake = fake_create(&(struct fake_config){.count = 2});
    device = &fake->device;
    uint64_t base;
    cr_assert_eq(device->reserve(device, BLOCKS * GRANULE_BYTES, &base), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        uint64_t handle;
        address[i] = base + i * GRANULE_BYTES;
        cr_assert_eq(device->create(device, 0, GRANULE_BYTES, &handle), 0);
        cr_assert_eq(device->map(device, address[i], GRANULE_BYTES, handle), 0);
        cr_assert_eq(device->grant(device, 0, address[i], GRANULE_BYTES), 0);
        cr_assert_eq(device->host_create(device, GRANULE_BYTES, true, &host[i]), 0);
    }
    copy_executor_init(&executor, device);
    list = (struct executors){.row = {&executor.row}, .count = 1};
}

static void end(void)
{
    cr_assert_eq(executor.row.busy, 0);
    cr_assert_null(fake_violation(fake));
    copy_executor_finish(&executor);
    fake_destroy(fake);
}

static struct transfer transfer_of(unsigned block, enum tier to)
{
    return (struct transfer){.from = to == TIER_HOST ? TIER_DEVICE : TIER_HOST,
                             .to = to,
                             .device_address = address[block],
                             .host = &host[block],
                             .bytes = GRANULE_BYTES};
}

Test(copy_executor, copies_out_and_back)
{
    begin();
    memset((void *)address[0], 0x31, GRANULE_BYTES);
    struct transfer out = transfer_of(0, TIER_HOST), back = transfer_of(0, TIER_DEVICE);
    cr_assert_eq(executors_submit(&list, &out), 0);
    cr_assert_eq(executor.row.busy, 1);
    cr_assert_eq(executors_wait(&list, &out), 0);
    cr_assert_eq(((const char *)host[0].cpu)[GRANULE_BYTES - 1], 0x31);
    memset((void *)address[0], 0, GRANULE_BYTES);
    cr_assert_eq(executors_submit(&list, &back), 0);
    cr_assert_eq(executors_wait(&list, &back), 0);
    cr_assert_eq(((const char *)address[0])[GRANULE_BYTES - 1], 0x31);
    end();
}

Test(copy_executor, batch_is_synchronised_once)
{
    begin();
    struct transfer batch[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        memset((void *)address[i], (int)i + 1, GRANULE_BYTES);
        batch[i] = transfer_of(i, TIER_HOST);
        cr_assert_eq(executors_submit(&list, &batch[i]), 0);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(executors_wait(&list, &batch[i]), 0);
    cr_assert_eq(fake->calls[FAKE_COPY], BLOCKS);
    cr_assert_eq(fake->calls[FAKE_COPIED], 1);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(*(const unsigned char *)host[i].cpu, i + 1);
    struct transfer later = transfer_of(0, TIER_HOST);
    cr_assert_eq(executors_submit(&list, &later), 0);
    cr_assert_eq(executors_wait(&list, &later), 0);
    cr_assert_eq(fake->calls[FAKE_COPIED], 2, "what was started after a batch is not in it");
    end();
}

Test(copy_executor, copy_that_does_not_start_leaves_the_others_alone)
{
    begin();
    struct transfer good = transfer_of(0, TIER_HOST), bad = transfer_of(1, TIER_HOST);
    fake_fail(fake, FAKE_COPY, 2, 1, -EIO);
    cr_assert_eq(executors_submit(&list, &good), 0);
    cr_assert_eq(executors_submit(&list, &bad), -EIO);
    cr_assert_eq(executor.row.busy, 1);
    cr_assert_eq(executors_wait(&list, &good), 0);
    end();
}

Test(copy_executor, failed_synchronisation_is_the_result_of_its_batch)
{
    begin();
    struct transfer batch[2] = {transfer_of(0, TIER_HOST), transfer_of(1, TIER_HOST)};
    cr_assert_eq(executors_submit(&list, &batch[0]), 0);
    cr_assert_eq(executors_submit(&list, &batch[1]), 0);
    fake_fail(fake, FAKE_COPIED, 1, 1, -EIO);
    cr_assert_eq(executors_wait(&list, &batch[1]), -EIO);
    cr_assert_eq(executors_wait(&list, &batch[0]), -EIO);
    cr_assert_eq(batch[0].result, -EIO);
    end();
}

Test(copy_executor, two_ways_do_not_wait_for_each_other)
{
    begin();
    memset((void *)address[0], 0x31, GRANULE_BYTES);
    memset(host[1].cpu, 0x32, GRANULE_BYTES);
    memset((void *)address[1], 0, GRANULE_BYTES);
    struct transfer out = transfer_of(0, TIER_HOST), in = transfer_of(1, TIER_DEVICE);
    cr_assert_eq(executors_submit(&list, &in), 0);
    cr_assert_eq(executors_submit(&list, &out), 0);
    cr_assert_eq(executors_wait(&list, &out), 0);
    cr_expect_eq(*(const char *)host[0].cpu, 0x31);
    cr_expect_eq(*(const char *)address[1], 0, "what comes is on its way still");
    fake_fail(fake, FAKE_COPIED, 1, 1, -EIO);
    cr_assert_eq(executors_wait(&list, &in), -EIO);
    cr_expect_eq(executors_wait(&list, &out), 0, "and its error is its own");
    end();
}

Test(copy_executor, transfer_longer_than_its_host_memory_is_refused)
{
    begin();
    struct transfer transfer = transfer_of(0, TIER_HOST);
    transfer.bytes *= 2;
    cr_assert_eq(executors_submit(&list, &transfer), -EINVAL);
    transfer = transfer_of(0, TIER_HOST);
    transfer.ordinal = DEVICE_MAX;
    cr_assert_eq(executors_submit(&list, &transfer), -EINVAL);
    cr_assert_eq(fake->calls[FAKE_COPY], 0);
    end();
}

/* The first to synchronise is held up until the second waits for the same batch. */
static atomic_bool second_may_wait;
static atomic_int second_result;

static void *wait_second(void *arg)
{
    while (!atomic_load(&second_may_wait))
        sched_yield();
    atomic_store(&second_result, executors_wait(&list, arg));
    return NULL;
}

static void let_second_wait(struct fake_device *self, enum fake_call call, void *arg)
{
    (void)self, (void)arg;
    if (call == FAKE_COPIED)
        atomic_store(&second_may_wait, true);
}

Test(copy_executor, two_threads_can_wait_for_one_batch)
{
    begin();
    fake->before = let_second_wait;
    struct transfer batch[2] = {transfer_of(0, TIER_HOST), transfer_of(1, TIER_HOST)};
    memset((void *)address[1], 0x55, GRANULE_BYTES);
    cr_assert_eq(executors_submit(&list, &batch[0]), 0);
    cr_assert_eq(executors_submit(&list, &batch[1]), 0);
    pthread_t thread;
    atomic_store(&second_result, 1);
    cr_assert_eq(pthread_create(&thread, NULL, wait_second, &batch[1]), 0);
    cr_assert_eq(executors_wait(&list, &batch[0]), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(atomic_load(&second_result), 0);
    cr_assert_eq(fake->calls[FAKE_COPIED], 1);
    cr_assert_eq(*(const unsigned char *)host[1].cpu, 0x55);
    end();
}

/* ---- the list ---- */

struct stub {
    struct executor row;
    unsigned submitted;
};

static int stub_submit(struct executor *self, struct transfer *transfer)
{
    (void)transfer;
    ((struct stub *)self)->submitted++;
    return 0;
}

static int stub_wait(struct executor *self, struct transfer *transfer)
{
    (void)transfer;
    return (int)self->busy;
}

Test(executors, least_busy_that_can_gets_the_transfer)
{
    begin();
    struct stub stub[2];
    for (unsigned i = 0; i < 2; i++)
        stub[i] = (struct stub){
            .row = {
                .ends = {TIER_HOST, TIER_DISK}, .busy = 5 - 2 * i, .submit = stub_submit, .wait = stub_wait}};
    struct executors mixed = {.row = {&executor.row, &stub[0].row, &stub[1].row}, .count = 3};
    struct transfer transfer = {.from = TIER_HOST, .to = TIER_DISK};
    cr_assert_eq(executors_submit(&mixed, &transfer), 0);
    cr_assert_eq(stub[1].submitted, 1);
    cr_assert_eq(executors_wait(&mixed, &transfer), 3);
    stub[1].row.busy = 9;
    cr_assert_eq(executors_submit(&mixed, &transfer), 0);
    cr_assert_eq(stub[0].submitted, 1);
    cr_assert_eq(executors_wait(&mixed, &transfer), 5);
    transfer.from = TIER_DEVICE;
    cr_assert_eq(executors_submit(&mixed, &transfer), -ENOTSUP);
    end();
}
