/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hand a packet's fields to user space.
 */
#pragma once

#include "clock.h"
#include "delivery.h"
#include "events.h"
#include "n3.h"

#ifdef RING_PAGES
BPF_RINGBUF_OUTPUT(packets, RING_PAGES);
#else
BPF_PERF_OUTPUT(packets);
#endif

/* `iat_ns`: ns since the flow's previous packet, -1 for its first. */
static void hand_out(struct xdp_md *ctx, const struct n3_packet *packet, u64 now_ns, s64 iat_ns)
{
	struct packet_event event = {
		.key = packet->key,
		.t_ns = now_ns,
		.t_sent_ns = step_ns(now_ns),
		.iat_ns = iat_ns,
		.teid = packet->gtpu.teid,
		.length_bytes = packet->length,
		.tcp_seq = packet->tcp_sequence,
		.tcp_ack = packet->tcp_acknowledgement,
		.tcp_window = packet->tcp_window,
		.qfi = packet->gtpu.qfi,
		.tcp_flags = packet->tcp_flags,
		.tcp_data_offset_bytes = packet->tcp_data_offset,
	};

#ifdef RING_PAGES
	delivered(packets.ringbuf_output(&event, sizeof(event), WAKE_WHEN_EMPTY));
#else
	delivered(packets.perf_submit(ctx, &event, sizeof(event)));
#endif
}
