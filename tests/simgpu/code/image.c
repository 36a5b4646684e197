/* SPDX-License-Identifier: Apache-2.0 */
#include "code/image.h"

#include "code/fatbin.h"
#include "code/peek.h"
#include "code/ptx.h"
#include "code/target.h"
#include "machine/options.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CUDA_MACHINE = 190,
    HEAD_BYTES = 4096 /* in which PTX text says its version */
};
#define IMAGE_BYTES_MAX ((size_t)1 << 32)

static const char params_suffix[] = "_params";

/* The symbol table of an image while it is read. */
struct table {
    const Elf64_Sym *symbols;
    size_t count;
    const char *names;
};

static CUresult judge_header(const unsigned char *bytes, size_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;

    if (size < sizeof *header)
        return CUDA_ERROR_INVALID_IMAGE;
    if (header->e_machine == CUDA_MACHINE)
        return target_refuse();
    if (header->e_machine != EM_X86_64 || header->e_type != ET_DYN || !header->e_shnum ||
        header->e_shoff + (size_t)header->e_shnum * sizeof(Elf64_Shdr) > size)
        return CUDA_ERROR_INVALID_IMAGE;
    return CUDA_SUCCESS;
}

static bool table_find(const struct image *image, struct table *table)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->bytes;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(image->bytes + header->e_shoff);

    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *section = &sections[i];

        if (section->sh_type != SHT_DYNSYM || section->sh_link >= header->e_shnum ||
            section->sh_offset + section->sh_size > image->size)
            continue;
        table->symbols = (const Elf64_Sym *)(image->bytes + section->sh_offset);
        table->count = section->sh_size / sizeof *table->symbols;
        table->names = (const char *)image->bytes + sections[section->sh_link].sh_offset;
        return true;
    }
    return false;
}

/* The file's bytes of a symbol's data, or NULL if it has none there. */
static const void *symbol_data(const struct image *image, const Elf64_Sym *symbol)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->bytes;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(image->bytes + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];

        if (segment->p_type == PT_LOAD && symbol->st_value >= segment->p_vaddr &&
            symbol->st_value + symbol->st_size <= segment->p_vaddr + segment->p_filesz)
            return image->bytes + segment->p_offset + (symbol->st_value - segment->p_vaddr);
    }
    return NULL;
}

static bool is_exported(const Elf64_Sym *symbol, unsigned type)
{
    return symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == type &&
           ELF64_ST_BIND(symbol->st_info) != STB_LOCAL &&
           ELF64_ST_VISIBILITY(symbol->st_other) == STV_DEFAULT;
}

static const Elf64_Sym *params_of(const struct table *table, const char *kernel)
{
    size_t length = strlen(kernel);

    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->names + table->symbols[i].st_name;

        if (is_exported(&table->symbols[i], STT_OBJECT) && strncmp(name, kernel, length) == 0 &&
            strcmp(name + length, params_suffix) == 0)
            return &table->symbols[i];
    }
    return NULL;
}

/* False: the table does not end, or says what no parameter buffer can be. */
static bool kernel_read(const struct image *image, const Elf64_Sym *params, struct image_kernel *kernel)
{
    size_t room = params->st_size / sizeof *kernel->params;
    unsigned count = 0;

    kernel->params = symbol_data(image, params);
    if (!kernel->params)
        return false;
    while (count < room && kernel->params[count].size) {
        size_t end = kernel->params[count].offset + kernel->params[count].size;

        if (end > KERNEL_BYTES_MAX || ++count > KERNEL_PARAMS_MAX)
            return false;
        if (end > kernel->buffer_bytes)
            kernel->buffer_bytes = end;
    }
    kernel->param_count = count;
    return count < room;
}

static bool is_table(const struct table *table, const char *name)
{
    size_t length = strlen(name), suffix = sizeof params_suffix - 1;

    if (length <= suffix || strcmp(name + length - suffix, params_suffix) != 0)
        return false;
    for (size_t i = 0; i < table->count; i++) {
        const char *other = table->names + table->symbols[i].st_name;

        if (is_exported(&table->symbols[i], STT_FUNC) && strlen(other) == length - suffix &&
            strncmp(other, name, length - suffix) == 0)
            return true;
    }
    return false;
}

static CUresult symbols_read(struct image *image, const struct table *table)
{
    image->kernels = calloc(table->count + 1, sizeof *image->kernels);
    image->globals = calloc(table->count + 1, sizeof *image->globals);
    if (!image->kernels || !image->globals)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < table->count; i++) {
        const Elf64_Sym *symbol = &table->symbols[i];
        const char *name = table->names + symbol->st_name;
        const Elf64_Sym *params;

        if (is_exported(symbol, STT_FUNC) && (params = params_of(table, name))) {
            image->kernels[image->kernel_count].name = name;
            if (!kernel_read(image, params, &image->kernels[image->kernel_count++])) {
                fprintf(stderr, "simgpu: %s_params is no table of parameters that ends with size 0\n", name);
                return CUDA_ERROR_INVALID_IMAGE;
            }
        } else if (is_exported(symbol, STT_OBJECT) && symbol->st_size && !is_table(table, name)) {
            image->globals[image->global_count++] =
                (struct image_global){.name = name, .size = symbol->st_size};
        }
    }
    return CUDA_SUCCESS;
}

static CUresult image_finish(struct image *image, CUresult result)
{
    struct table table;

    if (result == CUDA_SUCCESS)
        result = table_find(image, &table) ? symbols_read(image, &table) : CUDA_ERROR_INVALID_IMAGE;
    if (result != CUDA_SUCCESS)
        image_drop(image);
    return result;
}

static struct image *image_create(size_t size)
{
    struct image *image = calloc(1, sizeof *image);

    if (!image)
        return NULL;
    image->refs = 1;
    image->size = size;
    image->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image->bytes == MAP_FAILED) {
        free(image);
        return NULL;
    }
    return image;
}

/* PTX, as it is or in a fat binary, of `size` bytes in a file; 0: in memory, where a text has an end. */
static CUresult text_read(const void *data, size_t size, struct image **read_image)
{
    CUresult result = CUDA_SUCCESS;
    size_t length = size;
    char *text = NULL;

    if (fatbin_is(data)) {
        result = fatbin_text(data, size, options.capability, &text);
    } else if (!size && !peek_text(data, &length)) {
        result = CUDA_ERROR_INVALID_IMAGE;
    } else {
        text = strndup(data, length);
        if (!text)
            result = CUDA_ERROR_OUT_OF_MEMORY;
        else if (!memmem(text, length < HEAD_BYTES ? length : HEAD_BYTES, ".version", strlen(".version")))
            result = CUDA_ERROR_INVALID_IMAGE;
    }
    if (result == CUDA_SUCCESS)
        result = ptx_read(text, read_image);
    free(text);
    return result;
}

CUresult image_read_file(const char *path, struct image **read_image)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    struct image *image = NULL;
    CUresult result = CUDA_ERROR_INVALID_IMAGE;

    if (file < 0)
        return CUDA_ERROR_FILE_NOT_FOUND;
    if (fstat(file, &status) == 0 && status.st_size >= 64) {
        image = image_create((size_t)status.st_size);
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (image && pread(file, (void *)image->bytes, image->size, 0) == (ssize_t)image->size)
        result = CUDA_SUCCESS;
    close(file);
    if (!image)
        return result;
    if (result == CUDA_SUCCESS && memcmp(image->bytes, ELFMAG, SELFMAG) != 0) {
        result = text_read(image->bytes, image->size, read_image);
        image_drop(image);
        return result;
    }
    if (result == CUDA_SUCCESS)
        result = judge_header(image->bytes, image->size);
    result = image_finish(image, result);
    if (result == CUDA_SUCCESS)
        *read_image = image;
    return result;
}

CUresult image_read_data(const void *data, struct image **read_image)
{
    struct image *image;
    Elf64_Ehdr header;
    CUresult result;
    size_t size;

    if (!peek(data, &header, SELFMAG))
        return CUDA_ERROR_INVALID_IMAGE;
    if (memcmp(&header, ELFMAG, SELFMAG) != 0)
        return text_read(data, 0, read_image);
    /* How much there is, nobody says but the file itself. */
    if (!peek(data, &header, sizeof header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_shoff > IMAGE_BYTES_MAX)
        return CUDA_ERROR_INVALID_IMAGE;
    size = header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
    if (size < sizeof header)
        return CUDA_ERROR_INVALID_IMAGE;
    image = image_create(size);
    if (!image)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result =
        peek(data, (void *)image->bytes, size) ? judge_header(image->bytes, size) : CUDA_ERROR_INVALID_IMAGE;
    result = image_finish(image, result);
    if (result == CUDA_SUCCESS)
        *read_image = image;
    return result;
}

CUresult image_open(const struct image *image, struct instance *instance)
{
    char path[64];
    int file = memfd_create("simgpu-module", MFD_CLOEXEC);
    void *opened = NULL;

    if (file < 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (write(file, image->bytes, image->size) == (ssize_t)image->size)
        opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!opened) {
        fprintf(stderr, "simgpu: a module does not load: %s\n", dlerror());
        close(file);
        return CUDA_ERROR_SHARED_OBJECT_INIT_FAILED;
    }
    *instance = (struct instance){opened, file};
    return CUDA_SUCCESS;
}

void image_close(const struct instance *instance)
{
    dlclose(instance->opened);
    close(instance->file);
}

void image_hold(struct image *image)
{
    image->refs++;
}

void image_drop(struct image *image)
{
    if (--image->refs)
        return;
    for (unsigned i = 0; image->program && i < image->kernel_count; i++)
        free((void *)image->kernels[i].params);
    if (image->program)
        program_destroy(image->program);
    else
        munmap((void *)image->bytes, image->size);
    free(image->kernels);
    free(image->globals);
    free(image);
}
