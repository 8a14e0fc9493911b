// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast half of ring.py: events out of a BPF ring buffer, many at a time.
 */
#include <string.h>
#include "ring.h"

/* Take events, the oldest first, as many as are there and `out` has room for: how many. */
uint64_t ring_take(const struct ring *ring, uint8_t *out, uint64_t capacity)
{
	struct ring_reading reading = ring_begin(ring);
	const void *event;
	uint64_t taken = 0;

	while (taken < capacity && (event = ring_next(&reading)))
		memcpy(out + taken++ * ring->event_bytes, event, ring->event_bytes);
	ring_release(&reading);
	return taken;
}
