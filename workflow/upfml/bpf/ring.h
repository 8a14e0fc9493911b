/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events in a BPF ring buffer, read in place. The kernel's side of the protocol is Documentation/bpf/ringbuf.rst: records
 * follow one another, each behind a header of 8 bytes; the producer's position is where the next will begin, the consumer's
 * up to where all have been read. A record that is still being written is busy, and what lies behind it has to wait.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	uint64_t *consumer;
	const uint64_t *producer;
	const uint8_t *data; /* mapped twice in a row, so that no record is cut in two */
	uint64_t bytes; /* a power of two */
	uint64_t event_bytes;
};

/* Goes over the events that were there when it began. */
struct ring_reading {
	const struct ring *ring;
	uint64_t at;
	uint64_t end;
};

static inline struct ring_reading ring_begin(const struct ring *ring)
{
	return (struct ring_reading){
		.ring = ring,
		.at = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED),
		.end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE),
	};
}

/* The next event, valid until ring_release; NULL when there is none. Those of other sizes are passed over. */
static inline const void *ring_next(struct ring_reading *reading)
{
	while (reading->at < reading->end) {
		const uint8_t *record = reading->ring->data + (reading->at & (reading->ring->bytes - 1));
		uint32_t head = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		uint32_t length = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
		reading->at += (BPF_RINGBUF_HDR_SZ + length + 7) & ~7ULL;
		if (!(head & BPF_RINGBUF_DISCARD_BIT) && length == reading->ring->event_bytes)
			return record + BPF_RINGBUF_HDR_SZ;
	}
	return NULL;
}

/* Give the room of all events that have been handed out back to the kernel. */
static inline void ring_release(const struct ring_reading *reading)
{
	__atomic_store_n(reading->ring->consumer, reading->at, __ATOMIC_RELEASE);
}
