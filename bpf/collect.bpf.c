// SPDX-License-Identifier: GPL-2.0-only
/*
 * The collector (paper, section 3.1, figure 3): XDP on the UPF's N3. Follows each flow inside the GTP-U tunnel, computes
 * the IAT in the kernel and hands every packet's fields to user space: training data, and the feed of the user-space
 * classifier.
 */
#include <uapi/linux/bpf.h>
#include "include/n3.h"
#include "include/clock.h"
#include "include/events.h"

BPF_TABLE(FLOW_TABLE_TYPE, struct flow_key, u64, last_seen, FLOW_TABLE_SIZE);
BPF_PERF_OUTPUT(packets);

/* ns since the flow's previous packet, -1 for its first. */
static s64 flow_iat_ns(struct flow_key *key, u64 now_ns)
{
	u64 *last_ns = last_seen.lookup(key);
	s64 iat_ns;

	if (!last_ns) {
		if (last_seen.update(key, &now_ns))
			counters.increment(COUNTER_FLOW_TABLE_FULL);
		return -1;
	}
	iat_ns = now_ns > *last_ns ? now_ns - *last_ns : 0;
	*last_ns += iat_ns;
	return iat_ns;
}

int collect(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};
	struct packet_event event = {};

	if (!n3_parse(ctx, &packet))
		return XDP_PASS;
	event.key = packet.key;
	event.t_ns = now_ns;
	event.iat_ns = flow_iat_ns(&packet.key, now_ns);
	event.teid = packet.gtpu.teid;
	event.qfi = packet.gtpu.qfi;
	event.length = packet.length;
	event.tcp_sequence = packet.tcp_sequence;
	event.tcp_acknowledgement = packet.tcp_acknowledgement;
	event.tcp_window = packet.tcp_window;
	event.tcp_flags = packet.tcp_flags;
	event.tcp_data_offset = packet.tcp_data_offset;
	if (packets.perf_submit(ctx, &event, sizeof(event)))
		counters.increment(COUNTER_EVENT_LOST);
	else
		counters.increment(COUNTER_EVENT_SENT);
	return XDP_PASS;
}
