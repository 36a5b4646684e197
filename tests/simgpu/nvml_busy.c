/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Utilization: the share of the time since the last sample in which kernels ran, and in which copies and sets did. The
 * first sample is taken when the library starts, the next when somebody asks who is a sixth of a second later; NVIDIA
 * promises periods from there to a second.
 */
#include "nvml_look.h"
#include "options.h"

#include <pthread.h>
#include <time.h>

static const uint64_t period_ns = 1000000000 / 6;

struct sample {
    uint64_t at_ns, busy_ns[SHARE_WORK];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sample samples[DEVICES_MAX];

static nvmlReturn_t take_sample(nvmlDevice_t device, struct sample *sample)
{
    struct timespec now;
    struct look look;
    nvmlReturn_t result = nvml_look(device, &look);

    clock_gettime(CLOCK_MONOTONIC, &now);
    *sample = (struct sample){.at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec};
    for (unsigned i = 0; result == NVML_SUCCESS && i < look.count; i++)
        for (int work = 0; work < SHARE_WORK; work++)
            sample->busy_ns[work] += look.users[i].busy_ns[work];
    return result;
}

void nvml_busy_start(void)
{
    nvmlReturn_t result = NVML_SUCCESS;
    nvmlDevice_t device;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < options.devices && result == NVML_SUCCESS; i++) {
        result = nvmlDeviceGetHandleByIndex_v2((unsigned)i, &device);
        if (result == NVML_SUCCESS)
            result = take_sample(device, &samples[i]);
    }
    pthread_mutex_unlock(&lock);
}

/* Several processes take turns on a device. One that ended has taken its time along. */
static unsigned rate(const struct sample *from, const struct sample *to, int work)
{
    uint64_t elapsed = to->at_ns > from->at_ns ? to->at_ns - from->at_ns : 1;
    uint64_t busy = to->busy_ns[work] > from->busy_ns[work] ? to->busy_ns[work] - from->busy_ns[work] : 0;

    return busy < elapsed ? (unsigned)(busy * 100 / elapsed) : 100;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates)
{
    struct sample now;
    nvmlReturn_t result;
    int index = nvml_index(device, &result);

    if (index < 0 || !rates)
        return result;
    pthread_mutex_lock(&lock);
    result = take_sample(device, &now);
    if (result == NVML_SUCCESS) {
        *rates = (nvmlUtilization_t){rate(&samples[index], &now, 0), rate(&samples[index], &now, 1)};
        if (now.at_ns - samples[index].at_ns >= period_ns)
            samples[index] = now;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
