// SPDX-License-Identifier: GPL-2.0-only
/*
 * The in-kernel classifier (paper, section 3.2, algorithm 1, figure 4): XDP on the UPF's N3.
 * packet -> flow -> window -> features -> engine -> decision event.
 *
 * Comes with: MODEL_CLASSES, MODEL_FEATURES and the forest (forest.h) and the choice of engine (engine.h), both made by
 * upfml/model/convert.py; CLASSIFY_PACKETS when every packet is classified on the running window (as the authors' code
 * does) rather than every window once, when it closes; EMIT_CHANGES when user space is to be told only of decisions
 * that change a flow's class; STAMP_STEPS when the steps of a packet's way are to be told apart; HAND_OUT_PACKETS when
 * user space is to see every packet, too, so that both can be compared on the same ones.
 */
#include <uapi/linux/bpf.h>
#include "include/n3.h"
#include "include/clock.h"
#include "include/delivery.h"
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
	union { /* the model's input */
		struct features window;
		s64 features[MODEL_FEATURES]; /* as many as a window has, unless they come from elsewhere (bench.h) */
	};
	struct decision_event decision;
	u32 told; /* of the flow's state (window.h) */
};

BPF_PERCPU_ARRAY(scratchpads, struct scratchpad, 1);
#ifdef RING_PAGES
BPF_RINGBUF_OUTPUT(decisions, RING_PAGES);
#else
BPF_PERF_OUTPUT(decisions);
#endif

static struct scratchpad *scratchpad(void)
{
	int first = 0;

	return scratchpads.lookup(&first);
}

static bool send(struct xdp_md *ctx, struct decision_event *decision)
{
#ifdef RING_PAGES
	return delivered(decisions.ringbuf_output(decision, sizeof(*decision), WAKE_WHEN_EMPTY));
#else
	return delivered(decisions.perf_submit(ctx, decision, sizeof(*decision)));
#endif
}

#ifdef EMIT_CHANGES
/*
 * Tell user space when its class is news. Two CPUs that decide on a flow at the same time may both tell, or leave a change
 * to the next decision.
 */
static void tell(struct xdp_md *ctx, struct scratchpad *pad)
{
	u32 told = 1 + pad->decision.predicted;
	struct flow_state *flow;

	if (pad->told == told) {
		counters.increment(COUNTER_DECISION_UNTOLD);
		return;
	}
	flow = flows.lookup(&pad->decision.key);
	pad->decision.untold = flow ? flow->untold - 1 : 0; /* flow_update has counted this one */
	/* When features were ready was not looked at: for most decisions nobody would know. */
	pad->decision.t_features_ns = bpf_ktime_get_ns();
	pad->decision.t_label_ns = pad->decision.t_features_ns;
	if (send(ctx, &pad->decision) && flow) {
		flow->told = told;
		flow->untold = 0;
	}
}
#else
static void tell(struct xdp_md *ctx, struct scratchpad *pad)
{
	pad->decision.t_label_ns = bpf_ktime_get_ns();
	send(ctx, &pad->decision);
}
#endif

/* Where every engine ends. */
static int decided(struct xdp_md *ctx, struct scratchpad *pad, s32 class)
{
	pad->decision.predicted = class;
	tell(ctx, pad);
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

/* What the packet does to its flow. `step` must come in zeroed. False when it waited in vain for the flow's turn. */
static bool flow_update(struct flow_key *key, u64 now_ns, struct flow_step *step)
{
	struct flow_state *flow = flow_find(key, now_ns);

	step->iat_ns = -1;
	if (!flow)
		return true;
	if (!flow_acquire(&flow->lock))
		return false;
	flow_packet(flow, now_ns, step);
#ifdef CLASSIFY_PACKETS
	window_running(flow, step);
#endif
#ifdef EMIT_CHANGES
	step->told = flow->told;
	if (step->classifiable)
		flow->untold++;
#endif
	flow_release(&flow->lock);
	if (step->clock_backwards)
		counters.increment(COUNTER_CLOCK_BACKWARDS);
	if (step->iat_clamped)
		counters.increment(COUNTER_IAT_CLAMPED);
	if (step->iat_left_out)
		counters.increment(COUNTER_IAT_LEFT_OUT);
	return true;
}

int classify(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};
	struct flow_step step = {};
	struct scratchpad *pad;
	u64 parsed_ns;

	if (!n3_parse(ctx, &packet))
		return XDP_PASS;
	parsed_ns = step_ns(now_ns);
	if (!flow_update(&packet.key, now_ns, &step))
		return XDP_PASS;
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
	pad->window = step.features;
	pad->decision.features = step.features;
	pad->decision.t_packet_ns = now_ns;
	pad->decision.t_start_ns = parsed_ns;
#ifdef EMIT_CHANGES
	pad->told = step.told;
#else
	pad->decision.t_features_ns = bpf_ktime_get_ns();
#endif
	return infer(ctx, pad);
}
