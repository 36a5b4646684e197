/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a module: a private copy of a shared object and what its symbol table says, or PTX and what it says: kernels
 * with their parameter layouts, and global variables. Immutable after it is read; shared by reference count, which the
 * lock guards.
 */
#ifndef SIMGPU_IMAGE_H
#define SIMGPU_IMAGE_H

#include "driver/entry.h"
#include "ptx/program.h"
#define SIMGPU_DRIVER
#include "simgpu.h"

enum {
    KERNEL_PARAMS_MAX = 1024,
    KERNEL_BYTES_MAX = 32764
};

struct image_kernel {
    const char *name;
    const struct simgpu_param *params;
    unsigned param_count;
    size_t buffer_bytes; /* end of the last parameter */
    /* Of PTX; 0 where it is not known. */
    int ptx_version; /* 75 for sm_75 */
    int registers, threads_max;
    size_t shared_bytes, local_bytes, constant_bytes;
};

struct image_global {
    const char *name;
    size_t size;
    const struct ptx_symbol *variable; /* of PTX */
    bool is_managed;
};

struct image {
    unsigned refs;
    struct program *program;    /* of PTX; NULL: it is a shared object, and bytes are its file */
    const unsigned char *bytes; /* mapping of the private copy */
    size_t size;
    struct image_kernel *kernels;
    unsigned kernel_count;
    struct image_global *globals;
    unsigned global_count;
};

/*
 * Reads a file or an image in memory. Without the lock. CUDA_ERROR_FILE_NOT_FOUND; INVALID_IMAGE for what is
 * no shared object of this machine or has a bad table; NO_BINARY_FOR_GPU for machine code of real GPUs; fat binaries as
 * fatbin_text says, PTX as ptx_read does; OUT_OF_MEMORY.
 */
CUresult image_read_file(const char *path, struct image **image);
CUresult image_read_data(const void *data, struct image **image);

/* A loaded copy. The file stays open: the loader knows the copy by that number, and takes no other for it. */
struct instance {
    void *opened; /* for dlsym */
    int file;
};

/* Without the lock: constructors and destructors run. */
CUresult image_open(const struct image *image, struct instance *instance);
void image_close(const struct instance *instance);

void image_hold(struct image *image);
void image_drop(struct image *image);

#endif
