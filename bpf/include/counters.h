/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What can become of a packet on N3, and of an event on its way to user space.
 * Every early exit has a name here and is counted; user space reads the names from this file.
 */
#pragma once

enum counter {
	/* The outcome of parsing: one for each packet. */
	COUNTER_FLOW, /* parsed down to an inner TCP or UDP header */
	COUNTER_TRUNCATED, /* the frame ends before a header does that its length fields have room for */
	COUNTER_OUTER_TAGS, /* more than VLAN_TAGS_MAX */
	COUNTER_NOT_IP, /* outer: ARP, LLDP, ... */
	COUNTER_OUTER_MALFORMED, /* outer IP or UDP: version, or a length that has no room for the header */
	COUNTER_NOT_UDP, /* outer: ICMP, SCTP (N2), ... */
	COUNTER_NOT_GTPU, /* outer UDP, but neither to nor from port 2152 */
	COUNTER_OUTER_FRAGMENT, /* not a first fragment: carries no GTP-U header */
	COUNTER_OUTER_EXTENSIONS, /* IPv6 extension headers: more than IPV6_EXTENSIONS_MAX */
	COUNTER_GTPU_MALFORMED, /* the header ends behind what UDP or its own length has room for */
	COUNTER_GTPU_VERSION, /* not version 1, or GTP' */
	COUNTER_GTPU_END_MARKER, /* the last packet of a tunnel after handover (TS 29.281, section 7.3.2): no user data */
	COUNTER_GTPU_NOT_GPDU, /* echo, error indication, ... */
	COUNTER_GTPU_EXTENSIONS, /* more than GTPU_EXTENSIONS_MAX, or one of length zero */
	COUNTER_INNER_NOT_IP, /* PDU session of type Ethernet or unstructured */
	COUNTER_INNER_MALFORMED, /* a header that ends behind what GTP-U or inner IP has room for, or an IPv4 one below 20 */
	COUNTER_INNER_FRAGMENT, /* not a first fragment: carries no ports */
	COUNTER_INNER_EXTENSIONS, /* IPv6 extension headers: more than IPV6_EXTENSIONS_MAX */
	COUNTER_INNER_NO_PORTS, /* inner ICMP, ESP, no next header, ... : no 5-tuple */
	/* What else happened to it. */
	COUNTER_OUTER_FIRST_FRAGMENT, /* a FLOW: it has all headers; the rest of the packet is in OUTER_FRAGMENT */
	COUNTER_INNER_FIRST_FRAGMENT, /* likewise */
	COUNTER_FLOW_NEW, /* a flow's first packet, or its first after the flow was evicted */
	COUNTER_CLOCK_BACKWARDS, /* earlier than the flow's latest packet: counts as an IAT of zero */
	COUNTER_IAT_CLAMPED, /* an IAT above IAT_MAX, which counts as IAT_MAX */
	COUNTER_IAT_LEFT_OUT, /* an IAT beyond WINDOW_IATS_MAX of its window: in no statistic */
	COUNTER_FLOW_BUSY, /* waited in vain for its flow's turn (flowlock.h): in no statistic, not handed out */
	COUNTER_FLOW_TABLE_FULL, /* a new flow that found no room: not followed */
	/* What became of its event. */
	COUNTER_EVENT_SENT, /* event handed to the buffer */
	COUNTER_EVENT_LOST, /* event that the buffer had no room for */
	COUNTER_DECISION_UNTOLD, /* a decision that changes nothing, and is not sent (arms `-change`) */
	COUNTER_INFERENCE_BROKEN, /* a tail call fell through: no decision */
	COUNTER_MAX
};

BPF_PERCPU_ARRAY(counters, u64, COUNTER_MAX);
