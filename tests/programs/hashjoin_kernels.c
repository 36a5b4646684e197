/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scan, partition, build, probe and aggregate over blocks of rows. The order of rows is the same in every
 * run: a slice of a block is one thread's, and places are counted before they are filled. Only where an index
 * lands in a hash table depends on who comes first, and nothing reads that.
 */
#include "hashjoin.h"
#include "kernel.h"

/* Partitions are chosen by the high half of a key, slots of a hash table by the low half. */
FUNCTION uint32_t partition_of(uint64_t key, uint32_t partitions)
{
    return (uint32_t)((key >> 32) * partitions >> 32);
}

FUNCTION uint32_t slot_of(uint64_t key, uint32_t slots)
{
    return (uint32_t)((key & 0xffffffff) * slots >> 32);
}

/* Where slice s of `count` rows begins. */
FUNCTION uint64_t slice_start(uint64_t count, uint32_t s)
{
    return count * s / SLICES;
}

SIMGPU_KERNEL6(scan, struct row *RESTRICT, rows, uint64_t, count, uint32_t, table, uint64_t, first, uint64_t,
               table_rows, uint64_t, seed)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    EACH(uint64_t, i, count)
        rows[i] = row_at(table, first + i, table_rows, seed);
}

/* counts[partition * SLICES + slice]: rows of the slice that belong to the partition. */
SIMGPU_KERNEL4(count_rows, const struct row *RESTRICT, rows, uint64_t, count, uint32_t, partitions,
               uint32_t *RESTRICT, counts)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    SIMGPU_TOUCH(counts, (uint64_t)partitions * SLICES * sizeof(*counts));
    EACH(uint32_t, s, SLICES) {
        for (uint32_t p = 0; p < partitions; p++)
            counts[p * SLICES + s] = 0;
        for (uint64_t i = slice_start(count, s); i < slice_start(count, s + 1); i++)
            counts[partition_of(rows[i].key, partitions) * SLICES + s]++;
    }
}

/* Turns counts into places, and writes where each partition starts; starts[partitions] is the number of rows.
 */
SIMGPU_KERNEL3(place_rows, uint32_t *RESTRICT, counts, uint32_t, partitions, uint32_t *RESTRICT, starts)
{
    SIMGPU_TOUCH(counts, (uint64_t)partitions * SLICES * sizeof(*counts));
    SIMGPU_TOUCH(starts, (partitions + 1) * sizeof(*starts));
    EACH(uint32_t, once, 1) {
        uint32_t place = once;

        for (uint32_t p = 0; p < partitions; p++) {
            starts[p] = place;
            for (uint32_t s = 0; s < SLICES; s++) {
                uint32_t count = counts[p * SLICES + s];

                counts[p * SLICES + s] = place;
                place += count;
            }
        }
        starts[partitions] = place;
    }
}

/* Sorts the rows by partition. Uses up the places. */
SIMGPU_KERNEL5(scatter, const struct row *RESTRICT, rows, uint64_t, count, uint32_t, partitions,
               uint32_t *RESTRICT, places, struct row *RESTRICT, sorted)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    SIMGPU_TOUCH(places, (uint64_t)partitions * SLICES * sizeof(*places));
    SIMGPU_TOUCH(sorted, count * sizeof(*sorted));
    EACH(uint32_t, s, SLICES)
        for (uint64_t i = slice_start(count, s); i < slice_start(count, s + 1); i++)
            sorted[places[partition_of(rows[i].key, partitions) * SLICES + s]++] = rows[i];
}

/* A slot holds the index of a row, plus 1; 0 is free. There are more slots than rows. */
SIMGPU_KERNEL4(build, const struct row *RESTRICT, rows, uint64_t, count, uint32_t *RESTRICT, table, uint32_t,
               slots)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    SIMGPU_TOUCH(table, slots * sizeof(*table));
    EACH(uint64_t, i, count) {
        uint32_t slot = slot_of(rows[i].key, slots);

        while (CLAIM(&table[slot], i + 1))
            slot = slot + 1 < slots ? slot + 1 : 0;
    }
}

/* Replaces the key of each row by the group of its partner. */
SIMGPU_KERNEL5(probe, struct row *RESTRICT, rows, uint64_t, count, const struct row *RESTRICT, partners,
               const uint32_t *RESTRICT, table, uint32_t, slots)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    SIMGPU_TOUCH(table, slots * sizeof(*table));
    EACH(uint64_t, i, count) {
        uint32_t slot = slot_of(rows[i].key, slots);

        while (table[slot] && partners[table[slot] - 1].key != rows[i].key)
            slot = slot + 1 < slots ? slot + 1 : 0;
        rows[i].key = table[slot] ? partners[table[slot] - 1].value : no_group;
    }
}

SIMGPU_KERNEL3(aggregate, const struct row *RESTRICT, rows, uint64_t, count, struct group *RESTRICT, groups)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    SIMGPU_TOUCH(groups, GROUPS * sizeof(*groups));
    EACH(uint64_t, i, count) {
        if (rows[i].key == no_group)
            continue;
        FETCH_ADD(&groups[rows[i].key].count, 1);
        FETCH_ADD(&groups[rows[i].key].sum, rows[i].value);
    }
}

SIMGPU_KERNEL2(merge, struct group *RESTRICT, to, const struct group *RESTRICT, from)
{
    SIMGPU_TOUCH(to, GROUPS * sizeof(*to));
    SIMGPU_TOUCH(from, GROUPS * sizeof(*from));
    EACH(uint32_t, g, GROUPS) {
        to[g].count += from[g].count;
        to[g].sum += from[g].sum;
    }
}

/* Adds up all keys and all values of a table's block. */
SIMGPU_KERNEL3(add_up, const struct row *RESTRICT, rows, uint64_t, count, struct row *RESTRICT, sum)
{
    SIMGPU_TOUCH(rows, count * sizeof(*rows));
    SIMGPU_TOUCH(sum, sizeof(*sum));
    EACH(uint32_t, group, SIMGPU_STEP) {
        struct row part = {0, 0};

        for (uint64_t i = group; i < count; i += SIMGPU_STEP) {
            part.key += rows[i].key;
            part.value += rows[i].value;
        }
        FETCH_ADD(&sum->key, part.key);
        FETCH_ADD(&sum->value, part.value);
    }
}
