/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_stop.c - bytes of the program that cannot be brought back stop it. See host_state.h.
 *
 * It ends as when memory itself has failed: by SIGBUS, with its default action, whatever the program has made of that
 * signal, since a handler of the program's knows nothing of these bytes. Whoever started it sees the signal.
 */
#include "host/host_state.h"

#include <signal.h>
#include <string.h>

#include "base/log.h"

void host_stop(uint64_t first, uint64_t bytes, int error)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t bus;

    log_line(LOG_ERROR,
             "%llu bytes at host address %llx cannot be brought back (%s): the process is stopped, as it "
             "would go on "
             "with others",
             (unsigned long long)bytes, (unsigned long long)first, strerrordesc_np(-error));
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    sigaction(SIGBUS, &usual, NULL);
    pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
    raise(SIGBUS);
    _exit(128 + SIGBUS); /* the first process of a container */
}
