/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two CPUs that handle packets of one flow at the same time take turns. The kernel does not allow a bpf_spin_lock in
 * the values of an LRU table, so the locks stand in an array beside it; flows that fall on the same one wait for each
 * other without need, which is rare and harmless.
 *
 * What remains: an LRU table reuses an evicted entry at once. A flow that another CPU evicts after it was looked up here
 * would leave this packet in its successor's state; it would have to be the longest silent one although it is being
 * looked up, which the kernel marks.
 */
#pragma once

#include "flow.h"

#define FLOW_LOCKS 1024 /* a power of two, far above the number of CPUs */

struct flow_lock {
	struct bpf_spin_lock spin;
};

BPF_ARRAY(flow_locks, struct flow_lock, FLOW_LOCKS);

/* The same for every packet of a flow; never NULL, which the verifier cannot know. */
static __always_inline struct flow_lock *flow_lock(const struct flow_key *key)
{
	u32 mixed = key->saddr[3] ^ key->daddr[3] ^ (u32)key->sport << 16 ^ key->dport;
	int slot = mixed * 2654435761U >> 22; /* Knuth's multiplicative hash: the upper 10 bits */

	_Static_assert(FLOW_LOCKS == 1 << (32 - 22), "as many locks as the hash has values");
	return flow_locks.lookup(&slot);
}

/* No helper may be called until flow_release. FLOW_UNLOCKED: for measuring what the lock costs and prevents. */
static __always_inline void flow_acquire(struct flow_lock *lock)
{
#ifndef FLOW_UNLOCKED
	bpf_spin_lock(&lock->spin);
#endif
}

static __always_inline void flow_release(struct flow_lock *lock)
{
#ifndef FLOW_UNLOCKED
	bpf_spin_unlock(&lock->spin);
#endif
}
