/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ebbtide doctor: starts itself again with the library preloaded, as any other program would be, starts CUDA as such a
 * program does, and lets the library tell what it finds.
 */
#include "cli/cli.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/doctor.h"

/* The argument that the command is started again with; not for people. */
#define INSIDE "--inside"

typedef int (*driver_version_fn)(int *out);
typedef int (*driver_init_fn)(unsigned flags);
typedef bool (*doctor_fn)(FILE *out, bool has_started);

static void say_version(int version)
{
    doctor_line(stdout, "driver", "%d.%d%s", version / 1000, version % 1000 / 10,
                version < DRIVER_OLDEST   ? ": older than this library is made for"
                : version > DRIVER_NEWEST ? ": newer than this library was tested with"
                                          : "");
}

/* True when CUDA could be started. */
static bool start_cuda(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    int version = 0, result;

    if (!driver) {
        doctor_line(stdout, "driver", "none: %s", dlerror());
        return false;
    }
    driver_version_fn get_version = (driver_version_fn)dlsym(driver, "cuDriverGetVersion");
    driver_init_fn init = (driver_init_fn)dlsym(driver, "cuInit");

    if (get_version && get_version(&version) == 0)
        say_version(version);
    result = init ? init(0) : -1;
    if (result != 0)
        doctor_line(stdout, "driver", "cuInit failed with %d: no device to manage", result);
    return result == 0;
}

static int examine(void)
{
    doctor_fn doctor = (doctor_fn)dlsym(RTLD_DEFAULT, "ebb_doctor");

    if (!doctor)
        return cli_fail("the library was not preloaded: is LD_PRELOAD honoured here?");
    doctor_line(stdout, "ebbtide", "%s", EBBTIDE_VERSION);
    doctor_line(stdout, "made for", "%s", VERSIONS_TEXT);
    bool has_started = start_cuda();
    bool is_good = doctor(stdout, has_started);

    doctor_line(stdout, "verdict", "%s",
                is_good        ? "programs are managed"
                : !has_started ? "programs run as without the library"
                               : "not all works; see above");
    return is_good ? CLI_OK : CLI_LIMITED;
}

int cli_doctor(char *const *argument)
{
    if (*argument && strcmp(*argument, INSIDE) == 0)
        return examine();
    int status = cli_take_options(&argument);

    if (status != 0)
        return status == CLI_HELPED ? CLI_OK : status;
    if (*argument)
        return cli_fail("doctor takes options only, not '%s'; try 'ebbtide run --help'", *argument);
    if (cli_preload() != 0)
        return CLI_FAILED;
    execl("/proc/self/exe", "ebbtide", "doctor", INSIDE, (char *)NULL);
    return cli_fail("cannot start again with the library: %s", strerror(errno));
}
