/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What engines have in common: each has `infer`, which the classifier goes on to with the features in the scratchpad, and
 * which ends in `decided`.
 */
#pragma once

static __always_inline void votes_clear(struct scratchpad *pad)
{
#pragma unroll
	for (int i = 0; i < MODEL_CLASSES; i++)
		pad->votes[i] = 0;
}

/* The class with the most votes, the first of equals (as scikit-learn's argmax). */
static __always_inline s32 most_voted(const s64 *votes)
{
	s64 most = votes[0];
	s32 class = 0;

#pragma unroll
	for (int i = 1; i < MODEL_CLASSES; i++) {
		if (votes[i] > most) {
			most = votes[i];
			class = i;
		}
	}
	return class;
}

/*
 * Votes in registers. They begin as zeros that come from memory: the verifier would follow every sum of known numbers that
 * paths through the trees can give.
 */
static __always_inline void votes_begin(struct scratchpad *pad, s64 *votes)
{
	votes_clear(pad);
	asm volatile("" ::: "memory");
#pragma unroll
	for (int i = 0; i < MODEL_CLASSES; i++)
		votes[i] = pad->votes[i];
}

/*
 * Between trees: has the compiler read the features anew, so that the verifier drops what it learnt about them. It would
 * otherwise follow every path of a tree through the next tree: 10 full trees of depth 10 in three programs take it 4,300
 * steps with this and 63,000 without.
 */
static __always_inline void forget_features(void)
{
	asm volatile("" ::: "memory");
}
