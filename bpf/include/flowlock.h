/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two CPUs that handle packets of one flow at the same time take turns: a word of the flow's state says whose turn it is.
 * bpf_spin_lock took some 50 ns (Linux 6.18, AMD EPYC) where this takes a few (results/bench/lock.csv): it turns interrupts
 * off, from which an XDP program, run with softirqs off, has nothing to fear; and an LRU table's values may not have one.
 *
 * What remains: an LRU table reuses an evicted entry at once. A flow that another CPU evicts after it was looked up here
 * would leave this packet in its successor's state; it would have to be the longest silent one although it is being
 * looked up, which the kernel marks.
 */
#pragma once

#include "counters.h"

/*
 * The verifier walks every try, so there is an end to them: after some 10 us, hundreds of times what a holder takes. One
 * whose virtual CPU was stopped takes longer; the packet that waited is then in no statistic, and counted.
 */
#define FLOW_LOCK_TRIES 64

/* True when it is our turn, until flow_release. FLOW_UNLOCKED: for measuring what the lock costs and prevents. */
static __always_inline bool flow_acquire(u64 *lock)
{
#ifndef FLOW_UNLOCKED
	for (u32 i = 0; i < FLOW_LOCK_TRIES; i++) {
		if (!*(volatile u64 *)lock && !__sync_val_compare_and_swap(lock, 0, 1))
			return true;
#pragma unroll
		for (int pause = 0; pause < 4; pause++)
			bpf_ktime_get_ns(); /* some 30 ns each */
	}
	counters.increment(COUNTER_FLOW_BUSY);
	return false;
#else
	return true;
#endif
}

static __always_inline void flow_release(u64 *lock)
{
#ifndef FLOW_UNLOCKED
	__sync_lock_test_and_set(lock, 0); /* an exchange, as a store alone would not be ordered everywhere */
#endif
}
