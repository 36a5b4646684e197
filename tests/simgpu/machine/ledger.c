/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/ledger.h"

enum {
    NUMBER_BITS = 30,
    ACCOUNT_BITS = 8
};
#define NUMBERS (((uint64_t)1 << NUMBER_BITS) - 1)

/* In a word: total, account, number. In an account: units, number. */
static uint64_t word_make(uint64_t total, unsigned account, uint64_t number)
{
    return (total << ACCOUNT_BITS | account) << NUMBER_BITS | number;
}

static uint64_t total_of(uint64_t word)
{
    return word >> (ACCOUNT_BITS + NUMBER_BITS);
}

static unsigned account_of(uint64_t word)
{
    return (unsigned)(word >> NUMBER_BITS) & ((1u << ACCOUNT_BITS) - 1);
}

static uint64_t entry_make(int64_t units, uint64_t number)
{
    return (uint64_t)units << NUMBER_BITS | number;
}

static int64_t units_of(uint64_t entry)
{
    return (int64_t)entry >> NUMBER_BITS;
}

static uint64_t number_of(uint64_t bits)
{
    return bits & NUMBERS;
}

static uint64_t after(uint64_t number)
{
    return (number + 1) & NUMBERS;
}

static uint64_t load(const uint64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_SEQ_CST);
}

static bool exchange(uint64_t *at, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(at, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Enters the change that a word names, unless somebody has. Every word comes through here before it is replaced. */
static void settle(struct ledger *ledger, uint64_t word)
{
    struct account *account = &ledger->accounts[account_of(word) % LEDGER_ACCOUNTS];
    uint64_t peak = load(&ledger->peak), intent, hold;

    while (peak < total_of(word) && !exchange(&ledger->peak, peak, total_of(word)))
        peak = load(&ledger->peak);
    intent = load(&account->intent);
    hold = load(&account->hold);
    if (number_of(intent) == number_of(word) && after(number_of(hold)) == number_of(word))
        (void)exchange(&account->hold, hold, entry_make(units_of(hold) + units_of(intent), number_of(word)));
}

/* The step that counts: what the account intends, with that number, becomes part of the total. */
static bool commit(struct ledger *ledger, uint64_t word, unsigned account, int64_t units, uint64_t number)
{
    uint64_t next = word_make(total_of(word) + (uint64_t)units, account, number);

    if (!exchange(&ledger->word, word, next))
        return false;
    settle(ledger, next);
    return true;
}

bool ledger_move(struct ledger *ledger, unsigned index, int64_t units, uint64_t limit)
{
    struct account *account = &ledger->accounts[index];
    uint64_t word, number;

    do {
        word = load(&ledger->word);
        settle(ledger, word);
        if (units > 0 && total_of(word) + (uint64_t)units > limit)
            return false;
        number = after(number_of(load(&account->hold)));
        __atomic_store_n(&account->intent, entry_make(units, number), __ATOMIC_SEQ_CST);
    } while (!commit(ledger, word, index, units, number));
    return true;
}

void ledger_clear(struct ledger *ledger, unsigned index,
                  bool (*is_gone)(const void *argument, unsigned account), const void *argument)
{
    struct account *account = &ledger->accounts[index];

    for (;;) {
        uint64_t word = load(&ledger->word), intent, hold, number;

        settle(ledger, word);
        intent = load(&account->intent);
        hold = load(&account->hold);
        if (!units_of(hold) || !is_gone(argument, index))
            return;
        number = after(number_of(hold));
        /* The owner may have committed between the first line and its end; its intent is then still needed. */
        if (load(&ledger->word) != word)
            continue;
        /* From here on whoever comes to the account wants the same of it, and a later owner's intent is another. */
        if (exchange(&account->intent, intent, entry_make(-units_of(hold), number)) &&
            commit(ledger, word, index, -units_of(hold), number))
            return;
    }
}

uint64_t ledger_total(const struct ledger *ledger)
{
    return total_of(load(&ledger->word));
}

uint64_t ledger_peak(struct ledger *ledger)
{
    settle(ledger, load(&ledger->word));
    return load(&ledger->peak);
}

uint64_t ledger_held(const struct ledger *ledger, unsigned account)
{
    return (uint64_t)units_of(load(&ledger->accounts[account].hold));
}
