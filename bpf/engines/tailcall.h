/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The paper's engine (algorithm 1): the trees divided over programs that tail-call each other, votes in the
 * scratchpad, an integer majority at the end. forest.h has the parts: FOREST_PARTS programs forest_part_0, ... which
 * call part_begin and part_end.
 */
#pragma once

BPF_PROG_ARRAY(parts, FOREST_PARTS);

/* The class with the most votes, the lowest of equals (as scikit-learn's argmax breaks ties). */
static s32 majority(const s64 *votes)
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
		return decided(ctx, pad, majority(pad->votes));
	parts.call(ctx, next);
	counters.increment(COUNTER_INFERENCE_BROKEN);
	return XDP_PASS;
}

static int infer(struct xdp_md *ctx, struct scratchpad *pad)
{
#pragma unroll
	for (int i = 0; i < MODEL_CLASSES; i++)
		pad->votes[i] = 0;
	return part_end(ctx, pad, 0);
}

#include "forest_parts.h"
