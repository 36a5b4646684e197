/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a program: a table of options, each with a value, and `--progress` and `--help`, which
 * every program has. A wrong command line ends the program as failure.h says.
 */
#ifndef PROGRAMS_ARGUMENTS_H
#define PROGRAMS_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

enum argument_kind {
    ARGUMENT_SIZE,  /* uint64_t: bytes; K, M, G, T behind the number are powers of 1024 */
    ARGUMENT_COUNT, /* uint64_t: a plain number */
    ARGUMENT_TEXT,  /* const char *: points into argv */
};

/* One option. A table ends with a NULL name. */
struct argument {
    const char *name; /* without dashes */
    const char *help;
    enum argument_kind kind;
    void *value; /* keeps its content if the option is not given */
};

/*
 * Reads argv into the table's values. `about` is the first line of --help; `operands` names what may follow
 * the options, NULL if nothing may. Moves the operands to the front of argv and returns how many there are.
 */
int arguments_read(int argc, char **argv, const char *about, const char *operands,
                   const struct argument *table);

/* Prints a line on stderr if --progress was given: what is being done, and how much of it is. */
void progress_show(const char *step, uint64_t done, uint64_t total);

#endif
