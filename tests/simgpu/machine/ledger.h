/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's capacity, shared by processes that may be killed or stopped at any instruction. Nobody waits for anybody:
 * there is no lock.
 *
 * The word has the total, and names the last change of it: whose account, and its number there. A change is first
 * written down as the account's intent, happens when the word is exchanged, and is then entered in what the account
 * holds: by its owner, or by whoever reads the word next. So the total never passes the limit, and what somebody held
 * who is gone can be told and taken back.
 *
 * Units    of the caller's; fewer than 2^26.
 * Threads  one at a time changes an account with ledger_move. All else from any thread of any process.
 * Memory   all of it zero is a ledger in which nobody holds anything.
 */
#ifndef SIMGPU_LEDGER_H
#define SIMGPU_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LEDGER_ACCOUNTS = 128
};
#define LEDGER_UNITS_MAX (((uint64_t)1 << 26) - 1)

/* Both end in the number of a change: of the last that is in hold, and of the one that intent is about. */
struct account {
    uint64_t hold, intent;
};

struct ledger {
    uint64_t word;
    uint64_t peak; /* the largest total that ever was */
    struct account accounts[LEDGER_ACCOUNTS];
};

/* The owner of the account holds so many units more, or fewer. False: the total would pass the limit. */
bool ledger_move(struct ledger *ledger, unsigned account, int64_t units, uint64_t limit);

/*
 * The account is left without anything, if its owner is gone: is_gone is asked after its figures have been read. Who
 * becomes its owner does this first, when nobody else can.
 */
void ledger_clear(struct ledger *ledger, unsigned account,
                  bool (*is_gone)(const void *argument, unsigned account), const void *argument);

uint64_t ledger_total(const struct ledger *ledger);
uint64_t ledger_peak(struct ledger *ledger);
uint64_t ledger_held(const struct ledger *ledger, unsigned account);

#endif
