/* SPDX-License-Identifier: Apache-2.0 */
#include "code/fatbin.h"

#include "code/link.h"
#include "code/peek.h"
#include "code/target.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define WRAPPER_MAGIC 0x466243b1u
#define HEADER_MAGIC  0xba55ed50u
#define TEXT_MAX      ((uint64_t)1 << 30)

enum {
    KIND_PTX = 1,
    FLAG_LZ4 = 0x2000,
    FLAG_ZSTD = 0x8000,
    INPUTS_MAX = 1 << 16,
    NAME_MAX_BYTES = 64,
    LZ4_RATIO_MAX = 255
};

/* As they lie in memory. */
struct wrapper {
    uint32_t magic, version;
    const void *data;
    const void *const *inputs; /* version 2: headers, NULL behind the last */
};

struct header {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t entries_bytes;
};

struct entry_header {
    uint16_t kind, version;
    uint32_t header_bytes;
    uint64_t payload_bytes;
    uint32_t compressed_bytes, options_offset;
    uint16_t minor, major;
    uint32_t architecture, name_offset, name_bytes;
    uint64_t flags, zero, text_bytes;
};

/* A fat binary while it is read: `end` is the first offset that does not belong to it. */
struct reader {
    const char *start;
    uint64_t end;
};

/* What has been found of a reader's entries. */
struct choice {
    char *text;
    int architecture;
    bool special; /* for its architecture, or its family, alone */
};

/* The device linker's own: code that launches kernels from kernels, which is in every list of inputs. */
static const char device_runtime[] = "cuda_device_runtime";

bool fatbin_is(const void *data)
{
    uint32_t magic;

    memcpy(&magic, data, sizeof magic);
    return magic == WRAPPER_MAGIC || magic == HEADER_MAGIC;
}

static bool reader_get(const struct reader *reader, uint64_t offset, void *to, uint64_t bytes)
{
    return offset <= reader->end && bytes <= reader->end - offset && peek(reader->start + offset, to, bytes);
}

/* The entry at the offset, which must lie in the reader as a whole. */
static bool entry_get(const struct reader *reader, uint64_t offset, struct entry_header *entry)
{
    if (!reader_get(reader, offset, entry, sizeof *entry) || entry->header_bytes < sizeof *entry)
        return false;
    return entry->header_bytes <= reader->end - offset &&
           entry->payload_bytes <= reader->end - offset - entry->header_bytes;
}

static bool is_device_runtime(const struct reader *reader, uint64_t offset, const struct entry_header *entry)
{
    char name[NAME_MAX_BYTES] = "";
    size_t bytes = entry->name_bytes < sizeof name ? entry->name_bytes : sizeof name - 1;

    return entry->name_offset && bytes && reader_get(reader, offset + entry->name_offset, name, bytes) &&
           strncmp(name, device_runtime, sizeof device_runtime - 1) == 0;
}

/* `bytes` of the reader and an end, to be freed. What the image claims to have is looked for before memory is taken. */
static CUresult reader_copy(const struct reader *reader, uint64_t offset, uint64_t bytes, char **copy)
{
    char last, *text;

    if (bytes > TEXT_MAX || (bytes && !reader_get(reader, offset + bytes - 1, &last, 1)))
        return CUDA_ERROR_INVALID_IMAGE;
    text = malloc(bytes + 1);
    if (!text)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!reader_get(reader, offset, text, bytes)) {
        free(text);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    text[bytes] = 0;
    *copy = text;
    return CUDA_SUCCESS;
}

/* Whether `from` can become entry->text_bytes at all. */
static bool is_plausible(const struct entry_header *entry, const char *from)
{
    if (!entry->compressed_bytes || entry->text_bytes > TEXT_MAX)
        return false;
    if (entry->flags & FLAG_ZSTD)
        return ZSTD_getFrameContentSize(from, entry->compressed_bytes) == entry->text_bytes;
    return entry->text_bytes / LZ4_RATIO_MAX <= entry->compressed_bytes;
}

static CUresult unpack(const struct entry_header *entry, const char *from, char **unpacked)
{
    size_t bytes = entry->text_bytes, done;
    char *text;

    if (!is_plausible(entry, from))
        return CUDA_ERROR_INVALID_IMAGE;
    text = malloc(bytes + 1);
    if (!text)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (entry->flags & FLAG_ZSTD)
        done = ZSTD_decompress(text, bytes, from, entry->compressed_bytes);
    else
        done = (size_t)LZ4_decompress_safe(from, text, (int)entry->compressed_bytes, (int)bytes);
    if (done != bytes) {
        free(text);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    text[bytes] = 0;
    *unpacked = text;
    return CUDA_SUCCESS;
}

/* The text of an entry, with an end. */
static CUresult entry_text(const struct reader *reader, uint64_t offset, const struct entry_header *entry,
                           char **text)
{
    bool packed = entry->flags & (FLAG_LZ4 | FLAG_ZSTD);
    uint64_t stored = packed ? entry->compressed_bytes : entry->payload_bytes;
    CUresult result;
    char *from;

    if (stored > entry->payload_bytes)
        return CUDA_ERROR_INVALID_IMAGE;
    result = reader_copy(reader, offset + entry->header_bytes, stored, packed ? &from : text);
    if (result == CUDA_SUCCESS && packed) {
        result = unpack(entry, from, text);
        free(from);
    }
    return result;
}

/* Takes the entry if it runs on the device and suits it better than what is there. */
static CUresult choice_offer(struct choice *choice, const struct reader *reader, uint64_t offset,
                             const struct entry_header *entry, int capability)
{
    int architecture = (int)entry->architecture;
    enum target_fit fit;
    CUresult result;
    char *text;

    if (entry->architecture > (unsigned)capability || architecture < choice->architecture ||
        (architecture == choice->architecture && choice->text && !choice->special))
        return CUDA_SUCCESS;
    result = entry_text(reader, offset, entry, &text);
    if (result != CUDA_SUCCESS)
        return result;
    fit = target_judge(text, capability);
    if (fit == TARGET_OTHER ||
        (fit == TARGET_SPECIAL && architecture == choice->architecture && choice->text)) {
        free(text);
        return CUDA_SUCCESS;
    }
    free(choice->text);
    *choice = (struct choice){text, architecture, fit == TARGET_SPECIAL};
    return CUDA_SUCCESS;
}

/* What one header's entries have; `left` counts what is neither left out on purpose nor chosen. */
static CUresult header_read(const struct reader *reader, uint64_t offset, int capability,
                            struct choice *choice, unsigned *left, uint64_t *next)
{
    struct reader inside = *reader;
    struct entry_header entry;
    struct header header;
    CUresult result = CUDA_SUCCESS;

    if (!reader_get(reader, offset, &header, sizeof header) || header.magic != HEADER_MAGIC ||
        header.header_bytes < sizeof header || header.header_bytes > reader->end - offset ||
        header.entries_bytes > reader->end - offset - header.header_bytes)
        return CUDA_ERROR_INVALID_IMAGE;
    *next = inside.end = offset + header.header_bytes + header.entries_bytes;
    for (offset += header.header_bytes; offset < inside.end && result == CUDA_SUCCESS;) {
        if (!entry_get(&inside, offset, &entry))
            return CUDA_ERROR_INVALID_IMAGE;
        if (!is_device_runtime(&inside, offset, &entry)) {
            ++*left;
            if (entry.kind == KIND_PTX)
                result = choice_offer(choice, &inside, offset, &entry, capability);
        }
        offset += entry.header_bytes + entry.payload_bytes;
    }
    return result;
}

/* The best of all headers that stand in a row: in memory there is one, in a file there may be more, padded. */
static CUresult headers_read(const void *data, size_t size, int capability, char **text, unsigned *left)
{
    struct reader reader = {data, size ? size : UINT64_MAX - (uintptr_t)data};
    struct choice choice = {0};
    uint64_t offset = 0, next;
    uint32_t magic = HEADER_MAGIC;
    CUresult result = CUDA_SUCCESS;

    do {
        if (magic == HEADER_MAGIC)
            result = header_read(&reader, offset, capability, &choice, left, &next);
        else
            next = offset + sizeof magic;
        offset = next;
    } while (result == CUDA_SUCCESS && size && reader_get(&reader, offset, &magic, sizeof magic));
    if (result != CUDA_SUCCESS)
        free(choice.text);
    else
        *text = choice.text;
    return result;
}

/* Adds what is to be linked of one input. */
static CUresult input_add(const void *input, int capability, char **texts, unsigned *count)
{
    unsigned left = 0;
    char *text = NULL;
    CUresult result = headers_read(input, 0, capability, &text, &left);

    if (result == CUDA_SUCCESS && text)
        texts[(*count)++] = text;
    else if (result == CUDA_SUCCESS && left)
        result = target_refuse();
    return result;
}

static CUresult inputs_link(const void *const *inputs, int capability, char **text)
{
    unsigned room = 0, count = 0;
    CUresult result = CUDA_SUCCESS;
    const void *input;
    char **texts;

    while (room < INPUTS_MAX && peek(inputs + room, &input, sizeof input) && input)
        room++;
    if (!room || !peek(inputs + room, &input, sizeof input) || input)
        return CUDA_ERROR_INVALID_IMAGE;
    texts = calloc(room, sizeof *texts);
    if (!texts)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (unsigned i = 0; i < room && result == CUDA_SUCCESS; i++)
        if (peek(inputs + i, &input, sizeof input))
            result = input_add(input, capability, texts, &count);
    if (result == CUDA_SUCCESS)
        result = count ? link_texts((const char *const *)texts, count, text) : target_refuse();
    for (unsigned i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    return result;
}

CUresult fatbin_text(const void *data, size_t size, int capability, char **text)
{
    struct wrapper wrapper = {0};
    unsigned left = 0;
    CUresult result;
    char *found = NULL;

    if (!size && peek(data, &wrapper, sizeof wrapper) && wrapper.magic == WRAPPER_MAGIC) {
        if (wrapper.version != 1 && wrapper.version != 2)
            return CUDA_ERROR_INVALID_IMAGE;
        data = wrapper.data;
    }
    result = headers_read(data, size, capability, &found, &left);
    if (result == CUDA_SUCCESS && !found && wrapper.version == 2 && wrapper.inputs)
        return inputs_link(wrapper.inputs, capability, text);
    if (result == CUDA_SUCCESS && !found)
        return target_refuse();
    if (result == CUDA_SUCCESS)
        *text = found;
    return result;
}
