/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table of user space: a hash table that grows, with linear probing. Flows stay where they are in memory.
 *
 * As in classify/user.py, no flow is ever evicted: they are forgotten all at once, between two turns.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "userspace.h"
#include "include/flow.h"
#include "include/window.h"

#define FLOWS_BEGIN 1024 /* slots */

struct parked;

struct flow {
	struct flow_key key;
	u64 hash;
	struct flow_state state; /* valid with `begun` */
	bool begun; /* its first packet has been seen */
	struct parked *parked; /* packets that wait for a predecessor (native.c) */
};

struct flows {
	struct flow **slots; /* a power of two of them, at most half of them taken */
	size_t size;
	size_t count;
};

/* `size` zeroed bytes. Without memory there is no result that could be trusted. */
static inline void *allocate(size_t size)
{
	void *made = calloc(1, size);

	if (!made) {
		fputs("error: no memory left for flows and decisions\n", stderr);
		abort();
	}
	return made;
}

static inline u64 flow_hash(const struct flow_key *key)
{
	u64 words[sizeof(*key) / sizeof(u64)], hash = 0;

	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio: Fibonacci hashing */
		hash ^= hash >> 32;
	}
	return hash;
}

/* The slot of the flow with this key, or the free one where it belongs. */
static inline struct flow **flows_slot(const struct flows *flows, const struct flow_key *key, u64 hash)
{
	for (size_t at = hash;; at++) {
		struct flow **slot = &flows->slots[at & (flows->size - 1)];

		if (!*slot || ((*slot)->hash == hash && !memcmp(&(*slot)->key, key, sizeof(*key))))
			return slot;
	}
}

static inline void flows_grow(struct flows *flows)
{
	struct flows grown = { .size = flows->size ? 2 * flows->size : FLOWS_BEGIN, .count = flows->count };

	grown.slots = allocate(grown.size * sizeof(*grown.slots));
	for (size_t i = 0; i < flows->size; i++) {
		struct flow *flow = flows->slots[i];

		if (flow)
			*flows_slot(&grown, &flow->key, flow->hash) = flow;
	}
	free(flows->slots);
	*flows = grown;
}

/* The flow with this key, which is made when there was none. */
static inline struct flow *flows_find(struct flows *flows, const struct flow_key *key)
{
	u64 hash = flow_hash(key);
	struct flow **slot;

	if (2 * flows->count >= flows->size)
		flows_grow(flows);
	slot = flows_slot(flows, key, hash);
	if (!*slot) {
		*slot = allocate(sizeof(**slot));
		(*slot)->key = *key;
		(*slot)->hash = hash;
		flows->count++;
	}
	return *slot;
}

/* A flow's first packet has come, or its first since the kernel evicted it. */
static inline void flow_start(struct flow *flow, u64 t_ns)
{
	memset(&flow->state, 0, sizeof(flow->state));
	flow_begin(&flow->state, t_ns);
	flow->begun = true;
}

/* Forget every flow. What else a flow has must have been freed. */
static inline void flows_forget(struct flows *flows)
{
	for (size_t i = 0; i < flows->size; i++)
		free(flows->slots[i]);
	free(flows->slots);
	*flows = (struct flows){};
}
