/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs that the benchmarks run (BPF_PROG_TEST_RUN), compiled with the classifier whose parts they call:
 * upfml/studies/bench/programs.py puts this file in the place of the model's engine.h, which is timed_engine.h here.
 * Decisions are not delivered; their classes stay in bench_answers.
 *
 * A test run repeats one packet, and a processor learns by heart what it is given again and again. So a program here
 * takes another input, or makes the packet another flow's, at each run; the like with nothing behind it says what that
 * costs.
 */
#pragma once

#define BENCH_INPUTS_MAX 4096

struct bench_round {
	u32 at; /* the next input, or flow */
	u32 length; /* inputs, or flows, until the first comes again */
	u32 address_at; /* of a packet's inner IPv4 source address, bytes from the frame's start, at most 255 */
};

struct bench_input {
	s64 features[MODEL_FEATURES];
};

BPF_ARRAY(bench_rounds, struct bench_round, 1);
BPF_ARRAY(bench_inputs, struct bench_input, BENCH_INPUTS_MAX);
BPF_ARRAY(bench_answers, s32, BENCH_INPUTS_MAX); /* the class of each */
BPF_PROG_ARRAY(bench_step, 1); /* what bench_packet goes on to */

/* Where engines end in place of decided. The member packets says which input it was (see bench_filled). */
static int undelivered(struct xdp_md *ctx, struct scratchpad *pad, s32 class)
{
	s32 *answer = bench_answers.lookup(&pad->decision.packets);

	if (answer)
		*answer = class;
	return XDP_PASS;
}

#define decided undelivered
#include "timed_engine.h"
#undef decided

/* Both stand behind the engine in classify.bpf.c. */
static struct flow_state *flow_find(struct flow_key *key, u64 now_ns);
static bool flow_update(struct flow_key *key, u64 now_ns, struct flow_step *step);

static __always_inline u32 bench_next(struct bench_round *round)
{
	u32 at = round->at;

	round->at = at + 1 < round->length ? at + 1 : 0;
	return at;
}

/* The scratchpad as the classifier leaves it to its engine, with the next input. */
static __always_inline struct scratchpad *bench_filled(void)
{
	int first = 0;
	struct bench_round *round = bench_rounds.lookup(&first);
	struct scratchpad *pad = scratchpad();
	struct bench_input *input;
	u32 at;

	if (!round || !pad)
		return NULL;
	at = bench_next(round);
	input = bench_inputs.lookup(&at);
	if (!input)
		return NULL;
	__builtin_memcpy(pad->features, input->features, sizeof(pad->features));
	pad->decision.packets = at;
	return pad;
}

int bench_infer(struct xdp_md *ctx)
{
	struct scratchpad *pad = bench_filled();

	return pad ? infer(ctx, pad) : XDP_ABORTED;
}

int bench_no_infer(struct xdp_md *ctx)
{
	struct scratchpad *pad = bench_filled();

	return pad ? undelivered(ctx, pad, 0) : XDP_ABORTED;
}

/* A packet of the next flow, which is the last one's with another inner source address. */
int bench_packet(struct xdp_md *ctx)
{
	int first = 0;
	struct bench_round *round = bench_rounds.lookup(&first);
	u32 *address;

	if (!round)
		return XDP_ABORTED;
	address = (void *)(long)ctx->data + (round->address_at & 0xff);
	if ((void *)(address + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	*address = bench_next(round);
	bench_step.call(ctx, 0);
	return XDP_ABORTED;
}

/* The classifier, cut short after each of its steps. */
int bench_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

int bench_clock(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);

	asm volatile("" ::"r"(now_ns)); /* or the compiler leaves out what nobody reads */
	return XDP_PASS;
}

int bench_parse(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};

	n3_parse(ctx, &packet);
	asm volatile("" ::"r"(&packet), "r"(now_ns) : "memory");
	return XDP_PASS;
}

int bench_flow(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};

	if (n3_parse(ctx, &packet))
		flow_find(&packet.key, now_ns);
	return XDP_PASS;
}

int bench_statistics(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};
	struct flow_step step = {};

	if (!n3_parse(ctx, &packet))
		return XDP_PASS;
	flow_update(&packet.key, now_ns, &step);
	asm volatile("" ::"r"(&step) : "memory");
	return XDP_PASS;
}
