/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All trees in the classifier itself: no tail call. forest_votes.h (upfml/model/engines/inline.py) has forest_votes,
 * which adds up what the trees say.
 */
#pragma once

#include "votes.h"

static __always_inline void vote_for(s32 class, s64 *votes)
{
#pragma unroll
	for (int i = 0; i < MODEL_CLASSES; i++)
		votes[i] += class == i;
}

#include "forest_votes.h"

static int infer(struct xdp_md *ctx, struct scratchpad *pad)
{
	s64 votes[MODEL_CLASSES];

	votes_begin(pad, votes);
	forest_votes(pad->features, votes);
	return decided(ctx, pad, most_voted(votes));
}
