/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flow's windows and the features of a window, by the one definition (upfml/packets/features.py says the same in
 * Python): window k covers [k*W, (k+1)*W) of the flow's clock, which starts at its first packet; an IAT counts in the
 * window in which its packet arrives; a window closes when the first packet of a later window arrives; one without an
 * IAT is skipped. Integers only, rounded down from the exact rational value.
 *
 * WINDOW_NS and IAT_UNIT_NS come from the configuration. Who changes a flow's state holds its lock (flowlock.h).
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
	u64 lock; /* flowlock.h */
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
	u32 told; /* 1 + the class that user space was told last, 0: none; with EMIT_CHANGES, like untold */
	u32 untold; /* decisions since then, all of that class */
	u32 zero;
};

/* What a packet did to its flow. */
struct flow_step {
	struct features features; /* of the window that it closed; valid with classifiable, like window and packets */
	u64 window;
	s64 iat_ns; /* -1: the flow's first packet */
	u32 packets;
	u32 told; /* of the flow's state */
	bool classifiable; /* it closed a window, and one had closed before */
	bool clock_backwards; /* it is earlier than the flow's latest, which counts as an IAT of zero */
	bool iat_clamped;
	bool iat_left_out;
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

static __always_inline void window_add(struct flow_state *flow, struct flow_step *step)
{
	u64 iat = (u64)step->iat_ns / IAT_UNIT_NS;

	flow->packets++;
	if (flow->iats == WINDOW_IATS_MAX) {
		step->iat_left_out = true;
		return;
	}
	if (iat > IAT_MAX) {
		step->iat_clamped = true;
		iat = IAT_MAX;
	}
	flow->iats++;
	flow->iat_sum += iat;
	flow->iat_sum_squares += iat * iat;
}

/* The running window is over: a packet of a later one has arrived. */
static __always_inline void window_close(struct flow_state *flow, struct flow_step *step)
{
	window_features(flow, &step->features);
	step->window = flow->window;
	step->packets = flow->packets;
	step->classifiable = flow->has_prev;
	flow->prev_iat_mean = step->features.iat_mean;
	flow->prev_iat_var = step->features.iat_var;
	flow->has_prev = 1;
}

/*
 * Classify every packet (arms `-packet`): on the running window, this packet included, once a window has closed;
 * whether the packet closed one no longer matters.
 */
static __always_inline void window_running(const struct flow_state *flow, struct flow_step *step)
{
	step->classifiable = flow->has_prev;
	if (step->classifiable) {
		window_features(flow, &step->features);
		step->window = flow->window;
		step->packets = flow->packets;
	}
}

/* A packet, not the flow's first, has come: flow->last_ns says when, step->iat_ns after which IAT; the rest is zero. */
static __always_inline void flow_account(struct flow_state *flow, struct flow_step *step)
{
	u64 window = (flow->last_ns - flow->first_ns) / WINDOW_NS;

	if (window != flow->window) {
		if (flow->iats)
			window_close(flow, step);
		flow->window = window;
		flow->iats = 0;
		flow->packets = 0;
		flow->iat_sum = 0;
		flow->iat_sum_squares = 0;
	}
	window_add(flow, step);
}

/* The same for a packet that comes at `now_ns`. `step` must come in zeroed. */
static __always_inline void flow_packet(struct flow_state *flow, u64 now_ns, struct flow_step *step)
{
	step->clock_backwards = now_ns < flow->last_ns;
	step->iat_ns = step->clock_backwards ? 0 : now_ns - flow->last_ns;
	flow->last_ns += step->iat_ns;
	flow_account(flow, step);
}
