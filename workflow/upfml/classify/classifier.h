/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Classification in user space, in C: what classify/user.py does in Python, for either way in which packets come here
 * (native.c, afxdp.c). Flows and their windows are the kernel's (bpf/include/window.h); the converted model (model.h,
 * upfml/model/convert.py) is compiled in, so that it is inlined like any function.
 *
 * Comes with: WINDOW_NS, IAT_UNIT_NS; MODEL_FEATURES; CLASSIFY_PACKETS when every packet is classified on the running
 * window. Times are CLOCK_MONOTONIC, ns.
 */
#pragma once

#include <time.h>
#include "flows.h"
#include "include/counters.h"
#include "include/events.h"
#include "model.h"

#define CHUNK_DECISIONS 4096

struct decision {
	struct decision_event event;
	u64 t_sent_ns; /* the kernel sent the packet, or its event, to user space */
};

/* Decisions are kept in chunks: there is always room, and none is ever moved. */
struct chunk {
	struct chunk *before;
	size_t used;
	struct decision decisions[CHUNK_DECISIONS];
};

struct classifier {
	struct flows flows;
	struct chunk *latest;
	u64 decided;
	u64 counters[COUNTER_MAX]; /* those of the kernel's (counters.h) that this classifier counts for itself */
};

static inline u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static inline struct decision *classifier_room(struct classifier *classifier)
{
	if (!classifier->latest || classifier->latest->used == CHUNK_DECISIONS) {
		struct chunk *chunk = allocate(sizeof(*chunk));

		chunk->before = classifier->latest;
		classifier->latest = chunk;
	}
	classifier->decided++;
	return &classifier->latest->decisions[classifier->latest->used++];
}

/* A packet's way before it is classified. */
struct stamps {
	u64 t_packet_ns; /* it arrived at N3 */
	u64 t_sent_ns; /* see struct decision */
	u64 t_start_ns; /* the classifier began to work on it */
};

/* After flow_packet or flow_account has accounted for a packet: classify, where it calls for that. */
static inline void classifier_step(struct classifier *classifier, struct flow *flow, struct flow_step *step,
				   const struct stamps *stamps)
{
	struct decision decision;

	classifier->counters[COUNTER_CLOCK_BACKWARDS] += step->clock_backwards;
	classifier->counters[COUNTER_IAT_CLAMPED] += step->iat_clamped;
	classifier->counters[COUNTER_IAT_LEFT_OUT] += step->iat_left_out;
#ifdef CLASSIFY_PACKETS
	window_running(&flow->state, step);
#endif
	if (!step->classifiable)
		return;
	decision = (struct decision){
		.event = {
			.key = flow->key,
			.window = step->window,
			.features = step->features,
			.t_packet_ns = stamps->t_packet_ns,
			.t_start_ns = stamps->t_start_ns,
			.packets = step->packets,
		},
		.t_sent_ns = stamps->t_sent_ns,
	};
	decision.event.t_features_ns = now_ns();
	decision.event.predicted = model_predict((const int64_t *)&step->features, MODEL_FEATURES);
	decision.event.t_label_ns = now_ns();
	*classifier_room(classifier) = decision;
}

/* Copy all decisions to `out`, the oldest first; there are `decided` of them. Called from Python. */
void classifier_copy(const struct classifier *classifier, struct decision *out)
{
	struct decision *at = out + classifier->decided;

	for (const struct chunk *chunk = classifier->latest; chunk; chunk = chunk->before) {
		at -= chunk->used;
		memcpy(at, chunk->decisions, chunk->used * sizeof(*at));
	}
}

static inline void classifier_free(struct classifier *classifier)
{
	flows_forget(&classifier->flows);
	while (classifier->latest) {
		struct chunk *chunk = classifier->latest;

		classifier->latest = chunk->before;
		free(chunk);
	}
}
