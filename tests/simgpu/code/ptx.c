/* SPDX-License-Identifier: Apache-2.0 */
#include "code/ptx.h"

#include "machine/options.h"

#include <string.h>

static bool has_kernel(const struct image *image, const char *name, size_t length)
{
    for (unsigned i = 0; i < image->kernel_count; i++)
        if (strlen(image->kernels[i].name) == length && memcmp(image->kernels[i].name, name, length) == 0)
            return true;
    return false;
}

/* Has the image every entry of the text, and the text one at all? */
static bool stands_for(const struct image *image, const char *text)
{
    unsigned count = 0;

    for (const char *entry = text; (entry = strstr(entry, ".entry")); count++) {
        entry += strlen(".entry");
        entry += strspn(entry, " \t\r\n");
        if (!has_kernel(image, entry, strcspn(entry, " \t\r\n(")))
            return false;
    }
    return count > 0;
}

CUresult ptx_read(const char *text, struct image **read_image)
{
    struct image *image;
    CUresult result = CUDA_ERROR_JIT_COMPILER_NOT_FOUND;

    if (!options.ptx)
        return result;
    result = image_read_file(options.ptx, &image);
    if (result != CUDA_SUCCESS)
        return result;
    if (!stands_for(image, text)) {
        image_drop(image);
        return CUDA_ERROR_JIT_COMPILER_NOT_FOUND;
    }
    *read_image = image;
    return CUDA_SUCCESS;
}
