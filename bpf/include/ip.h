/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPv4 (with options) and IPv6 (with extension headers), used for the outer and for the inner packet alike.
 */
#pragma once

#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>

/* RFC 8200 expects each extension header once; four leaves room and bounds the loop for the verifier. */
#define IPV6_EXTENSIONS_MAX 4
#define IPV4_FRAGMENT_OFFSET 0x1fff

enum ip_outcome { IP_OK, IP_TRUNCATED, IP_NOT_IP, IP_FRAGMENT, IP_EXTENSIONS };

struct ip_layer {
	u32 saddr[4];
	u32 daddr[4];
	u32 length; /* bytes, IP header included */
	u8 protocol; /* of the payload at which the cursor stands */
};

static __always_inline enum ip_outcome ipv4_parse(struct cursor *cursor, struct ip_layer *ip)
{
	struct iphdr *header = cursor_take(cursor, sizeof(*header));
	u32 words;

	if (!header)
		return IP_TRUNCATED;
	words = header->ihl;
	if (words < 5)
		return IP_TRUNCATED;
	cursor_skip(cursor, (words - 5) * 4);
	ip->saddr[0] = 0;
	ip->saddr[1] = 0;
	ip->saddr[2] = bpf_htonl(0xffff);
	ip->saddr[3] = header->saddr;
	ip->daddr[0] = 0;
	ip->daddr[1] = 0;
	ip->daddr[2] = bpf_htonl(0xffff);
	ip->daddr[3] = header->daddr;
	ip->length = bpf_ntohs(header->tot_len);
	ip->protocol = header->protocol;
	return header->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET) ? IP_FRAGMENT : IP_OK;
}

/* The first eight bytes that hop-by-hop, routing, destination and fragment headers have alike in outline. */
struct ipv6_extension {
	u8 next;
	u8 length; /* in units of 8 bytes beyond the first 8; a fragment header's is reserved */
	u16 fragment_offset; /* of a fragment header; upper 13 bits */
	u32 rest;
};

static __always_inline bool ipv6_is_extension(u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT;
}

static __always_inline enum ip_outcome ipv6_parse(struct cursor *cursor, struct ip_layer *ip)
{
	struct ipv6hdr *header = cursor_take(cursor, sizeof(*header));
	struct ipv6_extension *extension;

	if (!header)
		return IP_TRUNCATED;
	__builtin_memcpy(ip->saddr, &header->saddr, sizeof(ip->saddr));
	__builtin_memcpy(ip->daddr, &header->daddr, sizeof(ip->daddr));
	ip->length = sizeof(*header) + bpf_ntohs(header->payload_len);
	ip->protocol = header->nexthdr;
#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (!ipv6_is_extension(ip->protocol))
			return IP_OK;
		extension = cursor_take(cursor, sizeof(*extension));
		if (!extension)
			return IP_TRUNCATED;
		if (ip->protocol != IPPROTO_FRAGMENT)
			cursor_skip(cursor, extension->length * 8);
		else if (extension->fragment_offset & bpf_htons(0xfff8))
			return IP_FRAGMENT;
		ip->protocol = extension->next;
	}
	return ipv6_is_extension(ip->protocol) ? IP_EXTENSIONS : IP_OK;
}

/* The version is in the packet itself: GTP-U says nothing of what it carries. */
static __always_inline enum ip_outcome ip_parse(struct cursor *cursor, struct ip_layer *ip)
{
	u8 *first = cursor->at;

	if ((void *)(first + 1) > cursor->end)
		return IP_TRUNCATED;
	switch (*first >> 4) {
	case 4:
		return ipv4_parse(cursor, ip);
	case 6:
		return ipv6_parse(cursor, ip);
	default:
		return IP_NOT_IP;
	}
}
