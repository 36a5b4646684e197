/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays hold what is copied into them. */
#include "driver.h"

#include <criterion/criterion.h>
#include <string.h>

enum {
    WIDTH = 7, /* elements of two floats */
    HEIGHT = 5,
    DEPTH = 3,
    ELEMENT = 2 * sizeof(float),
    ROW = WIDTH * ELEMENT,
    ALL = ROW * HEIGHT * DEPTH
};

static CUarray volume(void)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {
        .Width = WIDTH, .Height = HEIGHT, .Depth = DEPTH, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 2};
    CUarray array;

    must(cuArray3DCreate(&array, &desc));
    return array;
}

static CUarray row(void)
{
    const CUDA_ARRAY_DESCRIPTOR desc = {
        .Width = 1000, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};
    CUarray array;

    must(cuArrayCreate(&array, &desc));
    return array;
}

static void count_up(unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(i * 31 + 7);
}

static CUDA_MEMCPY3D between_host_and(CUarray array, void *host, bool to_array)
{
    CUDA_MEMCPY3D copy = {.WidthInBytes = ROW, .Height = HEIGHT, .Depth = DEPTH};

    if (to_array) {
        copy.srcMemoryType = CU_MEMORYTYPE_HOST;
        copy.srcHost = host;
        copy.srcPitch = ROW;
        copy.srcHeight = HEIGHT;
        copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
        copy.dstArray = array;
    } else {
        copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
        copy.srcArray = array;
        copy.dstMemoryType = CU_MEMORYTYPE_HOST;
        copy.dstHost = host;
        copy.dstPitch = ROW;
        copy.dstHeight = HEIGHT;
    }
    return copy;
}

Test(array, holds_a_volume_and_any_part_of_it)
{
    static unsigned char in[ALL], out[ALL];
    CUDA_MEMCPY3D copy;
    CUarray array;

    start();
    array = volume();
    count_up(in, ALL);
    copy = between_host_and(array, in, true);
    must(cuMemcpy3D(&copy));
    copy = between_host_and(array, out, false);
    must(cuMemcpy3D(&copy));
    cr_assert_arr_eq(out, in, ALL);
    memset(out, 0, ALL);
    copy.srcXInBytes = 2 * ELEMENT;
    copy.srcY = 1;
    copy.srcZ = 2;
    copy.WidthInBytes = 3 * ELEMENT;
    copy.Height = 4;
    copy.Depth = 1;
    copy.dstPitch = 3 * ELEMENT;
    must(cuMemcpy3D(&copy));
    for (int y = 0; y < 4; y++)
        cr_assert_arr_eq(out + y * 3 * ELEMENT, in + (2 * HEIGHT + 1 + y) * ROW + 2 * ELEMENT, 3 * ELEMENT);
}

Test(array, takes_nothing_beyond_its_ends)
{
    static unsigned char bytes[ALL];
    CUDA_MEMCPY3D copy;
    CUarray array;

    start();
    array = volume();
    copy = between_host_and(array, bytes, true);
    copy.dstXInBytes = 1;
    cr_assert_eq(cuMemcpy3D(&copy), CUDA_ERROR_INVALID_VALUE);
    copy.dstXInBytes = SIZE_MAX - ROW + 1;
    cr_assert_eq(cuMemcpy3D(&copy), CUDA_ERROR_INVALID_VALUE);
    copy.dstXInBytes = 0;
    copy.dstZ = 1;
    cr_assert_eq(cuMemcpy3D(&copy), CUDA_ERROR_INVALID_VALUE);
    copy.dstZ = 0;
    copy.dstY = HEIGHT;
    cr_assert_eq(cuMemcpy3D(&copy), CUDA_ERROR_INVALID_VALUE);
    copy.dstY = 0;
    copy.dstArray = (CUarray)bytes;
    cr_assert_eq(cuMemcpy3D(&copy), CUDA_ERROR_INVALID_HANDLE);
    must(cuArrayDestroy(array));
    copy.dstArray = array;
    cr_assert_eq(cuMemcpy3D(&copy), CUDA_ERROR_INVALID_HANDLE);
    array = row();
    cr_assert_eq(cuMemcpyHtoA(array, 990, bytes, 11), CUDA_ERROR_INVALID_VALUE);
}

Test(array, is_copied_by_bytes_where_it_is_a_row)
{
    unsigned char in[1000], out[1000] = {0};
    CUarray array, other;
    CUdeviceptr memory;
    CUstream stream;

    start();
    array = row();
    other = row();
    count_up(in, sizeof in);
    must(cuMemAlloc(&memory, sizeof in));
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuMemcpyHtoA(array, 100, in, 900));
    must(cuMemcpyAtoA(other, 0, array, 100, 900));
    must(cuMemcpyAtoD(memory, other, 0, 900));
    must(cuMemcpyDtoA(array, 1, memory, 900));
    must(cuMemcpyAtoH(out, array, 1, 900));
    cr_assert_arr_eq(out, in, 900);
    must(cuMemcpyHtoAAsync(array, 0, in + 10, 500, stream));
    must(cuMemcpyAtoHAsync(out, array, 0, 500, stream));
    must(cuStreamSynchronize(stream));
    cr_assert_arr_eq(out, in + 10, 500);
}

Test(array, takes_part_in_a_graph)
{
    static unsigned char in[ALL], out[ALL];
    CUDA_MEMCPY3D copy, told;
    CUcontext context = start();
    CUarray array = volume();
    CUgraphExec exec;
    CUgraphNode node;
    CUgraph graph;

    count_up(in, ALL);
    must(cuGraphCreate(&graph, 0));
    copy = between_host_and(array, in, true);
    must(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, context));
    copy = between_host_and(array, out, false);
    copy.srcZ = 1;
    copy.srcY = 2;
    copy.srcXInBytes = ELEMENT;
    copy.Depth = copy.Height = 1;
    copy.WidthInBytes = 2 * ELEMENT;
    must(cuGraphAddMemcpyNode(&node, graph, &node, 1, &copy, context));
    must(cuGraphMemcpyNodeGetParams(node, &told));
    cr_assert(told.srcMemoryType == CU_MEMORYTYPE_ARRAY && told.srcArray == array);
    cr_assert(told.srcXInBytes == ELEMENT && told.srcY == 2 && told.srcZ == 1);
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    cr_assert_arr_eq(out, in + (HEIGHT + 2) * ROW + ELEMENT, 2 * ELEMENT);
}

Test(array, of_several_levels_has_one_for_each)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {
        .Width = 16, .Height = 8, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};
    unsigned char bytes[128], out[128];
    CUDA_ARRAY_DESCRIPTOR told;
    CUarray level[3], again;
    CUmipmappedArray mipmap;

    start();
    must(cuMipmappedArrayCreate(&mipmap, &desc, 3));
    for (unsigned i = 0; i < 3; i++) {
        const CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                                    .srcHost = bytes,
                                    .srcPitch = 16 >> i,
                                    .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                                    .dstArray =
                                        (must(cuMipmappedArrayGetLevel(&level[i], mipmap, i)), level[i]),
                                    .WidthInBytes = 16 >> i,
                                    .Height = 8 >> i};

        must(cuArrayGetDescriptor(&told, level[i]));
        cr_assert(told.Width == (size_t)16 >> i && told.Height == (size_t)8 >> i);
        memset(bytes, (int)i + 1, sizeof bytes);
        must(cuMemcpy2D(&copy));
    }
    for (unsigned i = 0; i < 3; i++) {
        const CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_ARRAY,
                                    .srcArray = level[i],
                                    .dstMemoryType = CU_MEMORYTYPE_HOST,
                                    .dstHost = out,
                                    .dstPitch = 16 >> i,
                                    .WidthInBytes = 16 >> i,
                                    .Height = 8 >> i};

        memset(bytes, (int)i + 1, sizeof bytes);
        must(cuMemcpy2D(&copy));
        cr_assert_arr_eq(out, bytes, (16u >> i) * (8u >> i));
    }
    must(cuMipmappedArrayGetLevel(&again, mipmap, 1));
    cr_assert_eq(again, level[1]);
    cr_assert_eq(cuMipmappedArrayGetLevel(&again, mipmap, 3), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuArrayDestroy(level[0]), CUDA_ERROR_INVALID_HANDLE);
    must(cuMipmappedArrayDestroy(mipmap));
    cr_assert_eq(cuArrayGetDescriptor(&told, level[0]), CUDA_ERROR_INVALID_HANDLE);
}

static CUmemcpy3DOperand at_pointer(const void *pointer, size_t row, size_t height)
{
    return (CUmemcpy3DOperand){
        .type = CU_MEMCPY_OPERAND_TYPE_POINTER,
        .op.ptr = {.ptr = (CUdeviceptr)(uintptr_t)pointer, .rowLength = row, .layerHeight = height}};
}

static CUmemcpy3DOperand at_array(CUarray array, size_t x, size_t y, size_t z)
{
    return (CUmemcpy3DOperand){.type = CU_MEMCPY_OPERAND_TYPE_ARRAY,
                               .op.array = {.array = array, .offset = {x, y, z}}};
}

/* Elements are counted: those of the array, and bytes between pointers. */
Test(array, is_copied_to_and_from_in_a_batch)
{
    static unsigned char in[ALL], out[ALL];
    CUDA_MEMCPY3D_BATCH_OP ops[3];
    CUdeviceptr memory;
    CUstream stream;
    CUarray array;

    start();
    array = volume();
    count_up(in, ALL);
    must(cuMemAlloc(&memory, ALL));
    must(cuMemsetD8(memory, 0, ALL));
    must(cuStreamCreate(&stream, 0));
    ops[0] = (CUDA_MEMCPY3D_BATCH_OP){.src = at_pointer(in, 0, 0),
                                      .dst = at_array(array, 0, 0, 0),
                                      .extent = {WIDTH, HEIGHT, DEPTH},
                                      .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    /* Three elements of four rows of the last slice, to rows of five elements. */
    ops[1] = (CUDA_MEMCPY3D_BATCH_OP){.src = at_array(array, 2, 1, 2),
                                      .dst = at_pointer((void *)(uintptr_t)memory, 5, 0),
                                      .extent = {3, 4, 1},
                                      .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_ANY};
    ops[2] = (CUDA_MEMCPY3D_BATCH_OP){.src = at_pointer((void *)(uintptr_t)memory, 5 * ELEMENT, 0),
                                      .dst = at_pointer(out, 0, 0),
                                      .extent = {3 * ELEMENT, 4, 1},
                                      .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    must(cuMemcpy3DBatchAsync(3, ops, 0, stream));
    must(cuStreamSynchronize(stream));
    for (int y = 0; y < 4; y++)
        cr_assert_arr_eq(out + y * 3 * ELEMENT, in + (2 * HEIGHT + 1 + y) * ROW + 2 * ELEMENT, 3 * ELEMENT);
}

/* One that is wrong, and nothing of the batch is done. */
Test(array, is_not_touched_by_a_batch_with_a_wrong_copy)
{
    static unsigned char in[ALL], out[ALL];
    CUDA_MEMCPY3D_BATCH_OP good, ops[2];
    CUDA_MEMCPY3D copy;
    CUstream stream;
    CUarray array;

    start();
    array = volume();
    memset(in, 1, ALL);
    copy = between_host_and(array, in, true);
    must(cuMemcpy3D(&copy));
    memset(in, 2, ALL);
    must(cuStreamCreate(&stream, 0));
    good = (CUDA_MEMCPY3D_BATCH_OP){.src = at_pointer(in, 0, 0),
                                    .dst = at_array(array, 0, 0, 0),
                                    .extent = {WIDTH, HEIGHT, DEPTH},
                                    .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    cr_assert_eq(cuMemcpy3DBatchAsync(1, &good, 0, NULL), CUDA_ERROR_INVALID_VALUE, "the legacy stream");
    cr_assert_eq(cuMemcpy3DBatchAsync(1, &good, 1, stream), CUDA_ERROR_INVALID_VALUE, "flags");
    cr_assert_eq(cuMemcpy3DBatchAsync(0, &good, 0, stream), CUDA_ERROR_INVALID_VALUE, "of nothing");
    for (unsigned i = 0; i < 6; i++) {
        ops[0] = ops[1] = good;
        if (i == 0)
            ops[1].extent.depth = 0;
        else if (i == 1)
            ops[1].src.op.ptr.rowLength = WIDTH - 1;
        else if (i == 2)
            ops[1].src.op.ptr.layerHeight = HEIGHT - 1;
        else if (i == 3)
            ops[1].dst.op.array.offset.x = 1;
        else if (i == 4)
            ops[1].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
        else
            ops[1].src = at_array(row(), 0, 0, 0);
        cr_assert_eq(cuMemcpy3DBatchAsync(2, ops, 0, stream), CUDA_ERROR_INVALID_VALUE, "%u", i);
    }
    copy = between_host_and(array, out, false);
    must(cuMemcpy3D(&copy));
    memset(in, 1, ALL);
    cr_assert_arr_eq(out, in, ALL);
}
