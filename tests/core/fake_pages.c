/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_pages.h"

#include "fake_memory.h"
#include "fake_work.h"

#include <errno.h>
#include <stdlib.h>

struct fake_page {
    uint8_t may_be, is_on; /* a device, DEVICE_NONE, DEVICE_ANY */
    bool goes;
};

struct fake_pages {
    struct fake_page page[FAKE_PAGES_MAX];
};

static uint64_t number(uint64_t address)
{
    return (address - FAKE_PAGES) / GRANULE_BYTES;
}

static struct fake_page *page_at(struct fake_device *fake, uint64_t page)
{
    if (page >= FAKE_PAGES_MAX)
        abort();
    if (!fake->pages)
        fake->pages = calloc(1, sizeof *fake->pages);
    if (!fake->pages)
        abort();
    return &fake->pages->page[page];
}

static void leave(struct fake_device *fake, struct fake_page *page)
{
    if (page->is_on < fake->device.count)
        fake->used_bytes[page->is_on] -= GRANULE_BYTES;
    page->is_on = DEVICE_NONE;
    page->goes = false;
}

void fake_pages_begin(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    pthread_mutex_lock(&fake->lock);
    for (uint64_t page = number(address); page <= number(address + bytes - 1); page++)
        *page_at(fake, page) = (struct fake_page){DEVICE_ANY, DEVICE_NONE, false};
    pthread_mutex_unlock(&fake->lock);
}

void fake_pages_end(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    pthread_mutex_lock(&fake->lock);
    for (uint64_t page = number(address); page <= number(address + bytes - 1); page++)
        leave(fake, page_at(fake, page));
    pthread_mutex_unlock(&fake->lock);
}

void fake_pages_use(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    pthread_mutex_lock(&fake->lock);
    for (uint64_t page = number(address); page <= number(address + bytes - 1); page++) {
        struct fake_page *used = page_at(fake, page);

        if (used->is_on == ordinal || (used->may_be != ordinal && used->may_be != DEVICE_ANY))
            continue;
        leave(fake, used);
        used->is_on = (uint8_t)ordinal;
        fake->used_bytes[ordinal] += GRANULE_BYTES;
    }
    pthread_mutex_unlock(&fake->lock);
}

uint64_t fake_pages_on(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    uint64_t on_bytes = 0;

    pthread_mutex_lock(&fake->lock);
    for (uint64_t page = number(address); page <= number(address + bytes - 1); page++)
        on_bytes += page_at(fake, page)->is_on == ordinal ? GRANULE_BYTES : 0;
    pthread_mutex_unlock(&fake->lock);
    return on_bytes;
}

void fake_pages_arrive(struct fake_device *fake)
{
    for (uint64_t page = 0; fake->pages && page < FAKE_PAGES_MAX; page++)
        if (fake->pages->page[page].goes)
            leave(fake, &fake->pages->page[page]);
}

void fake_pages_destroy(struct fake_device *fake)
{
    free(fake->pages);
}

int fake_confine(struct device *self, unsigned from, unsigned to, uint64_t address, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_CONFINE);

    for (uint64_t page = number(address); !rc && page <= number(address + bytes - 1); page++) {
        struct fake_page *confined = page_at(fake, page);

        if (bytes >= GRANULE_BYTES && confined->may_be != from) /* what is smaller may share its page */
            rc = fake_violate(fake, "a page that may be on %u is taken from %u", confined->may_be, from);
        confined->may_be = (uint8_t)to;
    }
    return fake_call_end(fake, rc);
}

int fake_send_home(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_SEND_HOME);

    for (uint64_t page = number(address); !rc && page <= number(address + bytes - 1); page++) {
        struct fake_page *sent = page_at(fake, page);

        if ((bytes >= GRANULE_BYTES && sent->may_be != DEVICE_NONE) || ordinal >= fake->device.count)
            rc = fake_violate(fake, "a page is sent home that may be on device %u", sent->may_be);
        sent->goes = !rc;
    }
    return fake_call_end(fake, rc);
}
