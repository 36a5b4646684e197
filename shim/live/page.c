/* SPDX-License-Identifier: Apache-2.0 */
/* page.c - see page.h. */
#include "live/page.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

size_t live_page_bytes(uint32_t devices)
{
    return offsetof(struct live_page, look) + devices * sizeof(((struct live_page *)0)->look[0]);
}

size_t live_now_bytes(uint32_t devices)
{
    return offsetof(struct live_now, device) + devices * sizeof(struct live_device);
}

/* ---- seals --------------------------------------------------------------------------------------------------------- */

static uint64_t head_sum(const struct live_head *head)
{
    return XXH3_64bits(head, offsetof(struct live_head, sum));
}

static uint64_t now_sum(const struct live_now_copy *copy)
{
    return XXH3_64bits_withSeed(&copy->now, live_now_bytes(copy->now.devices), copy->seal.number);
}

static uint64_t look_sum(const struct live_look_copy *copy)
{
    return XXH3_64bits_withSeed(&copy->look, sizeof(copy->look), copy->seal.number);
}

void live_seal_head(struct live_head *head)
{
    head->magic = LIVE_MAGIC;
    head->version = LIVE_VERSION;
    head->sum = head_sum(head);
}

void live_seal_now(struct live_now_copy *copy, uint64_t number)
{
    copy->seal.number = number;
    copy->seal.sum = now_sum(copy);
}

void live_seal_look(struct live_look_copy *copy, uint64_t number)
{
    copy->seal.number = number;
    copy->seal.sum = look_sum(copy);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* What text a page has is ended by NUL: the checksum proves nothing about who made it. */
static bool is_text(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) != NULL;
}

static bool head_holds(const struct live_head *head)
{
    return head->sum == head_sum(head) && head->devices >= 1 && head->devices <= LIVE_DEVICES &&
           is_text(head->boot, sizeof(head->boot)) && is_text(head->who.command, sizeof(head->who.command));
}

static bool now_holds(const struct live_now_copy *copy, uint32_t devices)
{
    return copy->seal.number && copy->now.devices <= devices && copy->seal.sum == now_sum(copy) &&
           is_text(copy->now.account_only, sizeof(copy->now.account_only));
}

static bool look_holds(const struct live_look_copy *copy)
{
    return copy->seal.number && copy->seal.sum == look_sum(copy);
}

/* The newer of two that hold; -1: neither does. */
static int newer(bool holds_0, uint64_t number_0, bool holds_1, uint64_t number_1)
{
    if (holds_0 && holds_1)
        return number_1 > number_0;
    return holds_1 ? 1 : holds_0 ? 0 : -1;
}

static int take_now(const struct live_page *page, struct live_view *out)
{
    const struct live_now_copy *copy = page->now;
    bool holds[2] = {now_holds(&copy[0], page->head.devices), now_holds(&copy[1], page->head.devices)};
    int which = newer(holds[0], copy[0].seal.number, holds[1], copy[1].seal.number);

    if (which < 0)
        return -ENODATA;
    memcpy(&out->now, &copy[which].now, live_now_bytes(copy[which].now.devices));
    out->is_cut = !holds[!which] && copy[!which].seal.number;
    return 0;
}

static void take_look(const struct live_look_copy copy[2], struct live_look *out)
{
    int which = newer(look_holds(&copy[0]), copy[0].seal.number, look_holds(&copy[1]), copy[1].seal.number);

    if (which >= 0)
        *out = copy[which].look;
}

int live_view(const void *bytes, size_t length, struct live_view *out)
{
    const struct live_page *page = bytes;
    int error;

    if (length < sizeof(page->head) || page->head.magic != LIVE_MAGIC)
        return -EINVAL;
    if (page->head.version != LIVE_VERSION)
        return -EPROTONOSUPPORT;
    if (!head_holds(&page->head))
        return -EINVAL;
    if (length < live_page_bytes(page->head.devices))
        return -ENODATA;
    memset(out, 0, sizeof(*out));
    out->head = page->head;
    error = take_now(page, out);
    for (uint32_t i = 0; !error && i < out->now.devices; i++)
        take_look(page->look[i], &out->look[i]);
    return error;
}
