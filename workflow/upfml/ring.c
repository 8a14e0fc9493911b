// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast half of ring.py: events out of a BPF ring buffer, many at a time. The kernel's side of the protocol is
 * Documentation/bpf/ringbuf.rst: records follow one another, each behind a header of 8 bytes; the producer's position is
 * where the next will begin, the consumer's up to where all have been read. A record that is still being written is busy,
 * and what lies behind it has to wait.
 */
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>

struct ring {
	uint64_t *consumer;
	const uint64_t *producer;
	const uint8_t *data; /* mapped twice in a row, so that no record is cut in two */
	uint64_t bytes; /* a power of two */
	uint64_t event_bytes;
};

/* Take events, the oldest first, as many as are there and `out` has room for: how many. Others' sizes are passed over. */
uint64_t ring_take(const struct ring *ring, uint8_t *out, uint64_t capacity)
{
	uint64_t at = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);
	uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	uint64_t taken = 0;

	while (at < end && taken < capacity) {
		const uint8_t *record = ring->data + (at & (ring->bytes - 1));
		uint32_t head = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		uint32_t length = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(head & BPF_RINGBUF_DISCARD_BIT) && length == ring->event_bytes)
			memcpy(out + taken++ * ring->event_bytes, record + BPF_RINGBUF_HDR_SZ, length);
		at += (BPF_RINGBUF_HDR_SZ + length + 7) & ~7ULL;
	}
	__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	return taken;
}
