/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_work.h"

#include "fake_memory.h"
#include "fake_pages.h"
#include "fake_place.h"

#include <errno.h>
#include <string.h>

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

bool fake_kernel_uses(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    for (uint64_t i = 0; i < fake->kernel_count; i++)
        if (overlap(address, bytes, fake->kernel[i].address, fake->kernel[i].bytes))
            return true;
    return false;
}

bool fake_copy_touches(struct fake_device *fake, uint64_t address, uint64_t bytes)
{
    for (uint64_t i = 0; i < fake->copy_count; i++)
        if (overlap(address, bytes, fake->copy[i].to, fake->copy[i].bytes) ||
            overlap(address, bytes, fake->copy[i].from, fake->copy[i].bytes))
            return true;
    return false;
}

/* 1 for an alias, 0 for the arena, negative for neither. */
static int copy_side(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    if (fake_host_at(fake, address, bytes))
        return 1;
    return fake_granted(fake, ordinal, address, bytes) ? 0 : -EIO;
}

static int copy_locked(struct fake_device *fake, struct fake_copy copy)
{
    if (copy.bytes == 0 || copy.ordinal >= fake->device.count)
        return fake_violate(fake, "copy of %llu bytes on device %u", (unsigned long long)copy.bytes,
                            copy.ordinal);
    int to = copy_side(fake, copy.ordinal, copy.to, copy.bytes);
    int from = copy.from ? copy_side(fake, copy.ordinal, copy.from, copy.bytes) : to;
    if (to < 0 || from < 0)
        return fake_violate(fake, "copy %s an address that device %u cannot reach", to < 0 ? "to" : "from",
                            copy.ordinal);
    bool comes = fake->config.places && from == 1; /* pages may come while they are in use */
    if (!comes && (fake_kernel_uses(fake, copy.to, copy.bytes) ||
                   (copy.from && fake_kernel_uses(fake, copy.from, copy.bytes))))
        fake_violate(fake, "copy of a range that a running kernel uses");
    if (to == 1 && from == 0)
        fake->to_host_bytes += copy.bytes;
    if (to == 0 && from == 1)
        fake->to_device_bytes += copy.bytes;
    fake->copy = fake_grow(fake->copy, fake->copy_count, &fake->copy_room, sizeof *fake->copy);
    fake->copy[fake->copy_count++] = copy;
    return 0;
}

int fake_copy(struct device *self, unsigned ordinal, uint64_t to, uint64_t from, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_COPY);
    struct fake_copy copy = {.ordinal = ordinal, .to = to, .from = from, .bytes = bytes};
    return fake_call_end(fake, rc ? rc : copy_locked(fake, copy));
}

/*
 * TSan sees a byte of each page that the device reads or writes: the tests use no less than that at a time, and looking
 * at all of them took it nine tenths of its time. The annotations are of libtsan, which has no header for them.
 */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);

static void watch(const char *bytes, uint64_t count)
{
    for (uint64_t at = 0; at < count; at += 4096)
        (void)*(const volatile char *)(bytes + at);
}
#else
#define AnnotateIgnoreReadsBegin(file, line) ((void)0)
#define AnnotateIgnoreReadsEnd(file, line)   ((void)0)

static void watch(const char *bytes, uint64_t count)
{
    (void)bytes, (void)count;
}
#endif

static void copy_bytes(struct fake_device *fake, struct fake_copy copy)
{
    while (copy.bytes > 0) {
        uint64_t to_bytes, from_bytes = UINT64_MAX, bytes = copy.bytes;
        char *to = fake_bytes(fake, copy.to, &to_bytes);
        const char *from = copy.from ? fake_bytes(fake, copy.from, &from_bytes) : NULL;
        bytes = bytes < to_bytes ? bytes : to_bytes;
        bytes = bytes < from_bytes ? bytes : from_bytes;
        watch(to, bytes);
        if (from)
            watch(from, bytes);
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        if (from)
            memmove(to, from, bytes);
        else
            memset(to, 0, bytes);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
        copy.to += bytes;
        copy.from += from ? bytes : 0;
        copy.bytes -= bytes;
    }
}

/* To and from an alias, which has no bytes; zeros are made at once. */
static void send_pages(struct fake_device *fake, struct fake_copy copy)
{
    bool to_host = fake_host_at(fake, copy.to, copy.bytes);
    if (!copy.from)
        memset((void *)copy.to, 0, copy.bytes);
    else
        fake_place_sent(fake, to_host ? copy.from : copy.to, copy.bytes, to_host);
}

static char *host_byte(struct fake_device *fake, uint64_t address)
{
    uint64_t bytes;
    return fake_bytes(fake, address, &bytes);
}

static void scan_make(struct fake_device *fake, const struct scan *scan)
{
    uint64_t bytes;
    const char *piece = fake_bytes(fake, scan->address, &bytes);
    if (bytes < scan->bytes) {
        fake_violate(fake, "search across the end of what is mapped");
        return;
    }
    watch(piece, scan->bytes);
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    for (uint64_t at = 0; fake->scan == FAKE_SCANS && at + 8 <= scan->bytes; at += 4) {
        uint64_t word;
        memcpy(&word, piece + at, sizeof word);
        if (word - scan->base >= scan->span)
            continue;
        *host_byte(fake, scan->marks + (word - scan->base) / GRANULE_BYTES) = 1;
        *host_byte(fake, scan->hit) = 1;
    }
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

static unsigned way_of(struct fake_device *fake, const struct fake_copy *copy)
{
    bool is_zero = !copy->from && !copy->scan.bytes;
    bool is_in = is_zero || (copy->from && fake_host_at(fake, copy->from, copy->bytes));
    return is_in ? WAY_IN : WAY_OUT;
}

/* Make the copies of one device that go some way, or of all. With an error to tell they end without having copied
 * anything. */
static int copies_make(struct fake_device *fake, unsigned ordinal, unsigned ways, bool all, int error)
{
    int rc = error;
    uint64_t kept = 0;
    for (uint64_t i = 0; i < fake->copy_count; i++) {
        struct fake_copy copy = fake->copy[i];
        if (!all && (copy.ordinal != ordinal || !(ways & way_of(fake, &copy)))) {
            fake->copy[kept++] = copy;
            continue;
        }
        if (copy_side(fake, copy.ordinal, copy.to, copy.bytes) < 0 ||
            (copy.from && copy_side(fake, copy.ordinal, copy.from, copy.bytes) < 0))
            rc = fake_violate(fake, "copy that lost its memory before it was waited for");
        else if (copy.scan.bytes && !error)
            scan_make(fake, &copy.scan);
        else if (fake->config.places && !error)
            send_pages(fake, copy);
        else if (!fake->config.contentless && !error)
            copy_bytes(fake, copy);
    }
    fake->copy_count = kept;
    return rc;
}

int fake_zero(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_ZERO);
    struct fake_copy copy = {.ordinal = ordinal, .to = address, .bytes = bytes};
    return fake_call_end(fake, rc ? rc : copy_locked(fake, copy));
}

/* A search is a copy to nowhere until it is waited for; then it is made. */
static int scan_locked(struct fake_device *fake, unsigned ordinal, const struct scan *scan)
{
    struct fake_copy copy = {.ordinal = ordinal, .to = scan->address, .bytes = scan->bytes, .scan = *scan};

    if (fake->config.contentless || fake->scan == FAKE_NO_SCAN)
        return -ENOTSUP;
    if (scan->address % 4 || scan->bytes % 4)
        return fake_violate(fake, "search of a piece that is no row of words");
    if (copy_side(fake, ordinal, scan->marks, scan->span / GRANULE_BYTES) != 1 ||
        copy_side(fake, ordinal, scan->hit, 1) != 1)
        return fake_violate(fake, "search whose results lie in no host memory");
    return copy_locked(fake, copy);
}

int fake_scan(struct device *self, unsigned ordinal, const struct scan *scan)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_SCAN);
    return fake_call_end(fake, rc ? rc : scan_locked(fake, ordinal, scan));
}

int fake_copied(struct device *self, unsigned ordinal, unsigned ways)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_COPIED);
    if (ordinal >= fake->device.count)
        return fake_call_end(fake, fake_violate(fake, "copied of device %u", ordinal));
    if (!rc && ways & WAY_OUT)
        fake_pages_arrive(fake);
    return fake_call_end(fake, copies_make(fake, ordinal, ways, false, rc));
}

int fake_order(struct device *self, unsigned ordinal, void *stream)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_ORDER);
    if (!rc && (!stream || ordinal >= fake->device.count))
        rc = fake_violate(fake, "order of no stream behind device %u", ordinal);
    fake->is_ordered |= !rc;
    return fake_call_end(fake, rc);
}

static void kernels_run(struct fake_device *fake)
{
    if (fake->is_ordered)
        copies_make(fake, 0, WAYS, true, 0);
    fake->is_ordered = false;
    for (uint64_t i = 0; i < fake->kernel_count; i++) {
        struct fake_kernel kernel = fake->kernel[i];
        bool reachable = false;
        for (unsigned ordinal = 0; ordinal < fake->device.count; ordinal++)
            reachable |= fake_granted(fake, ordinal, kernel.address, kernel.bytes);
        if (!reachable)
            fake_violate(fake, "kernel over an address that is not mapped");
        else if (kernel.run && (!fake->config.contentless || fake->config.places))
            kernel.run((void *)kernel.address, kernel.bytes, kernel.arg);
    }
    fake->kernel_count = 0;
}

int fake_drain(struct device *self, uint32_t devices, uint64_t deadline_ns)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_DRAIN);
    if (rc == 0)
        rc = devices & fake->restless || deadline_ns < fake->busy_until_ns ? -ETIMEDOUT : fake->drain_error;
    if (rc == -ETIMEDOUT && deadline_ns != UINT64_MAX && deadline_ns > fake->clock_ns)
        fake->clock_ns = deadline_ns;
    if (rc == 0) {
        if (fake->clock_ns < fake->busy_until_ns)
            fake->clock_ns = fake->busy_until_ns;
        kernels_run(fake);
        rc = copies_make(fake, 0, WAYS, true, 0);
    }
    return fake_call_end(fake, rc);
}

bool fake_rested(struct device *self, unsigned ordinal)
{
    const struct fake_device *fake = fake_of(self);
    return !(fake->restless >> ordinal & 1) && fake->busy_until_ns <= fake->clock_ns &&
           fake->drain_error != -ETIMEDOUT;
}

uint32_t fake_reachers(struct device *self, unsigned ordinal)
{
    return fake_of(self)->peers[ordinal] | 1u << ordinal;
}

uint32_t fake_users(struct device *self, unsigned ordinal)
{
    return fake_reachers(self, ordinal) | fake_of(self)->copiers[ordinal];
}

unsigned fake_runs_on(struct device *self, const void *stream)
{
    const struct fake_device *fake = fake_of(self);
    uintptr_t ordinal = stream ? (uintptr_t)stream - (uintptr_t)fake->stream : 0;

    return ordinal < self->count ? (unsigned)ordinal : DEVICE_MAX;
}

void fake_launch(struct fake_device *fake, uint64_t address, uint64_t bytes, fake_kernel_fn kernel, void *arg)
{
    pthread_mutex_lock(&fake->lock);
    fake->kernel = fake_grow(fake->kernel, fake->kernel_count, &fake->kernel_room, sizeof *fake->kernel);
    fake->kernel[fake->kernel_count++] =
        (struct fake_kernel){.address = address, .bytes = bytes, .run = kernel, .arg = arg};
    pthread_mutex_unlock(&fake->lock);
}

void fake_finish_kernels(struct fake_device *fake)
{
    pthread_mutex_lock(&fake->lock);
    kernels_run(fake);
    pthread_mutex_unlock(&fake->lock);
}

uint64_t fake_kernels(struct fake_device *fake)
{
    pthread_mutex_lock(&fake->lock);
    uint64_t kernels = fake->kernel_count;
    pthread_mutex_unlock(&fake->lock);
    return kernels;
}

void fake_advance(struct fake_device *fake, uint64_t ns)
{
    pthread_mutex_lock(&fake->lock);
    fake->clock_ns += ns;
    pthread_mutex_unlock(&fake->lock);
}

uint64_t fake_now_ns(struct fake_device *fake)
{
    return atomic_load(&fake->clock_ns); /* as cheap as a real one, which is read where no lock is taken */
}
