/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flow's windows and the features of a window, by the one definition (upfml/features.py says the same in Python):
 * window k covers [k*W, (k+1)*W) of the flow's clock, which starts at its first packet; an IAT counts in the window in
 * which its packet arrives; a window closes when the first packet of a later window arrives; one without an IAT is
 * skipped. Integers only, rounded down from the exact rational value.
 *
 * WINDOW_NS and IAT_UNIT_NS come from the configuration. No lock: a veth has one receive queue, so no two CPUs work on
 * one flow at a time.
 */
#pragma once

/*
 * With an IAT of at most 2^23 - 1 units, at most 2^16 - 1 of them, and a window of at most 5,000,000 units, in which
 * only the first IAT can be longer than the window: n * sum(x^2) < 2^16 * (2^46 + 2^45) < 2^63. Nothing overflows.
 * A longer IAT counts as the longest; IATs beyond the count are left out of the statistics.
 */
#define IAT_MAX ((1ULL << 23) - 1)
#define WINDOW_IATS_MAX ((1U << 16) - 1)

struct features {
	s64 iat_mean; /* IAT units */
	s64 iat_var; /* IAT units squared */
	s64 prev_iat_mean;
	s64 prev_iat_var;
};

struct flow_state {
	u64 first_ns; /* arrival of the flow's first packet */
	u64 last_ns; /* arrival of its latest packet */
	u64 window; /* k of the running window */
	u64 iat_sum; /* of the running window, like the members down to packets */
	u64 iat_sum_squares;
	u32 iats;
	u32 packets;
	s64 prev_iat_mean; /* of the last closed window; valid with has_prev */
	s64 prev_iat_var;
	u32 has_prev;
	u32 zero;
};

struct closed_window {
	struct features features;
	u64 window;
	u32 packets;
	bool classifiable; /* there was a previous window */
};

static __always_inline void flow_begin(struct flow_state *flow, u64 now_ns)
{
	flow->first_ns = now_ns;
	flow->last_ns = now_ns;
	flow->packets = 1;
}

/* The statistics of the running window, beside those of the last closed one. Needs flow->iats > 0. */
static __always_inline void window_features(const struct flow_state *flow, struct features *features)
{
	u64 n = flow->iats, sum = flow->iat_sum;

	features->iat_mean = sum / n;
	features->iat_var = (n * flow->iat_sum_squares - sum * sum) / (n * n);
	features->prev_iat_mean = flow->prev_iat_mean;
	features->prev_iat_var = flow->prev_iat_var;
}

static __always_inline void window_add(struct flow_state *flow, u64 iat_ns)
{
	u64 iat = iat_ns / IAT_UNIT_NS;

	flow->packets++;
	if (flow->iats == WINDOW_IATS_MAX)
		return;
	if (iat > IAT_MAX)
		iat = IAT_MAX;
	flow->iats++;
	flow->iat_sum += iat;
	flow->iat_sum_squares += iat * iat;
}

/*
 * Account for a packet, not the flow's first. True when it closed a window, which is then in `closed`.
 * A clock that went backwards counts as an IAT of zero.
 */
static __always_inline bool flow_packet(struct flow_state *flow, u64 now_ns, struct closed_window *closed)
{
	u64 iat_ns = now_ns > flow->last_ns ? now_ns - flow->last_ns : 0;
	u64 window;
	bool closes = false;

	flow->last_ns += iat_ns;
	window = (flow->last_ns - flow->first_ns) / WINDOW_NS;
	if (window != flow->window) {
		if (flow->iats) {
			window_features(flow, &closed->features);
			closed->window = flow->window;
			closed->packets = flow->packets;
			closed->classifiable = flow->has_prev;
			flow->prev_iat_mean = closed->features.iat_mean;
			flow->prev_iat_var = closed->features.iat_var;
			flow->has_prev = 1;
			closes = true;
		}
		flow->window = window;
		flow->iats = 0;
		flow->packets = 0;
		flow->iat_sum = 0;
		flow->iat_sum_squares = 0;
	}
	window_add(flow, iat_ns);
	return closes;
}
