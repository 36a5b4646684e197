/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Utilization: the share of the time since the last sample in which kernels ran, and in which copies and sets did. The
 * first sample is taken when the library starts, the next when somebody asks who is a sixth of a second later; NVIDIA
 * promises periods from there to a second.
 */
#include "machine/options.h"
#include "nvml/nvml_look.h"

#include <pthread.h>

static const uint64_t period_ns = 1000000000 / 6;

struct sample {
    uint64_t at_ns, busy_ns[SHARE_WORK];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sample samples[DEVICES_MAX];

static nvmlReturn_t take_sample(nvmlDevice_t device, struct sample *sample)
{
    struct look look;
    nvmlReturn_t result = nvml_look(device, &look);

    if (result != NVML_SUCCESS)
        return result;
    *sample = (struct sample){.at_ns = look.at_ns};
    for (unsigned i = 0; i < look.count; i++)
        for (int work = 0; work < SHARE_WORK; work++)
            sample->busy_ns[work] += look.users[i].busy_ns[work];
    return NVML_SUCCESS;
}

/* The latest sample, in whose place the new one comes when so much time has passed. */
static struct sample replace(int index, const struct sample *with, uint64_t least_ns)
{
    struct sample latest;

    pthread_mutex_lock(&lock);
    latest = samples[index];
    if (with->at_ns >= latest.at_ns + least_ns)
        samples[index] = *with;
    pthread_mutex_unlock(&lock);
    return latest;
}

void nvml_busy_start(void)
{
    nvmlReturn_t result = NVML_SUCCESS;
    nvmlDevice_t device;

    for (int i = 0; i < options.devices && result == NVML_SUCCESS; i++) {
        struct sample sample;

        result = nvmlDeviceGetHandleByIndex_v2((unsigned)i, &device);
        if (result == NVML_SUCCESS)
            result = take_sample(device, &sample);
        if (result == NVML_SUCCESS)
            (void)replace(i, &sample, 0);
    }
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
    struct sample now, latest;
    nvmlReturn_t result;
    int index = nvml_index(device, &result);

    if (index < 0 || !rates)
        return result;
    result = take_sample(device, &now);
    if (result != NVML_SUCCESS)
        return result;
    latest = replace(index, &now, period_ns);
    *rates = (nvmlUtilization_t){rate(&latest, &now, 0), rate(&latest, &now, 1)};
    return NVML_SUCCESS;
}
