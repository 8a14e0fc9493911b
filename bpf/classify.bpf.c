// SPDX-License-Identifier: GPL-2.0-only
/*
 * The in-kernel classifier (paper, section 3.2, algorithm 1, figure 4): XDP on the UPF's N3.
 * packet -> flow -> window -> features -> engine -> decision event.
 *
 * Comes with: MODEL_CLASSES and the forest (forest.h) and the choice of engine (engine.h), both made by upfml/convert.py; CLASSIFY_PACKETS when every packet is
 * classified on the running window (as the authors' code does) rather than every window once, when it closes.
 */
#include <uapi/linux/bpf.h>
#include "include/n3.h"
#include "include/clock.h"
#include "include/events.h"
#include "forest.h"

/* What tail-called programs share (paper: "Global Scratchpad S"). */
struct scratchpad {
	s64 votes[MODEL_CLASSES]; /* votes, or sums of the leaves' class shares */
	struct decision_event decision; /* its features are the model's input */
};

BPF_TABLE(FLOW_TABLE_TYPE, struct flow_key, struct flow_state, flows, FLOW_TABLE_SIZE);
BPF_PERCPU_ARRAY(scratchpads, struct scratchpad, 1);
BPF_PERF_OUTPUT(decisions);

static struct scratchpad *scratchpad(void)
{
	int first = 0;

	return scratchpads.lookup(&first);
}

/* Where every engine ends. */
static int decided(struct xdp_md *ctx, struct scratchpad *pad, s32 class)
{
	pad->decision.t_label_ns = bpf_ktime_get_ns();
	pad->decision.predicted = class;
	if (decisions.perf_submit(ctx, &pad->decision, sizeof(pad->decision)))
		counters.increment(COUNTER_EVENT_LOST);
	else
		counters.increment(COUNTER_EVENT_SENT);
	return XDP_PASS;
}

#include "engine.h"

/* True when the packet calls for a classification, whose window and features are then in `subject`. */
static bool flow_update(struct flow_key *key, u64 now_ns, struct closed_window *subject)
{
	struct flow_state *flow = flows.lookup(key);

	if (!flow) {
		struct flow_state first = {};

		flow_begin(&first, now_ns);
		if (flows.update(key, &first))
			counters.increment(COUNTER_FLOW_TABLE_FULL);
		return false;
	}
#ifdef CLASSIFY_PACKETS
	flow_packet(flow, now_ns, subject);
	if (!flow->has_prev)
		return false;
	window_features(flow, &subject->features);
	subject->window = flow->window;
	subject->packets = flow->packets;
	return true;
#else
	return flow_packet(flow, now_ns, subject) && subject->classifiable;
#endif
}

int classify(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};
	struct closed_window subject = {};
	struct scratchpad *pad;

	if (!n3_parse(ctx, &packet) || !flow_update(&packet.key, now_ns, &subject))
		return XDP_PASS;
	pad = scratchpad();
	if (!pad)
		return XDP_PASS;
	pad->decision.key = packet.key;
	pad->decision.window = subject.window;
	pad->decision.packets = subject.packets;
	pad->decision.features = subject.features;
	pad->decision.t_packet_ns = now_ns;
	pad->decision.t_features_ns = bpf_ktime_get_ns();
	return infer(ctx, pad);
}
