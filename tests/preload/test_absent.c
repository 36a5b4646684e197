/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into programs that load CUDA late, hidden, or never. */
#include "echo/echo_driver.h"
#include "shared_object.h"

#include <criterion/criterion.h>
#include <cuda.h>
#include <link.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

extern CUresult cuInit(unsigned flags) __attribute__((weak));
extern int cudaMalloc(void **out, size_t bytes) __attribute__((weak));

typedef CUresult (*init_fn)(unsigned flags);

static int count_cuda(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes;
    *(int *)arg += strstr(info->dlpi_name, "libcuda") != NULL;
    return 0;
}

static int cuda_libraries(void)
{
    int count = 0;

    dl_iterate_phdr(count_cuda, &count);
    return count;
}

Test(absent, looks_as_if_we_were_not_there)
{
    cr_expect_null(dlsym(RTLD_DEFAULT, "cuInit"));
    const char *error = dlerror();

    cr_expect(error && strstr(error, "cuInit"), "%s", error ? error : "no error");
    cr_expect_null(dlsym(RTLD_NEXT, "cuInit"));
    cr_expect_null(dlsym(dlopen(NULL, RTLD_NOW), "cuInit"));
    cr_expect_null(dlsym(RTLD_DEFAULT, "cudaMalloc"));
    cr_expect_eq(cuda_libraries(), 0);
}

Test(absent, a_weak_reference_finds_no_device_and_loads_nothing)
{
    void *memory = NULL;

    cr_assert(cuInit && cudaMalloc);
    cr_expect_eq(cuInit(0), CUDA_ERROR_NO_DEVICE);
    cr_expect_eq(cudaMalloc(&memory, 1), 100 /* cudaErrorNoDevice */);
    cr_expect_eq(cuda_libraries(), 0);
}

Test(absent, a_driver_that_comes_later_is_found)
{
    cr_expect_eq(cuInit(0), CUDA_ERROR_NO_DEVICE);
    cr_assert(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL), "%s", dlerror());
    cr_expect_eq((int)cuInit(0), ECHO_CODE);
    cr_expect(lies_in(dlsym(RTLD_DEFAULT, "cuInit"), "libebbtide.so"));
}

Test(absent, a_handle_leads_to_us_and_on_to_the_driver)
{
    void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    init_fn init = (init_fn)dlsym(handle, "cuInit");

    cr_assert(lies_in((void *)init, "libebbtide.so"));
    cr_expect_null(dlerror(), "a look-up that succeeds leaves no error behind");
    cr_expect_eq((int)init(0), ECHO_CODE);
}

Test(absent, the_driver_stays_when_the_program_closes_it)
{
    void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    init_fn init = (init_fn)dlsym(handle, "cuInit");

    dlclose(handle);
    cr_expect_eq((int)init(0), ECHO_CODE);
}

Test(absent, a_plugin_linked_to_the_driver_reaches_us_also_with_deepbind)
{
    void *plugin = dlopen("plugin_deepbind.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

    cr_assert(plugin, "%s", dlerror());
    void *(*bound)(void) = (void *(*)(void))dlsym(plugin, "plugin_cu_init");
    const char *deepbind = getenv("EBBTIDE_DEEPBIND");
    bool keeps = deepbind && strcmp(deepbind, "keep") == 0;

    cr_expect(lies_in(bound(), keeps ? "libcuda.so" : "libebbtide.so"));
}

static void *first_call(void *arg)
{
    init_fn init = (init_fn)dlsym(arg, "cuInit");

    return (void *)(intptr_t)(lies_in((void *)init, "libebbtide.so") && (int)init(0) == ECHO_CODE);
}

Test(absent, sixty_four_threads_in_first_calls_at_once)
{
    pthread_t thread[64];
    void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, first_call, handle), 0);
    for (unsigned i = 0; i < 64; i++) {
        void *good;

        pthread_join(thread[i], &good);
        cr_expect(good);
    }
}

Test(absent, a_forked_child_finds_the_driver_by_itself)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        void *handle = dlopen("libcuda.so.1", RTLD_NOW);

        _exit(first_call(handle) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
}
