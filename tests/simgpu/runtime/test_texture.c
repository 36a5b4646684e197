/* SPDX-License-Identifier: Apache-2.0 */
/* Textures and surfaces through the runtime. Each case is a process of its own. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <string.h>

enum {
    WIDTH = 16,
    HEIGHT = 4
};

#define OK(call)                                                                                             \
    do {                                                                                                     \
        cudaError_t ok_error = (call);                                                                       \
        cr_assert_eq(ok_error, cudaSuccess, "%s: %s", #call, cudaGetErrorName(ok_error));                    \
    } while (0)

/* look: out[i] is the texture at (i % 16 + 1, i / 16 + 0.5); mark: the surface's floats there become i. */
static const char code[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry look(.param .u64 out, .param .u64 handle) {\n"
    ".reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .f32 %f<8>;\n"
    "ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [handle]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd2, %r0, 4;\n"
    "add.u64 %rd0, %rd0, %rd2; and.b32 %r1, %r0, 15; add.u32 %r1, %r1, 1; shr.u32 %r2, %r0, 4;\n"
    "cvt.rn.f32.u32 %f0, %r1; cvt.rn.f32.u32 %f1, %r2; add.f32 %f1, %f1, 0f3F000000;\n"
    "tex.2d.v4.f32.f32 {%f2, %f3, %f4, %f5}, [%rd1, {%f0, %f1}]; st.global.f32 [%rd0], %f2; ret; }\n"
    ".visible .entry mark(.param .u64 handle) {\n"
    ".reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .f32 %f<2>;\n"
    "ld.param.u64 %rd0, [handle]; mov.u32 %r0, %tid.x; cvt.rn.f32.u32 %f0, %r0; mov.b32 %r3, %f0;\n"
    "and.b32 %r1, %r0, 15; shl.b32 %r1, %r1, 2; shr.u32 %r2, %r0, 4;\n"
    "sust.b.2d.b32.trap [%rd0, {%r1, %r2}], %r3; ret; }\n";

static void run(const char *name, void **parameters)
{
    cudaLibrary_t library;
    cudaKernel_t kernel;

    OK(cudaLibraryLoadData(&library, code, NULL, NULL, 0, NULL, NULL, 0));
    OK(cudaLibraryGetKernel(&kernel, library, name));
    OK(cudaLaunchKernel((const void *)kernel, (dim3){1, 1, 1}, (dim3){WIDTH * HEIGHT, 1, 1}, parameters, 0,
                        NULL));
    OK(cudaDeviceSynchronize());
}

/* Between two texels each, and at the end of a row the last one. */
static void expect_means(cudaTextureObject_t texture, float each)
{
    float found[HEIGHT][WIDTH], *out;
    void *parameters[] = {&out, &texture};

    OK(cudaMalloc((void **)&out, sizeof found));
    run("look", parameters);
    OK(cudaMemcpy(found, out, sizeof found, cudaMemcpyDeviceToHost));
    for (unsigned y = 0; y < HEIGHT; y++)
        for (unsigned x = 0; x < WIDTH; x++)
            cr_assert_float_eq(found[y][x], each * ((float)(y * WIDTH + x) + (x + 1 < WIDTH ? 0.5f : 0)),
                               1e-5, "%u, %u: %g", x, y, (double)found[y][x]);
}

static const struct cudaTextureDesc between = {.addressMode = {cudaAddressModeClamp, cudaAddressModeClamp},
                                               .filterMode = cudaFilterModeLinear,
                                               .readMode = cudaReadModeNormalizedFloat};

Test(runtime_texture, an_array_of_bytes_is_read_as_parts_of_one)
{
    struct cudaChannelFormatDesc bytes = cudaCreateChannelDesc(8, 0, 0, 0, cudaChannelFormatKindUnsigned);
    struct cudaResourceDesc resource = {.resType = cudaResourceTypeArray}, found;
    struct cudaTextureDesc sampling;
    unsigned char texels[HEIGHT][WIDTH];
    cudaTextureObject_t texture;

    for (unsigned i = 0; i < sizeof texels; i++)
        texels[i / WIDTH][i % WIDTH] = (unsigned char)i;
    OK(cudaMallocArray(&resource.res.array.array, &bytes, WIDTH, HEIGHT, 0));
    OK(cudaMemcpy2DToArray(resource.res.array.array, 0, 0, texels, WIDTH, WIDTH, HEIGHT,
                           cudaMemcpyHostToDevice));
    OK(cudaCreateTextureObject(&texture, &resource, &between, NULL));
    expect_means(texture, 1 / 255.0f);
    OK(cudaGetTextureObjectResourceDesc(&found, texture));
    cr_assert(found.resType == cudaResourceTypeArray && found.res.array.array == resource.res.array.array);
    OK(cudaGetTextureObjectTextureDesc(&sampling, texture));
    cr_assert_eq(memcmp(&sampling, &between, sizeof sampling), 0);
    OK(cudaDestroyTextureObject(texture));
    cr_assert_eq(cudaDestroyTextureObject(texture), cudaErrorInvalidValue);
    OK(cudaDestroyTextureObject(0));
}

Test(runtime_texture, memory_with_a_pitch_is_read)
{
    struct cudaResourceDesc resource = {.resType = cudaResourceTypePitch2D}, found;
    float texels[HEIGHT][WIDTH];
    cudaTextureObject_t texture;

    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        texels[i / WIDTH][i % WIDTH] = (float)i;
    resource.res.pitch2D.desc = cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindFloat);
    resource.res.pitch2D.width = WIDTH;
    resource.res.pitch2D.height = HEIGHT;
    OK(cudaMallocPitch(&resource.res.pitch2D.devPtr, &resource.res.pitch2D.pitchInBytes, sizeof texels[0],
                       HEIGHT));
    OK(cudaMemcpy2D(resource.res.pitch2D.devPtr, resource.res.pitch2D.pitchInBytes, texels, sizeof texels[0],
                    sizeof texels[0], HEIGHT, cudaMemcpyHostToDevice));
    OK(cudaCreateTextureObject(&texture, &resource, &between, NULL));
    expect_means(texture, 1);
    OK(cudaGetTextureObjectResourceDesc(&found, texture));
    cr_assert_eq(found.res.pitch2D.desc.x, 32);
    cr_assert_eq(found.res.pitch2D.pitchInBytes, resource.res.pitch2D.pitchInBytes);
    resource.res.pitch2D.desc.x = 24;
    cr_assert_eq(cudaCreateTextureObject(&texture, &resource, &between, NULL),
                 cudaErrorInvalidChannelDescriptor);
}

Test(runtime_texture, what_is_written_to_a_surface_is_in_its_array_and_its_textures)
{
    struct cudaChannelFormatDesc floats = cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindFloat);
    struct cudaResourceDesc resource = {.resType = cudaResourceTypeArray}, found;
    struct cudaResourceViewDesc view = {.format = cudaResViewFormatFloat1, .width = WIDTH, .height = HEIGHT},
                                seen;
    cudaTextureObject_t texture;
    cudaSurfaceObject_t surface;
    float texels[HEIGHT][WIDTH];
    void *parameters[] = {&surface};

    OK(cudaMallocArray(&resource.res.array.array, &floats, WIDTH, HEIGHT, cudaArraySurfaceLoadStore));
    OK(cudaCreateSurfaceObject(&surface, &resource));
    run("mark", parameters);
    OK(cudaMemcpy2DFromArray(texels, sizeof texels[0], resource.res.array.array, 0, 0, sizeof texels[0],
                             HEIGHT, cudaMemcpyDeviceToHost));
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        cr_assert_eq(texels[i / WIDTH][i % WIDTH], (float)i);
    OK(cudaGetSurfaceObjectResourceDesc(&found, surface));
    cr_assert_eq(found.res.array.array, resource.res.array.array);
    OK(cudaDestroySurfaceObject(surface));
    cr_assert_eq(cudaGetSurfaceObjectResourceDesc(&found, surface), cudaErrorInvalidValue);
    OK(cudaCreateTextureObject(&texture, &resource, &between, &view));
    expect_means(texture, 1);
    OK(cudaGetTextureObjectResourceViewDesc(&seen, texture));
    cr_assert(seen.format == view.format && seen.width == WIDTH && seen.height == HEIGHT);
}
