/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - an allocation of each kind, its bytes written, to be checked, resized and freed at another moment.
 *
 * For programs that run with and without the library; all is inline, since they and their plugins share nothing.
 */
#ifndef EBB_TEST_OBJECT_H
#define EBB_TEST_OBJECT_H

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct object {
    unsigned char *memory;
    size_t bytes;
};

enum {
    OBJECTS = 15
};

struct objects {
    struct object object[OBJECTS];
};

static inline void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(9);
}

/* Nothing here may need what is not there yet, or any more. */
static inline void fail(const char *what)
{
    say("failed: ");
    say(what);
    say("\n");
    _exit(1);
}

static inline unsigned char byte_at(size_t at, size_t bytes)
{
    return (unsigned char)(at * 7 + bytes);
}

static inline struct object object_new(unsigned kind, size_t bytes)
{
    struct object object = {NULL, bytes};
    void *memory = NULL;

    switch (kind) {
    case 0:
        memory = malloc(bytes);
        break;
    case 1:
        memory = calloc(1, bytes);
        for (size_t i = 0; memory && i < bytes; i++)
            if (((unsigned char *)memory)[i])
                fail("calloc gives no zeros");
        break;
    case 2:
        memory = realloc(NULL, bytes);
        break;
    case 3:
        if (posix_memalign(&memory, 128, bytes))
            memory = NULL;
        break;
    default:
        memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    }
    if (!memory)
        fail("no memory");
    if (malloc_usable_size(memory) < bytes)
        fail("usable size");
    object.memory = memory;
    for (size_t i = 0; i < bytes; i++)
        object.memory[i] = byte_at(i, bytes);
    return object;
}

static inline void object_check(const struct object *object, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (object->memory[i] != byte_at(i, object->bytes))
            fail("it is not what was written");
}

/* Of each kind a small one, a page's, a large one. */
static inline void objects_make(struct objects *objects)
{
    static const size_t sizes[] = {24, 5000, 70000};

    for (unsigned i = 0; i < OBJECTS; i++)
        objects->object[i] = object_new(i % 5, sizes[i / 5]);
}

/* Frees every other one, and the rest by way of a realloc. */
static inline void objects_end(struct objects *objects)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        struct object *object = &objects->object[i];

        object_check(object, object->bytes);
        if (i % 2) {
            object->memory = realloc(object->memory, object->bytes * 3);
            if (!object->memory)
                fail("no memory to grow");
            object_check(object, object->bytes);
        }
        free(object->memory);
        object->memory = NULL;
    }
}

static inline void objects_pass(void)
{
    struct objects objects;

    objects_make(&objects);
    objects_end(&objects);
}

#endif
