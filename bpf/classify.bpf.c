// SPDX-License-Identifier: GPL-2.0-only
/*
 * The in-kernel classifier (paper, section 3.2, algorithm 1, figure 4): XDP on the UPF's N3.
 * packet -> flow -> window -> features -> engine -> decision event.
 *
 * Comes with: MODEL_CLASSES and the forest (forest.h) and the choice of engine (engine.h), both made by
 * upfml/convert.py; CLASSIFY_PACKETS when every packet is classified on the running window (as the authors' code does)
 * rather than every window once, when it closes; HAND_OUT_PACKETS when user space is to see every packet, too, so that
 * both can be compared on the same ones.
 */
#include <uapi/linux/bpf.h>
#include "include/n3.h"
#include "include/clock.h"
#include "include/events.h"
#include "include/flowlock.h"
#include "include/window.h"
#ifdef HAND_OUT_PACKETS
#include "include/handout.h"
#endif
#include "forest.h"

typedef struct flow_state flow_value;

#include "include/flowtable.h"

/* What tail-called programs share (paper: "Global Scratchpad S"). */
struct scratchpad {
	s64 votes[MODEL_CLASSES]; /* votes, or sums of the leaves' class shares */
	struct decision_event decision; /* its features are the model's input */
};

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

/* The flow's state; NULL when this packet is its first, or when there was no room for it. */
static struct flow_state *flow_find(struct flow_key *key, u64 now_ns)
{
	struct flow_state *flow = flows.lookup(key);

	if (!flow) {
		struct flow_state first = {};

		flow_begin(&first, now_ns);
		flow = flow_enter(key, &first);
	}
	return flow;
}

/* What the packet does to its flow. `step` must come in zeroed. */
static void flow_update(struct flow_key *key, u64 now_ns, struct flow_step *step)
{
	struct flow_state *flow = flow_find(key, now_ns);
	struct flow_lock *lock;

	step->iat_ns = -1;
	if (!flow)
		return;
	lock = flow_lock(key);
	if (!lock)
		return;
	flow_acquire(lock);
	flow_packet(flow, now_ns, step);
#ifdef CLASSIFY_PACKETS
	step->classifiable = flow->has_prev;
	if (step->classifiable) {
		window_features(flow, &step->features);
		step->window = flow->window;
		step->packets = flow->packets;
	}
#endif
	flow_release(lock);
	if (step->clock_backwards)
		counters.increment(COUNTER_CLOCK_BACKWARDS);
	if (step->iat_clamped)
		counters.increment(COUNTER_IAT_CLAMPED);
	if (step->iat_left_out)
		counters.increment(COUNTER_IAT_LEFT_OUT);
}

int classify(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};
	struct flow_step step = {};
	struct scratchpad *pad;

	if (!n3_parse(ctx, &packet))
		return XDP_PASS;
	flow_update(&packet.key, now_ns, &step);
#ifdef HAND_OUT_PACKETS
	hand_out(ctx, &packet, now_ns, step.iat_ns);
#endif
	if (!step.classifiable)
		return XDP_PASS;
	pad = scratchpad();
	if (!pad)
		return XDP_PASS;
	pad->decision.key = packet.key;
	pad->decision.window = step.window;
	pad->decision.packets = step.packets;
	pad->decision.features = step.features;
	pad->decision.t_packet_ns = now_ns;
	pad->decision.t_features_ns = bpf_ktime_get_ns();
	return infer(ctx, pad);
}
