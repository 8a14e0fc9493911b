/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPv4 (with options) and IPv6 (with extension headers), used for the outer and for the inner packet alike.
 */
#pragma once

#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>

/* RFC 8200, section 4.1: each extension header once, destination options twice. Bounds the loop for the verifier. */
#define IPV6_EXTENSIONS_MAX 6
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001

enum ip_outcome { IP_OK, IP_TRUNCATED, IP_MALFORMED, IP_NOT_IP, IP_FRAGMENT, IP_EXTENSIONS };

struct ip_layer {
	u32 saddr[4];
	u32 daddr[4];
	u32 length; /* bytes, IP header included */
	u8 protocol; /* of the payload at which the cursor stands */
	bool first_fragment; /* the first of several */
};

static __always_inline enum ip_outcome ipv4_parse(struct cursor *cursor, struct ip_layer *ip)
{
	struct iphdr *header = cursor_take(cursor, sizeof(*header));
	u32 words, length;

	if (!header)
		return IP_TRUNCATED;
	words = header->ihl;
	length = bpf_ntohs(header->tot_len);
	if (header->version != 4 || words < 5)
		return IP_MALFORMED;
	cursor_announce(cursor, (s64)length - (s64)sizeof(*header)); /* options included */
	if (!cursor_skip(cursor, (words - 5) * 4))
		return IP_TRUNCATED;
	ip->saddr[0] = 0;
	ip->saddr[1] = 0;
	ip->saddr[2] = bpf_htonl(0xffff);
	ip->saddr[3] = header->saddr;
	ip->daddr[0] = 0;
	ip->daddr[1] = 0;
	ip->daddr[2] = bpf_htonl(0xffff);
	ip->daddr[3] = header->daddr;
	ip->length = length;
	ip->protocol = header->protocol;
	ip->first_fragment = header->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS);
	return header->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET) ? IP_FRAGMENT : IP_OK;
}

/* The first eight bytes that the extension headers have alike in outline (RFC 8200, section 4; RFC 4302, section 2). */
struct ipv6_extension {
	u8 next;
	u8 length; /* see ipv6_extension_rest */
	u16 fragment; /* of a fragment header: offset, and whether more follow */
	u32 rest;
};

/* Those of RFC 8200 but ESP, behind which everything is encrypted. */
static __always_inline bool ipv6_is_extension(u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_AH;
}

/* Bytes beyond the first eight, which a fragment header has not: its length byte is reserved. */
static __always_inline u32 ipv6_extension_rest(u8 protocol, const struct ipv6_extension *extension)
{
	if (protocol == IPPROTO_FRAGMENT)
		return 0;
	return extension->length * (protocol == IPPROTO_AH ? 4 : 8);
}

static __always_inline enum ip_outcome ipv6_parse(struct cursor *cursor, struct ip_layer *ip)
{
	struct ipv6hdr *header = cursor_take(cursor, sizeof(*header));
	struct ipv6_extension *extension;

	if (!header)
		return IP_TRUNCATED;
	if (header->version != 6)
		return IP_MALFORMED;
	cursor_announce(cursor, bpf_ntohs(header->payload_len));
	__builtin_memcpy(ip->saddr, &header->saddr, sizeof(ip->saddr));
	__builtin_memcpy(ip->daddr, &header->daddr, sizeof(ip->daddr));
	ip->length = sizeof(*header) + bpf_ntohs(header->payload_len);
	ip->protocol = header->nexthdr;
	ip->first_fragment = false;
#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (!ipv6_is_extension(ip->protocol))
			return IP_OK;
		extension = cursor_take(cursor, sizeof(*extension));
		if (!extension)
			return IP_TRUNCATED;
		if (ip->protocol == IPPROTO_FRAGMENT) {
			if (extension->fragment & bpf_htons(IPV6_FRAGMENT_OFFSET))
				return IP_FRAGMENT;
			if (extension->fragment & bpf_htons(IPV6_MORE_FRAGMENTS))
				ip->first_fragment = true;
		}
		if (!cursor_skip(cursor, ipv6_extension_rest(ip->protocol, extension)))
			return IP_TRUNCATED;
		cursor_meet(cursor);
		ip->protocol = extension->next;
	}
	return ipv6_is_extension(ip->protocol) ? IP_EXTENSIONS : IP_OK;
}

/* The version is in the packet itself: GTP-U says nothing of what it carries. */
static __always_inline enum ip_outcome ip_parse(struct cursor *cursor, struct ip_layer *ip)
{
	struct cursor start = *cursor;
	u8 *first = cursor_take(cursor, 1);

	if (!first)
		return IP_TRUNCATED;
	switch (*first >> 4) {
	case 4:
		*cursor = start;
		return ipv4_parse(cursor, ip);
	case 6:
		*cursor = start;
		return ipv6_parse(cursor, ip);
	default:
		return IP_NOT_IP;
	}
}
