/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet on N3 that an XDP program has: parsed (n3frame.h), and counted.
 */
#pragma once

#include "counters.h"
#include "n3frame.h"

/* Count what the frame is. True when `packet`, which must come in zeroed, has been filled in. */
static __always_inline bool n3_parse(struct xdp_md *ctx, struct n3_packet *packet)
{
	struct cursor cursor = cursor_start((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	enum counter outcome = n3_tunnel(&cursor, packet);

	if (outcome == COUNTER_FLOW)
		outcome = n3_user_packet(&cursor, packet);
	counters.increment(outcome);
	if (outcome != COUNTER_FLOW)
		return false;
	if (packet->outer_first_fragment)
		counters.increment(COUNTER_OUTER_FIRST_FRAGMENT);
	if (packet->inner_first_fragment)
		counters.increment(COUNTER_INNER_FIRST_FRAGMENT);
	return true;
}
