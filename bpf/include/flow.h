/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flow is the inner 5-tuple. IPv4 addresses are held IPv4-mapped (RFC 4291, section 2.5.5.2), so that one table
 * serves both families. Addresses are in network order, ports in host order.
 */
#pragma once

struct flow_key {
	u32 saddr[4];
	u32 daddr[4];
	u16 sport;
	u16 dport;
	u8 protocol;
	u8 zero[3]; /* hash maps compare padding too */
};
