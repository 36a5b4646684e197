/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and volumes through the runtime. Each case is a process of its own. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <string.h>

enum {
    WIDTH = 9, /* elements */
    HEIGHT = 5,
    DEPTH = 3
};

#define OK(call)                                                                                             \
    do {                                                                                                     \
        cudaError_t ok_error = (call);                                                                       \
        cr_assert_eq(ok_error, cudaSuccess, "%s: %s", #call, cudaGetErrorName(ok_error));                    \
    } while (0)

static struct cudaChannelFormatDesc two_floats(void)
{
    return cudaCreateChannelDesc(32, 32, 0, 0, cudaChannelFormatKindFloat);
}

static void count_up(float *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        at[i] = (float)i;
}

Test(runtime_array, tells_what_it_was_made_of)
{
    struct cudaChannelFormatDesc channels = two_floats(), found;
    struct cudaExtent extent;
    unsigned int flags;
    cudaArray_t array;

    OK(cudaMalloc3DArray(&array, &channels, (struct cudaExtent){WIDTH, HEIGHT, DEPTH},
                         cudaArraySurfaceLoadStore));
    OK(cudaArrayGetInfo(&found, &extent, &flags, array));
    cr_assert_eq(memcmp(&found, &channels, sizeof found), 0);
    cr_assert(extent.width == WIDTH && extent.height == HEIGHT && extent.depth == DEPTH);
    cr_assert_eq(flags, cudaArraySurfaceLoadStore);
    OK(cudaFreeArray(array));
    cr_assert_eq(cudaGetChannelDesc(&found, array), cudaErrorInvalidResourceHandle);
    OK(cudaFreeArray(NULL));
    channels.y = 16;
    cr_assert_eq(cudaMallocArray(&array, &channels, WIDTH, 0, 0), cudaErrorInvalidChannelDescriptor);
    channels = cudaCreateChannelDesc(64, 0, 0, 0, cudaChannelFormatKindFloat);
    cr_assert_eq(cudaMallocArray(&array, &channels, WIDTH, 0, 0), cudaErrorInvalidChannelDescriptor);
}

Test(runtime_array, is_copied_to_and_from_in_rectangles)
{
    static float in[HEIGHT][WIDTH][2], out[HEIGHT][WIDTH][2];
    const size_t row = sizeof in[0], element = sizeof in[0][0];
    struct cudaChannelFormatDesc channels = two_floats();
    cudaArray_t array, other;

    count_up(&in[0][0][0], sizeof in / sizeof(float));
    OK(cudaMallocArray(&array, &channels, WIDTH, HEIGHT, 0));
    OK(cudaMallocArray(&other, &channels, WIDTH, HEIGHT, 0));
    OK(cudaMemcpy2DToArray(array, 0, 0, in, row, row, HEIGHT, cudaMemcpyHostToDevice));
    OK(cudaMemcpy2DArrayToArray(other, element, 1, array, 0, 0, 4 * element, 3, cudaMemcpyDeviceToDevice));
    OK(cudaMemcpy2DFromArrayAsync(&out[2][1], row, other, element, 1, 4 * element, 3, cudaMemcpyDeviceToHost,
                                  NULL));
    OK(cudaDeviceSynchronize());
    for (int y = 0; y < 3; y++)
        cr_assert_arr_eq(out[2 + y][1], in[y][0], 4 * element);
    cr_assert_eq(cudaMemcpy2DToArray(array, 4, 0, in, row, element, 1, cudaMemcpyHostToDevice),
                 cudaErrorInvalidValue, "no whole element");
    cr_assert_eq(cudaMemcpy2DToArray(array, element, 0, in, row, row, 1, cudaMemcpyHostToDevice),
                 cudaErrorInvalidValue, "beyond the end of the row");
    cr_assert_eq(cudaGetLastError(), cudaErrorInvalidValue);
}

Test(runtime_array, is_a_side_of_a_copied_volume)
{
    static float in[DEPTH][HEIGHT][WIDTH][2], out[DEPTH][HEIGHT][WIDTH][2];
    const size_t row = sizeof in[0][0];
    struct cudaChannelFormatDesc channels = two_floats();
    struct cudaMemcpy3DParms copy = {
        .srcPtr = {in, row, row, HEIGHT}, .extent = {WIDTH, HEIGHT, DEPTH}, .kind = cudaMemcpyHostToDevice};
    struct cudaPitchedPtr memory;
    cudaArray_t array;

    count_up(&in[0][0][0][0], sizeof in / sizeof(float));
    OK(cudaMalloc3DArray(&array, &channels, copy.extent, 0));
    copy.dstArray = array;
    OK(cudaMemcpy3D(&copy));
    OK(cudaMalloc3D(&memory, (struct cudaExtent){row, HEIGHT, DEPTH}));
    cr_assert(memory.pitch >= row && memory.ysize == HEIGHT);
    OK(cudaMemset3D(memory, 0xff, (struct cudaExtent){row, HEIGHT, DEPTH}));
    copy = (struct cudaMemcpy3DParms){.srcArray = array,
                                      .srcPos = {2, 1, 1},
                                      .dstPtr = memory,
                                      .dstPos = {0, 1, 2},
                                      .extent = {3, 4, 1},
                                      .kind = cudaMemcpyDeviceToDevice};
    OK(cudaMemcpy3DAsync(&copy, NULL));
    copy = (struct cudaMemcpy3DParms){.srcPtr = memory,
                                      .dstPtr = {out, row, row, HEIGHT},
                                      .extent = {row, HEIGHT, DEPTH},
                                      .kind = cudaMemcpyDeviceToHost};
    OK(cudaMemcpy3D(&copy));
    for (int y = 0; y < 4; y++)
        cr_assert_arr_eq(out[2][1 + y][0], in[1][1 + y][2], 3 * sizeof in[0][0][0]);
    for (size_t i = 0; i < sizeof out[0]; i++)
        cr_assert_eq(((unsigned char *)out[0])[i], 0xff);
    copy.srcArray = array;
    cr_assert_eq(cudaMemcpy3D(&copy), cudaErrorInvalidValue, "a pointer and an array");
    OK(cudaFree(memory.ptr));
}

Test(runtime_array, of_several_levels_has_one_for_each)
{
    struct cudaChannelFormatDesc channels = cudaCreateChannelDesc(8, 0, 0, 0, cudaChannelFormatKindUnsigned);
    struct cudaExtent extent = {16, 8, 0};
    unsigned char in[32], out[32] = {0};
    cudaMipmappedArray_t mipmap;
    cudaArray_t level;

    memset(in, 7, sizeof in);
    OK(cudaMallocMipmappedArray(&mipmap, &channels, extent, 3, 0));
    OK(cudaGetMipmappedArrayLevel(&level, mipmap, 1));
    OK(cudaArrayGetInfo(NULL, &extent, NULL, level));
    cr_assert(extent.width == 8 && extent.height == 4);
    OK(cudaMemcpy2DToArray(level, 0, 0, in, 8, 8, 4, cudaMemcpyHostToDevice));
    OK(cudaMemcpy2DFromArray(out, 8, level, 0, 0, 8, 4, cudaMemcpyDeviceToHost));
    cr_assert_arr_eq(out, in, 32);
    OK(cudaFreeMipmappedArray(mipmap));
}
