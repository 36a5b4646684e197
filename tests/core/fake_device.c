/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_device.h"

#include "base/lock.h"

#include "fake_map.h"
#include "fake_memory.h"
#include "fake_pages.h"
#include "fake_place.h"
#include "fake_work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Aliases of a contentless device: addresses that nobody can mistake for the arena's. */
#define CONTENTLESS_ALIASES (UINT64_C(1) << 62)

static int usual_error(enum fake_call call)
{
    if (call == FAKE_RESERVE || call == FAKE_PLACE || call == FAKE_CREATE || call == FAKE_HOST_CREATE)
        return -ENOMEM;
    return call == FAKE_DRAIN ? -ETIMEDOUT : -EIO;
}

int fake_call_begin(struct fake_device *fake, enum fake_call call)
{
    lock_assert_none();
    if (fake->before)
        fake->before(fake, call, fake->before_arg);
    pthread_mutex_lock(&fake->lock);
    fake->calls[call]++;
    struct fake_failure *failure = &fake->failure[call];
    if (failure->times == 0)
        return 0;
    if (failure->after > 0) {
        failure->after--;
        return 0;
    }
    failure->times--;
    return failure->error;
}

int fake_call_end(struct fake_device *fake, int rc)
{
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

#define MAP_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* What nobody reads needs no addresses of the process: tools that watch it have few to give. */
#define NOWHERE      ((uint64_t)1 << 48)
#define NOWHERE_STEP ((uint64_t)1 << 44)

/* Aligned address space; 0: there is none. */
static uint64_t space_take(uint64_t bytes)
{
    char *space = mmap(NULL, bytes + GRANULE_BYTES, PROT_NONE, MAP_FLAGS, -1, 0);
    if (space == MAP_FAILED)
        return 0;
    uint64_t before = -(uint64_t)space % GRANULE_BYTES;
    if (before != 0)
        munmap(space, before);
    munmap(space + before + bytes, GRANULE_BYTES - before);
    return (uint64_t)space + before;
}

static int reserve_locked(struct fake_device *fake, uint64_t bytes, uint64_t *out_base)
{
    if (bytes == 0 || bytes % GRANULE_BYTES != 0)
        return fake_violate(fake, "reserve of %llu bytes", (unsigned long long)bytes);
    struct fake_reservation *reservation = fake->reservation;
    while (reservation < fake->reservation + FAKE_RESERVATIONS && reservation->bytes != 0)
        reservation++;
    if (reservation == fake->reservation + FAKE_RESERVATIONS)
        return -ENOMEM;
    uint32_t *map = mmap(NULL, bytes / GRANULE_BYTES * sizeof *map, PROT_READ | PROT_WRITE, MAP_FLAGS, -1, 0);
    if (map == MAP_FAILED)
        return -ENOMEM;
    uint64_t base = NOWHERE + (uint64_t)(reservation - fake->reservation) * NOWHERE_STEP;
    if (!fake->config.contentless && !(base = space_take(bytes))) {
        munmap(map, bytes / GRANULE_BYTES * sizeof *map);
        return -ENOMEM;
    }
    *reservation = (struct fake_reservation){.base = base, .bytes = bytes, .map = map};
    *out_base = base;
    return 0;
}

static int fake_reserve(struct device *self, uint64_t bytes, uint64_t *out_base)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_RESERVE);
    return fake_call_end(fake, rc ? rc : reserve_locked(fake, bytes, out_base));
}

static void fake_unreserve(struct device *self, uint64_t base, uint64_t bytes)
{
    struct fake_device *fake = fake_of(self);
    pthread_mutex_lock(&fake->lock);
    struct fake_reservation *reservation = fake_reservation_at(fake, base, bytes);
    if (!reservation || reservation->base != base || reservation->bytes != bytes) {
        fake_violate(fake, "unreserve of a range that was not reserved so");
    } else {
        for (uint64_t i = 0; i < fake->map_count; i++)
            if (fake->map[i].live && fake_reservation_at(fake, fake->map[i].address, 1) == reservation)
                fake_violate(fake, "unreserve with something mapped in it");
        if (!fake->config.contentless)
            munmap((void *)base, bytes);
        munmap(reservation->map, bytes / GRANULE_BYTES * sizeof *reservation->map);
        *reservation = (struct fake_reservation){0};
    }
    pthread_mutex_unlock(&fake->lock);
}

static int create_locked(struct fake_device *fake, unsigned ordinal, uint64_t bytes, uint64_t *out_handle)
{
    if (bytes == 0 || bytes % GRANULE_BYTES != 0 || ordinal >= fake->device.count)
        return fake_violate(fake, "create of %llu bytes on device %u", (unsigned long long)bytes, ordinal);
    if (bytes > fake->config.capacity_bytes - fake->used_bytes[ordinal])
        return -ENOMEM;
    fake->used_bytes[ordinal] += bytes;
    *out_handle = fake_handle_add(
        fake, (struct fake_handle){
                  .bytes = bytes, .file_at = fake_file_take(fake, bytes), .ordinal = ordinal, .live = true});
    return 0;
}

static int fake_create_handle(struct device *self, unsigned ordinal, uint64_t bytes, uint64_t *out_handle)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_CREATE);
    return fake_call_end(fake, rc ? rc : create_locked(fake, ordinal, bytes, out_handle));
}

static int release_locked(struct fake_device *fake, uint64_t id)
{
    struct fake_handle *handle = fake_handle_of(fake, id);
    if (!handle || handle->host)
        return fake_violate(fake, "release of handle %llu, which is not alive", (unsigned long long)id);
    if (handle->maps != 0)
        return fake_violate(fake, "release of handle %llu while it is mapped", (unsigned long long)id);
    handle->live = false;
    fake->live_handles--;
    fake->used_bytes[handle->ordinal] -= handle->bytes;
    fake_file_give(fake, handle->file_at, handle->bytes);
    return 0;
}

static int fake_release(struct device *self, uint64_t handle)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_RELEASE);
    return fake_call_end(fake, rc ? rc : release_locked(fake, handle));
}

static int host_create_locked(struct fake_device *fake, uint64_t bytes, bool mappable,
                              struct host_memory *out)
{
    if (bytes == 0 || bytes % GRANULE_BYTES != 0)
        return fake_violate(fake, "host_create of %llu bytes", (unsigned long long)bytes);
    if (mappable && fake->config.strict)
        return -ENOTSUP;
    if (bytes > fake->config.host_capacity_bytes - fake->host_used_bytes)
        return -ENOMEM;
    struct fake_host host = {.file_at = fake_file_take(fake, bytes), .live = true};
    host.memory.bytes = bytes;
    host.memory.alias = CONTENTLESS_ALIASES + host.file_at;
    if (!fake->config.contentless) {
        host.memory.cpu =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fake->file, (off_t)host.file_at);
        if (host.memory.cpu == MAP_FAILED)
            abort();
        host.memory.alias = (uint64_t)host.memory.cpu;
    }
    if (mappable)
        host.memory.handle = fake_handle_add(
            fake, (struct fake_handle){.bytes = bytes, .file_at = host.file_at, .host = true, .live = true});
    fake->host_used_bytes += bytes;
    fake->live_hosts++;
    fake->host = fake_grow(fake->host, fake->host_count, &fake->host_room, sizeof *fake->host);
    fake->host[fake->host_count++] = host;
    *out = host.memory;
    return 0;
}

static int fake_host_create(struct device *self, uint64_t bytes, bool mappable, struct host_memory *out)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_HOST_CREATE);
    return fake_call_end(fake, rc ? rc : host_create_locked(fake, bytes, mappable, out));
}

static void host_destroy_locked(struct fake_device *fake, struct host_memory *memory)
{
    struct fake_host *host = fake_host_at(fake, memory->alias, memory->bytes);
    if (!host || memcmp(&host->memory, memory, sizeof *memory) != 0) {
        fake_violate(fake, "host_destroy of host memory that is not alive");
        return;
    }
    struct fake_handle *handle = fake_handle_of(fake, memory->handle);
    if (handle) {
        if (handle->maps != 0)
            fake_violate(fake, "host_destroy of host memory that is mapped at a block's address");
        handle->live = false;
        fake->live_handles--;
    }
    if (memory->cpu)
        munmap(memory->cpu, memory->bytes);
    fake_file_give(fake, host->file_at, memory->bytes);
    fake->host_used_bytes -= memory->bytes;
    fake->live_hosts--;
    *host = fake->host[--fake->host_count];
    memset(memory, 0, sizeof *memory);
}

static void fake_host_destroy(struct device *self, struct host_memory *memory)
{
    struct fake_device *fake = fake_of(self);
    /* It cannot fail; one that was asked to is not skipped. */
    (void)fake_call_begin(fake, FAKE_HOST_DESTROY);
    host_destroy_locked(fake, memory);
    fake_call_end(fake, 0);
}

static int fake_memory(struct device *self, unsigned ordinal, uint64_t *out_free_bytes,
                       uint64_t *out_total_bytes)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_begin(fake, FAKE_MEMORY);
    if (rc == 0 && ordinal >= fake->device.count)
        rc = fake_violate(fake, "memory of device %u", ordinal);
    if (rc == 0) {
        *out_free_bytes = fake->config.capacity_bytes - fake->used_bytes[ordinal];
        *out_total_bytes = fake->config.capacity_bytes;
    }
    return fake_call_end(fake, rc);
}

static int fake_roots(struct device *self, bool cpu_writable_only, root_visit_fn visit, void *arg,
                      const char **out_why)
{
    struct fake_device *fake = fake_of(self);
    int rc = fake_call_end(fake, fake_call_begin(fake, FAKE_ROOTS));
    if (rc != 0)
        return rc;
    if (fake->roots_unknown) {
        *out_why = fake->roots_unknown;
        return -ENOTSUP;
    }
    /* Without the lock: a visit may copy what it is shown. */
    for (unsigned i = 0; i < fake->root_count && rc == 0; i++)
        if (fake->root[i].cpu_writable || !cpu_writable_only)
            rc = visit(&fake->root[i].root, arg);
    return rc;
}

static uint64_t fake_clock(struct device *self)
{
    return fake_now_ns(fake_of(self));
}

static const struct device FAKE_TABLE = {
    .reserve = fake_reserve,
    .unreserve = fake_unreserve,
    .create = fake_create_handle,
    .release = fake_release,
    .host_create = fake_host_create,
    .host_destroy = fake_host_destroy,
    .map = fake_map_handle,
    .unmap = fake_unmap,
    .grant = fake_grant,
    .copy = fake_copy,
    .zero = fake_zero,
    .scan = fake_scan,
    .copied = fake_copied,
    .order = fake_order,
    .confine = fake_confine,
    .send_home = fake_send_home,
    .drain = fake_drain,
    .rested = fake_rested,
    .reachers = fake_reachers,
    .users = fake_users,
    .runs_on = fake_runs_on,
    .memory = fake_memory,
    .roots = fake_roots,
    .now_ns = fake_clock,
};

struct fake_device *fake_create(const struct fake_config *config)
{
    struct fake_device *fake = calloc(1, sizeof *fake);
    if (!fake)
        abort();
    if (config)
        fake->config = *config;
    if (fake->config.capacity_bytes == 0)
        fake->config.capacity_bytes = UINT64_C(1) << 30;
    if (fake->config.host_capacity_bytes == 0)
        fake->config.host_capacity_bytes = UINT64_C(4) << 30;
    fake->device = FAKE_TABLE;
    if (fake->config.places) { /* the bytes are those at the addresses: handles and host memory have none */
        fake->config.contentless = true;
        fake->device.place = fake_place;
        fake->device.unplace = fake_unplace;
    }
    fake->device.count = fake->config.count ? fake->config.count : 1;
    fake->device.host_mappable = !fake->config.strict;
    /* Not 0, which a caller may take for "never". */
    fake->clock_ns = 1000000000;
    fake->reservation = calloc(FAKE_RESERVATIONS, sizeof *fake->reservation);
    fake->file = memfd_create("fake-device", MFD_CLOEXEC);
    fake->view =
        mmap(NULL, FAKE_VIEW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fake->file, 0);
    if (!fake->reservation || fake->file < 0 || fake->view == MAP_FAILED)
        abort();
    pthread_mutex_init(&fake->lock, NULL);
    return fake;
}

void fake_destroy(struct fake_device *fake)
{
    if (!fake)
        return;
    for (unsigned i = 0; i < FAKE_RESERVATIONS; i++) {
        struct fake_reservation *reservation = &fake->reservation[i];
        if (reservation->bytes == 0)
            continue;
        if (!fake->config.contentless || fake->config.places)
            munmap((void *)reservation->base, reservation->bytes);
        munmap(reservation->map, reservation->bytes / GRANULE_BYTES * sizeof *reservation->map);
    }
    fake_place_finish(fake);
    fake_pages_destroy(fake);
    for (uint64_t i = 0; i < fake->host_count; i++)
        if (fake->host[i].memory.cpu)
            munmap(fake->host[i].memory.cpu, fake->host[i].memory.bytes);
    munmap(fake->view, FAKE_VIEW_BYTES);
    close(fake->file);
    free(fake->reservation);
    free(fake->handle);
    free(fake->map);
    free(fake->copy);
    free(fake->kernel);
    free(fake->host);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

void fake_fail(struct fake_device *fake, enum fake_call call, uint64_t nth, uint64_t times, int error)
{
    pthread_mutex_lock(&fake->lock);
    fake->failure[call] = (struct fake_failure){
        .after = nth ? nth - 1 : 0, .times = times, .error = error ? error : usual_error(call)};
    pthread_mutex_unlock(&fake->lock);
}

const char *fake_violation(struct fake_device *fake)
{
    pthread_mutex_lock(&fake->lock);
    const char *violation = fake->violations ? fake->violation : NULL;
    pthread_mutex_unlock(&fake->lock);
    return violation;
}

bool fake_reachable(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    pthread_mutex_lock(&fake->lock);
    bool reachable = fake_granted(fake, ordinal, address, bytes);
    pthread_mutex_unlock(&fake->lock);
    return reachable;
}

bool fake_is_host(struct fake_device *fake, uint64_t address)
{
    pthread_mutex_lock(&fake->lock);
    const struct fake_map *map = fake_map_at(fake, address);
    bool host = map && fake_handle_of(fake, map->handle)->host;
    if (map && fake->config.places)
        host = fake_place_is_host(fake, address, host);
    pthread_mutex_unlock(&fake->lock);
    return host;
}
