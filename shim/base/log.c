/* SPDX-License-Identifier: Apache-2.0 */
/* Lines out, and the formatter behind them. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel_guard.h"
#include "base/output.h"

enum log_level log_threshold = LOG_WARN;
int (*log_borrow)(int file);

static struct {
    const char *path;        /* of the file, NULL for standard error */
    atomic_int fd;           /* of the file, -1 for none */
    struct output_file file; /* what fd must still be, since programs close and reuse any descriptor */
    atomic_uint warnings;
} state = {.fd = -1};

/* A file, or a device like /dev/null: a pipe or a socket would make the program wait for who reads it, here or later.
 * `flag`: O_CREAT or 0. */
static int open_path(const char *path, int flag)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | flag, 0600),
        error;

    if (fd < 0)
        return -errno;
    error = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) || S_ISCHR(st.st_mode) ? 0 : -EINVAL;
    if (error < 0)
        close(fd);
    return error < 0 ? error : fd;
}

static int open_file(const char *path)
{
    int fd = open_path(path, O_CREAT);

    if (fd >= 0 && !output_look(fd, &state.file)) {
        close(fd);
        return -EBADF;
    }
    return fd;
}

int log_init(enum log_level level, const char *path)
{
    struct cancel_guard guard;
    int error = 0, fd;

    cancel_guard_enter(&guard);
    log_finish();
    output_start();
    log_threshold = level;
    atomic_store(&state.warnings, 0);
    if (path && *path) {
        fd = open_file(path);
        if (fd >= 0) {
            state.path = path;
            atomic_store(&state.fd, fd);
        } else {
            error = fd;
        }
    }
    cancel_guard_leave(&guard);
    return error;
}

void log_finish(void)
{
    int fd = atomic_exchange(&state.fd, -1);

    state.path = NULL;
    if (output_is(fd, &state.file))
        close(fd);
}

/* Standard error, or -1. In a thread that has other descriptors than the program a duplicate of the program's. */
static int standard_error(bool *is_temporary)
{
    int fd = log_borrow ? log_borrow(STDERR_FILENO) : STDERR_FILENO;

    if (fd == STDERR_FILENO)
        return output_error();
    if (fd >= 0 && !output_is_error(fd)) {
        close(fd);
        fd = -1;
    }
    *is_temporary = fd >= 0;
    return fd;
}

/* The descriptor to write to, -1 for none. A program that closed ours may have opened its own data under the same
 * number. */
static int descriptor(bool *is_temporary)
{
    int fd = atomic_load(&state.fd);

    *is_temporary = false;
    if (!state.path)
        return standard_error(is_temporary);
    if (output_is(fd, &state.file))
        return fd;
    fd = open_path(state.path, 0);
    *is_temporary = fd >= 0;
    return fd >= 0 ? fd : standard_error(is_temporary);
}

static void put_line(const char *line, size_t length)
{
    bool is_temporary;
    int fd = descriptor(&is_temporary);

    /* One write, so that lines of many threads and processes stay whole. Nobody is left to tell of a failure. */
    if (fd >= 0)
        output_write(fd, line, length);
    if (is_temporary)
        close(fd);
}

/* A value that a line quotes may have been chosen by somebody else: it ends no line, and tells a terminal nothing. U+0080
 * to U+009F are C2 80 to C2 9F. */
static void mask_controls(char *line, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i], next = i + 1 < length ? (unsigned char)line[i + 1] : 0;

        if (c < ' ' || c == 0x7f)
            line[i] = '?';
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            line[i] = line[i + 1] = '?';
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    char line[LOG_LINE_BYTES];
    unsigned number = 0;
    struct cancel_guard guard;
    va_list args;

    if (level == LOG_WARN)
        number = atomic_fetch_add(&state.warnings, 1) + 1;
    if (number > LOG_WARNINGS + 1)
        return;

    /* The last two bytes are kept for the newline and log_format's NUL. */
    size_t room = sizeof(line) - 1;
    size_t length = log_print(line, room, "ebbtide[%d]: %s: ", (int)getpid(), names[level]);
    if (number == LOG_WARNINGS + 1) {
        length +=
            log_print(line + length, room - length, "more were suppressed after %d warnings", LOG_WARNINGS);
    } else {
        va_start(args, format);
        length += log_format(line + length, room - length, format, args);
        va_end(args);
    }
    if (length == room - 1)
        memcpy(line + length - 3, "...", 3);
    mask_controls(line, length);
    line[length++] = '\n';
    cancel_guard_enter(&guard);
    put_line(line, length);
    cancel_guard_leave(&guard);
}

/* A buffer being filled; counts on past its end by dropping. */
struct sink {
    char *at;
    char *end; /* where the NUL goes at the latest */
};

/* One conversion, between % and its letter. */
struct conversion {
    bool is_left;
    bool is_zero;
    int width;
    int precision; /* -1 for none */
    int longs;     /* 0 int, 1 long or size_t, 2 long long */
};

static void put(struct sink *s, char c)
{
    if (s->at < s->end)
        *s->at++ = c;
}

static void put_padded(struct sink *s, const struct conversion *c, const char *text, size_t length)
{
    size_t pad = c->width > 0 && (size_t)c->width > length ? (size_t)c->width - length : 0;

    if (c->is_zero && !c->is_left) {
        if (length && *text == '-') {
            put(s, *text++);
            length--;
        }
        for (; pad; pad--)
            put(s, '0');
    }
    for (; pad && !c->is_left; pad--)
        put(s, ' ');
    for (size_t i = 0; i < length; i++)
        put(s, text[i]);
    for (; pad; pad--)
        put(s, ' ');
}

static void put_integer(struct sink *s, const struct conversion *c, uint64_t value, unsigned base,
                        const char *sign)
{
    char text[24];
    char *at = text + sizeof(text);

    do {
        *--at = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (size_t i = strlen(sign); i; i--)
        *--at = sign[i - 1];
    put_padded(s, c, at, (size_t)(text + sizeof(text) - at));
}

/* Reads flags, width, precision and length. Returns the conversion's letter. */
static const char *read_conversion(const char *format, struct conversion *c, va_list *args)
{
    *c = (struct conversion){.precision = -1};
    for (; *format == '-' || *format == '0'; format++) {
        c->is_left |= *format == '-';
        c->is_zero |= *format == '0';
    }
    if (*format == '*') {
        c->width = va_arg(*args, int);
        format++;
    }
    for (; *format >= '0' && *format <= '9'; format++)
        c->width = c->width * 10 + (*format - '0');
    if (*format == '.') {
        c->precision = 0;
        if (*++format == '*') {
            c->precision = va_arg(*args, int);
            format++;
        }
        for (; *format >= '0' && *format <= '9'; format++)
            c->precision = c->precision * 10 + (*format - '0');
    }
    for (; *format == 'l' || *format == 'z'; format++)
        c->longs++;
    return format;
}

static void put_signed(struct sink *s, const struct conversion *c, va_list *args)
{
    long long value = c->longs > 1 ? va_arg(*args, long long)
                      : c->longs   ? va_arg(*args, long)
                                   : va_arg(*args, int);
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    put_integer(s, c, magnitude, 10, value < 0 ? "-" : "");
}

static void put_unsigned(struct sink *s, const struct conversion *c, unsigned base, va_list *args)
{
    uint64_t value = c->longs > 1 ? va_arg(*args, unsigned long long)
                     : c->longs   ? va_arg(*args, unsigned long)
                                  : va_arg(*args, unsigned);
    put_integer(s, c, value, base, "");
}

/* Returns false for a letter it does not know: the argument's type is unknown then, and so are all behind it. */
static bool put_conversion(struct sink *s, char letter, const struct conversion *c, va_list *args)
{
    const char *text;
    char character;

    switch (letter) {
    case 'd':
    case 'i':
        put_signed(s, c, args);
        return true;
    case 'u':
        put_unsigned(s, c, 10, args);
        return true;
    case 'x':
        put_unsigned(s, c, 16, args);
        return true;
    case 'p':
        put_integer(s, c, (uintptr_t)va_arg(*args, void *), 16, "0x");
        return true;
    case 's':
        text = va_arg(*args, const char *);
        text = text ? text : "(null)";
        put_padded(s, c, text, c->precision < 0 ? strlen(text) : strnlen(text, (size_t)c->precision));
        return true;
    case 'c':
        character = (char)va_arg(*args, int);
        put_padded(s, c, &character, 1);
        return true;
    case '%':
        put(s, '%');
        return true;
    default:
        return false;
    }
}

size_t log_format(char *buf, size_t size, const char *format, va_list args)
{
    struct sink s = {.at = buf, .end = buf + size - 1};
    struct conversion c;
    va_list mine;

    if (size == 0)
        return 0;
    /* A copy, because a va_list that is a parameter has no address of its type. */
    va_copy(mine, args);
    for (; *format; format++) {
        if (*format != '%') {
            put(&s, *format);
            continue;
        }
        const char *letter = read_conversion(format + 1, &c, &mine);
        if (!put_conversion(&s, *letter, &c, &mine))
            break;
        format = letter;
    }
    va_end(mine);
    for (; *format; format++)
        put(&s, *format);
    *s.at = '\0';
    return (size_t)(s.at - buf);
}

size_t log_print(char *buf, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    size_t length = log_format(buf, size, format, args);
    va_end(args);
    return length;
}
