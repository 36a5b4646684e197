/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the command `ebbtide`.
 *
 * Shape    one function per subcommand; each gets the arguments behind its name and returns the exit status.
 * Errors   one line on standard error with the exact cause and one hint, never the whole help.
 */
#ifndef EBB_CLI_H
#define EBB_CLI_H

/* Exit statuses of our own, as env(1) and nohup(1) have them. */
enum cli_status {
    CLI_OK = 0,
    CLI_LIMITED = 1,          /* doctor: something is missing */
    CLI_FAILED = 125,         /* ours: usage, bad value, no library */
    CLI_NOT_EXECUTABLE = 126, /* the command was found and could not be run */
    CLI_NOT_FOUND = 127,
    CLI_HELPED = -1, /* no status: --help was among the options, and has been printed */
};

/* Print `ebbtide: ` and the text with a newline to standard error. Returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * `ebbtide run`: set the environment, preload the library, become the command.
 *
 * @arguments  what follows `run`, ended by NULL
 * Returns     only when there is no command to become
 */
int cli_run(char *const *arguments);

/** `ebbtide doctor`: print what works on this machine. CLI_OK, CLI_LIMITED or CLI_FAILED. */
int cli_doctor(char *const *arguments);

/** `ebbtide stats`: print the figures of a process. CLI_OK or CLI_FAILED. */
int cli_stats(char *const *arguments);

/** `ebbtide top`: show all processes. CLI_OK or CLI_FAILED. */
int cli_top(char *const *arguments);

/** The folder of pages that EBBTIDE_LIVE_DIR names, or "". */
const char *cli_live_folder(void);

/** Put the options at *arguments into the environment and move *arguments behind them. 0, CLI_FAILED after a line, or
 *  CLI_HELPED. */
int cli_take_options(char *const **arguments);

/** Put the library in front of LD_PRELOAD. 0 or CLI_FAILED after a line. */
int cli_preload(void);

#endif
