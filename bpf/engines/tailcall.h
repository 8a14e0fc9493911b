/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The paper's engine (algorithm 1): the trees divided over programs that tail-call each other, votes in the scratchpad,
 * the class with the most at the end. forest_parts.h has the parts (upfml/model/engines/tailcall.py): FOREST_PARTS
 * programs forest_part_0, ... which add their trees' votes and call part_end.
 */
#pragma once

#include "votes.h"

BPF_PROG_ARRAY(parts, FOREST_PARTS);

static int part_end(struct xdp_md *ctx, struct scratchpad *pad, int next)
{
	if (next == FOREST_PARTS)
		return decided(ctx, pad, most_voted(pad->votes));
	parts.call(ctx, next);
	counters.increment(COUNTER_INFERENCE_BROKEN);
	return XDP_PASS;
}

static int infer(struct xdp_md *ctx, struct scratchpad *pad)
{
	votes_clear(pad);
	return part_end(ctx, pad, 0);
}

#include "forest_parts.h"
