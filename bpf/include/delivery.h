/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What became of an event on its way to user space. Programs have their own output, as BCC knows map operations only
 * where they stand: a ring buffer of RING_PAGES where that is defined (upfml/bpf/delivery.py), or perf buffers, as in
 * the paper.
 */
#pragma once

#include "counters.h"

/*
 * How a ring's reader is woken: by an event that finds it with nothing left to read. Those that come while it is busy, or
 * waits for more, cost no wake-up.
 */
#define WAKE_WHEN_EMPTY 0

/* `error` is what its output said. True when it is on its way. */
static __always_inline bool delivered(int error)
{
	if (error)
		counters.increment(COUNTER_EVENT_LOST);
	else
		counters.increment(COUNTER_EVENT_SENT);
	return !error;
}
