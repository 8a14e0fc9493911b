/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The forest as data: the same programs for every forest of as many classes. upfml/model/engines/table.py makes the
 * tables and says what is in them.
 *
 * A feature becomes its rank among the thresholds that the forest has for it, by binary search. From the ranks on there
 * are two forms:
 *
 * - FOREST_BITVECTORS (after QuickScorer: Lucchese et al., SIGIR 2015): for each feature and rank a row with a bit for
 *   each leaf of each tree, set where the leaf can still be reached. The features' rows, ANDed, leave one bit a tree. A
 *   word of 64 bits holds leaves of one tree only, so each word has at most one bit left, which says where its votes are.
 * - FOREST_NODES, for what is too large for that: the trees walked level by level, TREES_A_PASS in a program that then
 *   tail-calls itself.
 *
 * Neither branches on data, so that nothing is mispredicted. TABLE_BYTES (a power of two), TABLE_STEPS and TABLE_LEVELS say
 * for how large a forest there is room.
 *
 * A forest is replaced without a packet noticing: two places, one of which is in use. The new forest goes into the
 * other, then `forest_version`, whose last bit is the place, is raised by one; a packet reads that once, and its decision
 * says which it was. See upfml/model/engines/table.py, put.
 */
#pragma once

#include "votes.h"

#define TABLE_MASK (TABLE_BYTES - 1)
#define WORDS_MAX 1024 /* of a row; upfml/model/engines/table.py knows it, too, as it does the next */
#define TREES_A_PASS 32
#define TREES_AT_ONCE 4 /* their nodes come from memory at the same time */
#define WORDS_AT_ONCE 4 /* a row has a multiple of these */
#define RANKS 32 /* features, and one that is always of rank 0; a power of two */
#define LEAF_VOTES (MODEL_CLASSES > 1 ? MODEL_CLASSES - 1 : 1) /* u32 a leaf; class 0 has none */
#define SLOTS 128 /* of a word's votes, of which 65 are used */
#define DE_BRUIJN 0x0218a392cd3d5dbfULL /* shifted by k, its upper 7 bits are others for each k, and never zero */

enum forest_form { FOREST_BITVECTORS, FOREST_NODES };

/* All places are in bytes from the table's start. */
struct forest_header {
	u32 form;
	u32 steps; /* of a search among 2^steps - 1 thresholds */
	u32 words; /* of a row */
	u32 trees;
	u32 levels; /* inner nodes on the longest path */
	u32 nodes; /* where the roots are, a multiple of TREES_AT_ONCE: the last ones may have no votes */
	u32 votes;
	u32 stride; /* of a rank: a row's bytes, or 1 */
	s64 votes_of_0; /* what votes for class 0 are, once the others' are added up */
	struct {
		u64 thresholds[2]; /* where those are that a feature is compared with, which is >= 0 or < 0 */
		u64 first[2]; /* where the row of its lowest rank is, or that rank */
	} features[MODEL_FEATURES];
};

/* Begins with the header, then the thresholds. Has room for masked places, and a row or some words' votes from there. */
struct forest_table {
	u8 bytes[TABLE_BYTES + WORDS_MAX * sizeof(u64) + WORDS_AT_ONCE * SLOTS * LEAF_VOTES * sizeof(u32)];
};

_Static_assert(sizeof(s64) << TABLE_STEPS <= TABLE_BYTES / 2, "a search stays in the table");

BPF_F_TABLE("array", int, struct forest_table, forest_layout, 1, BPF_F_MMAPABLE);
BPF_ARRAY_OF_MAPS(forests, "forest_layout", 2);
BPF_ARRAY(forest_version, u32, 1);
BPF_PROG_ARRAY(parts, 1);

/* Between the passes over trees. */
struct forest_walk {
	u64 ranks[RANKS];
	u32 place; /* the forest's */
	u32 tree; /* the next */
};

BPF_PERCPU_ARRAY(forest_walks, struct forest_walk, 1);

static __always_inline struct forest_table *forest_at(u32 place)
{
	void *forest = forests.lookup(&place);
	int first = 0;

	return forest ? bpf_map_lookup_elem(forest, &first) : NULL;
}

static __always_inline struct forest_header *forest_header(struct forest_table *table)
{
	return (struct forest_header *)table;
}

static __always_inline void *within(struct forest_table *table, u64 place, u32 align)
{
	return (void *)table + (place & (TABLE_MASK & -(u64)align));
}

/* 1 or 0. The compiler must not see that this compares, or it makes a branch of it. */
static __always_inline u64 sign_bit(u64 difference)
{
	asm volatile("" : "+r"(difference));
	return difference >> 63;
}

/* 1 or 0; of numbers of one sign, whose difference does not overflow, so that its sign is the comparison. */
static __always_inline u64 is_below(s64 limit, s64 feature)
{
	return sign_bit((u64)limit - (u64)feature);
}

/* What a feature is searched in, by its sign: thresholds in the first half of the table. */
static __always_inline s64 *forest_thresholds(struct forest_table *table, int feature, u64 sign)
{
	return (void *)table +
	       (forest_header(table)->features[feature].thresholds[sign] & (TABLE_BYTES / 2 - sizeof(s64)));
}

/*
 * Where each feature's rank leads: the row's place, or the rank. The features' searches go side by side, so that one's
 * loads overlap with the others'. They move pointers, of which the verifier knows how far they can get.
 */
static __always_inline void forest_ranks(struct forest_table *table, const s64 *features, u64 *ranks)
{
	s64 *at[MODEL_FEATURES];

#pragma unroll
	for (int i = 0; i < MODEL_FEATURES; i++)
		at[i] = forest_thresholds(table, i, (u64)features[i] >> 63);
#pragma unroll
	for (int step = TABLE_STEPS - 1; step >= 0; step--) {
		const u64 half = 1ULL << step;

		/* Read each time, here and below, so that the verifier does not tell ways out of a loop apart. */
		if (step >= *(volatile u32 *)&forest_header(table)->steps)
			continue;
#pragma unroll
		for (int i = 0; i < MODEL_FEATURES; i++)
			at[i] += half & -is_below(at[i][half - 1], *(volatile s64 *)&features[i]);
	}
#pragma unroll
	for (int i = 0; i < MODEL_FEATURES; i++) {
		u64 sign = (u64)features[i] >> 63;

		ranks[i] = forest_header(table)->features[i].first[sign] +
			   (at[i] - forest_thresholds(table, i, sign)) * forest_header(table)->stride;
	}
}

static __always_inline int forest_decided(struct xdp_md *ctx, struct scratchpad *pad, struct forest_table *table,
					  s64 *votes)
{
	votes[0] = forest_header(table)->votes_of_0;
	return decided(ctx, pad, most_voted(votes));
}

static __always_inline int forest_bitvectors(struct xdp_md *ctx, struct scratchpad *pad, struct forest_table *table,
					     const u64 *rows)
{
	u64 votes_at = forest_header(table)->votes;
	s64 votes[MODEL_CLASSES];
	u64 *row[MODEL_FEATURES];

	votes_begin(pad, votes);
#pragma unroll
	for (int i = 0; i < MODEL_FEATURES; i++)
		row[i] = within(table, rows[i], sizeof(u64));
	for (u32 word = 0; word < WORDS_MAX; word += WORDS_AT_ONCE) {
		u32 *slots = within(table, votes_at, sizeof(u32));

		if (word >= *(volatile u32 *)&forest_header(table)->words)
			break;
#pragma unroll
		for (int j = 0; j < WORDS_AT_ONCE; j++) {
			u64 leaf = row[0][word + j];
			u32 *vote;

#pragma unroll
			for (int i = 1; i < MODEL_FEATURES; i++)
				leaf &= row[i][word + j];
			vote = slots + (j * SLOTS + (leaf * DE_BRUIJN >> 57)) * LEAF_VOTES;
#pragma unroll
			for (int i = 1; i < MODEL_CLASSES; i++)
				votes[i] += vote[i - 1];
		}
		votes_at += WORDS_AT_ONCE * SLOTS * LEAF_VOTES * sizeof(u32);
	}
	return forest_decided(ctx, pad, table, votes);
}

/*
 * A node: in bits 0 to 26 the place of its left child, behind which the right one is; 27 to 31 which feature; 32 to 63
 * the number of its threshold. A leaf is its own left child, tests the feature whose rank is always 0, and has the place
 * of its votes for a threshold.
 */
static __always_inline u64 *forest_child(struct forest_table *table, const u64 *node, const struct forest_walk *walk)
{
	u64 rank = walk->ranks[*node >> 27 & (RANKS - 1)];

	return (u64 *)within(table, *node, sizeof(u64)) + sign_bit((*node >> 32) - rank);
}

static __always_inline int forest_pass(struct xdp_md *ctx, struct scratchpad *pad, struct forest_walk *walk,
				       struct forest_table *table)
{
	u64 root = forest_header(table)->nodes + walk->tree * sizeof(u64);
	s64 votes[MODEL_CLASSES];

#pragma unroll
	for (int i = 1; i < MODEL_CLASSES; i++)
		votes[i] = pad->votes[i];
	for (u32 i = 0; i < TREES_A_PASS; i += TREES_AT_ONCE) {
		u64 *nodes[TREES_AT_ONCE];

		if (walk->tree >= *(volatile u32 *)&forest_header(table)->trees)
			return forest_decided(ctx, pad, table, votes);
#pragma unroll
		for (int j = 0; j < TREES_AT_ONCE; j++)
			nodes[j] = within(table, root + j * sizeof(u64), sizeof(u64));
		for (u32 level = 0; level < TABLE_LEVELS; level++) {
#pragma unroll
			for (int j = 0; j < TREES_AT_ONCE; j++)
				nodes[j] = forest_child(table, nodes[j], walk);
		}
#pragma unroll
		for (int j = 0; j < TREES_AT_ONCE; j++) {
			u32 *vote = within(table, *nodes[j] >> 32, sizeof(u32));

#pragma unroll
			for (int k = 1; k < MODEL_CLASSES; k++)
				votes[k] += vote[k - 1];
		}
		root += TREES_AT_ONCE * sizeof(u64);
		walk->tree += TREES_AT_ONCE;
	}
#pragma unroll
	for (int i = 1; i < MODEL_CLASSES; i++)
		pad->votes[i] = votes[i];
	parts.call(ctx, 0);
	counters.increment(COUNTER_INFERENCE_BROKEN);
	return XDP_PASS;
}

static int infer(struct xdp_md *ctx, struct scratchpad *pad)
{
	u64 ranks[MODEL_FEATURES];
	struct forest_table *table;
	struct forest_walk *walk;
	int first = 0;
	u32 *latest = forest_version.lookup(&first), version;

	if (!latest)
		return XDP_PASS;
	version = *(volatile u32 *)latest;
	table = forest_at(version & 1);
	if (!table)
		return XDP_PASS;
	pad->decision.model = version;
	forest_ranks(table, pad->features, ranks);
	if (forest_header(table)->form == FOREST_BITVECTORS)
		return forest_bitvectors(ctx, pad, table, ranks);
	walk = forest_walks.lookup(&first);
	if (!walk)
		return XDP_PASS;
#pragma unroll
	for (int i = 0; i < MODEL_FEATURES; i++)
		walk->ranks[i] = ranks[i];
	walk->place = version & 1;
	walk->tree = 0;
	votes_clear(pad);
	parts.call(ctx, 0);
	counters.increment(COUNTER_INFERENCE_BROKEN);
	return XDP_PASS;
}

/* A pass over trees; tail-called. */
int forest_walk(struct xdp_md *ctx)
{
	int first = 0;
	struct forest_walk *walk = forest_walks.lookup(&first);
	struct scratchpad *pad = scratchpad();
	struct forest_table *table;

	if (!walk || !pad)
		return XDP_PASS;
	table = forest_at(walk->place);
	return table ? forest_pass(ctx, pad, walk, table) : XDP_PASS;
}
