/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A frame on N3, from Ethernet down to the inner TCP or UDP header:
 * Ethernet (VLAN, QinQ) -> IPv4 or IPv6 -> UDP -> GTP-U -> IPv4 or IPv6 -> TCP or UDP.
 * For programs in the kernel (n3.h) and for user space (upfml/classify/afxdp.c).
 */
#pragma once

#include <uapi/linux/if_ether.h>
#include <uapi/linux/tcp.h>
#include <uapi/linux/udp.h>
#include "counters.h"
#include "cursor.h"
#include "flow.h"
#include "gtpu.h"
#include "ip.h"

#define VLAN_TAGS_MAX 2 /* QinQ, IEEE 802.1ad */

struct vlan_tag {
	u16 tci;
	u16 ethertype;
};

/* Valid once it has been parsed down to its ports; the TCP members are zero for UDP. */
struct n3_packet {
	struct flow_key key;
	struct gtpu_layer gtpu;
	u32 length; /* of the inner IP packet, bytes */
	u32 tcp_sequence;
	u32 tcp_acknowledgement;
	u16 tcp_window;
	u8 tcp_flags; /* FIN is bit 0 ... CWR is bit 7 */
	u8 tcp_data_offset; /* bytes */
	bool outer_first_fragment;
	bool inner_first_fragment;
};

static __always_inline bool is_vlan(u16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum counter n3_outer(struct cursor *cursor, bool *first_fragment)
{
	struct ethhdr *ethernet = cursor_take(cursor, sizeof(*ethernet));
	struct ip_layer ip;
	enum ip_outcome outcome;
	struct udphdr *udp;
	u16 ethertype;

	if (!ethernet)
		return COUNTER_TRUNCATED;
	ethertype = ethernet->h_proto;
#pragma unroll
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag;

		if (!is_vlan(ethertype))
			break;
		tag = cursor_take(cursor, sizeof(*tag));
		if (!tag)
			return COUNTER_TRUNCATED;
		ethertype = tag->ethertype;
	}
	cursor_meet(cursor);
	if (ethertype == bpf_htons(ETH_P_IP))
		outcome = ipv4_parse(cursor, &ip);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		outcome = ipv6_parse(cursor, &ip);
	else
		return is_vlan(ethertype) ? COUNTER_OUTER_TAGS : COUNTER_NOT_IP;
	switch (outcome) {
	case IP_OK:
		break;
	case IP_FRAGMENT:
		return COUNTER_OUTER_FRAGMENT;
	case IP_EXTENSIONS:
		return COUNTER_OUTER_EXTENSIONS;
	case IP_TRUNCATED:
		return COUNTER_TRUNCATED;
	default:
		return COUNTER_OUTER_MALFORMED;
	}
	*first_fragment = ip.first_fragment;
	if (ip.protocol != IPPROTO_UDP)
		return COUNTER_NOT_UDP;
	udp = cursor_take(cursor, sizeof(*udp));
	if (!udp)
		return COUNTER_TRUNCATED;
	if (udp->dest != bpf_htons(GTPU_PORT) && udp->source != bpf_htons(GTPU_PORT))
		return COUNTER_NOT_GTPU;
	cursor_announce(cursor, (s64)bpf_ntohs(udp->len) - (s64)sizeof(*udp));
	return COUNTER_FLOW;
}

static __always_inline enum counter n3_gtpu(struct cursor *cursor, struct gtpu_layer *gtpu)
{
	switch (gtpu_parse(cursor, gtpu)) {
	case GTPU_OK:
		return COUNTER_FLOW;
	case GTPU_VERSION:
		return COUNTER_GTPU_VERSION;
	case GTPU_END_MARKER:
		return COUNTER_GTPU_END_MARKER;
	case GTPU_NOT_GPDU:
		return COUNTER_GTPU_NOT_GPDU;
	case GTPU_EXTENSIONS:
		return COUNTER_GTPU_EXTENSIONS;
	default:
		return COUNTER_TRUNCATED;
	}
}

static __always_inline enum counter n3_inner(struct cursor *cursor, struct n3_packet *packet)
{
	struct ip_layer ip;

	switch (ip_parse(cursor, &ip)) {
	case IP_OK:
		break;
	case IP_NOT_IP:
		return COUNTER_INNER_NOT_IP;
	case IP_FRAGMENT:
		return COUNTER_INNER_FRAGMENT;
	case IP_EXTENSIONS:
		return COUNTER_INNER_EXTENSIONS;
	case IP_TRUNCATED:
		return COUNTER_TRUNCATED;
	default:
		return COUNTER_INNER_MALFORMED;
	}
	__builtin_memcpy(packet->key.saddr, ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(packet->key.daddr, ip.daddr, sizeof(ip.daddr));
	packet->key.protocol = ip.protocol;
	packet->length = ip.length;
	packet->inner_first_fragment = ip.first_fragment;
	if (ip.protocol == IPPROTO_UDP) {
		struct udphdr *udp = cursor_take(cursor, sizeof(*udp));

		if (!udp)
			return COUNTER_TRUNCATED;
		packet->key.sport = bpf_ntohs(udp->source);
		packet->key.dport = bpf_ntohs(udp->dest);
		return COUNTER_FLOW;
	}
	if (ip.protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = cursor_take(cursor, sizeof(*tcp));

		if (!tcp)
			return COUNTER_TRUNCATED;
		packet->key.sport = bpf_ntohs(tcp->source);
		packet->key.dport = bpf_ntohs(tcp->dest);
		packet->tcp_sequence = bpf_ntohl(tcp->seq);
		packet->tcp_acknowledgement = bpf_ntohl(tcp->ack_seq);
		packet->tcp_window = bpf_ntohs(tcp->window);
		packet->tcp_flags = ((u8 *)tcp)[13];
		packet->tcp_data_offset = tcp->doff * 4;
		return COUNTER_FLOW;
	}
	return COUNTER_INNER_NO_PORTS;
}

/* Down to the packet in the tunnel, where the cursor then stands: COUNTER_FLOW, or why not. */
static __always_inline enum counter n3_tunnel(struct cursor *cursor, struct n3_packet *packet)
{
	enum counter outcome = n3_outer(cursor, &packet->outer_first_fragment);

	if (cursor_is_beyond(cursor))
		return COUNTER_OUTER_MALFORMED;
	if (outcome != COUNTER_FLOW)
		return outcome;
	cursor_meet(cursor);
	outcome = n3_gtpu(cursor, &packet->gtpu);
	return cursor_is_beyond(cursor) ? COUNTER_GTPU_MALFORMED : outcome;
}

/* From there on down to its ports. */
static __always_inline enum counter n3_user_packet(struct cursor *cursor, struct n3_packet *packet)
{
	enum counter outcome;

	cursor_meet(cursor);
	outcome = n3_inner(cursor, packet);
	return cursor_is_beyond(cursor) ? COUNTER_INNER_MALFORMED : outcome;
}
