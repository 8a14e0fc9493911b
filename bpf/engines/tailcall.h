/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The paper's engine (algorithm 1): the trees divided over programs that tail-call each other, votes in the
 * scratchpad, the class with the most at the end. forest_parts.h has the parts: FOREST_PARTS programs forest_part_0, ...
 * which add their trees' votes and call part_end.
 */
#pragma once

BPF_PROG_ARRAY(parts, FOREST_PARTS);

/* The class with the most votes, the first of equals (as scikit-learn's argmax). */
static s32 most_voted(const s64 *votes)
{
	s32 class = 0;

#pragma unroll
	for (int i = 1; i < MODEL_CLASSES; i++)
		if (votes[i] > votes[class])
			class = i;
	return class;
}

static int part_end(struct xdp_md *ctx, struct scratchpad *pad, int next)
{
	if (next == FOREST_PARTS)
		return decided(ctx, pad, most_voted(pad->votes));
	parts.call(ctx, next);
	counters.increment(COUNTER_INFERENCE_BROKEN);
	return XDP_PASS;
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

static int infer(struct xdp_md *ctx, struct scratchpad *pad)
{
#pragma unroll
	for (int i = 0; i < MODEL_CLASSES; i++)
		pad->votes[i] = 0;
	return part_end(ctx, pad, 0);
}

#include "forest_parts.h"
