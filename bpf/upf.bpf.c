// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test bed's user plane, as tc programs: GTP-U as 5G has it on N3 (TS 29.281), with a PDU Session Container
 * (TS 38.415) in both directions. It stands in for gNB and UPF where no such program can run.
 *
 *   uplink    UE -> [gnb_uplink: encapsulate] -> N3 -> [upf_uplink: check TEID, decapsulate] -> routing -> N6
 *   downlink  N6 -> routing -> [upf_downlink: encapsulate] -> N3 -> [gnb_downlink: decapsulate] -> UE
 *
 * IPv4 outside and inside. Offloads that would make superpackets must be off: a superpacket's GTP-U length is wrong for
 * the segments that it is cut into afterwards.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/pkt_cls.h>
#include <uapi/linux/udp.h>
#include "include/cursor.h"
#include "include/gtpu.h"

#define PDU_TYPE_DOWNLINK (0 << 4) /* TS 38.415, section 5.5.2.1 */
#define PDU_TYPE_UPLINK (1 << 4) /* TS 38.415, section 5.5.2.2 */
#define ROOM_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP)

/* A PDU session, as SMF and AMF would have set it up at gNB and UPF. Addresses in network order. */
struct session {
	u32 ue_addr;
	u32 gnb_addr;
	u32 upf_addr;
	u32 uplink_teid; /* chosen by the UPF */
	u32 downlink_teid; /* chosen by the gNB */
	u8 qfi;
	u8 ue_mac[ETH_ALEN]; /* of the UE's device */
	u8 zero;
};

struct pdu_session_container {
	u8 length; /* in units of 4 bytes: 1 */
	u8 pdu_type;
	u8 qfi;
	u8 next;
};

struct n3_headers {
	struct iphdr ip;
	struct udphdr udp;
	struct gtpu_header gtpu;
	struct gtpu_optional optional;
	struct pdu_session_container container;
} __attribute__((packed));

BPF_HASH(session_by_ue, u32, struct session, 64);
BPF_HASH(session_by_teid, u32, struct session, 128); /* TEIDs of either direction, which are distinct */

/* BCC 0.26 declares this helper with one argument too few. */
static long (*redirect_neigh)(u32 ifindex, void *params, int params_bytes, u64 flags) = (void *)BPF_FUNC_redirect_neigh;

static u16 ipv4_checksum(struct iphdr *ip)
{
	u16 *words = (u16 *)ip;
	u32 sum = 0;

#pragma unroll
	for (int i = 0; i < sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static int encapsulate(struct __sk_buff *skb, u32 source, u32 destination, u32 teid, u8 pdu_type, u8 qfi)
{
	u32 inner_bytes = skb->len - ETH_HLEN;
	struct n3_headers outer = {
		.ip = {
			.version = 4,
			.ihl = 5,
			.tot_len = bpf_htons(sizeof(outer) + inner_bytes),
			.frag_off = bpf_htons(0x4000), /* don't fragment */
			.ttl = 64,
			.protocol = IPPROTO_UDP,
			.saddr = source,
			.daddr = destination,
		},
		.udp = {
			.source = bpf_htons(GTPU_PORT),
			.dest = bpf_htons(GTPU_PORT),
			.len = bpf_htons(sizeof(outer) - sizeof(outer.ip) + inner_bytes),
			/* no checksum: allowed over IPv4, RFC 768 */
		},
		.gtpu = {
			.flags = GTPU_VERSION_1 | GTPU_PROTOCOL_TYPE | GTPU_E,
			.type = GTPU_GPDU,
			.length = bpf_htons(sizeof(outer.optional) + sizeof(outer.container) + inner_bytes),
			.teid = bpf_htonl(teid),
		},
		.optional = { .next = GTPU_EXT_PDU_SESSION_CONTAINER },
		.container = { .length = 1, .pdu_type = pdu_type, .qfi = qfi, .next = GTPU_EXT_NONE },
	};

	outer.ip.check = ipv4_checksum(&outer.ip);
	if (bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC, ROOM_FLAGS))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0);
}

/* Take off what encapsulate puts on; the session of the packet's TEID, NULL when there is none. */
static struct session *decapsulate(struct __sk_buff *skb)
{
	struct n3_headers outer;
	struct session *session;
	u32 teid;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &outer, sizeof(outer)))
		return NULL;
	teid = bpf_ntohl(outer.gtpu.teid);
	session = session_by_teid.lookup(&teid);
	if (!session || bpf_skb_adjust_room(skb, -(s32)sizeof(outer), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return NULL;
	return session;
}

static bool is_gtpu(struct __sk_buff *skb)
{
	struct n3_headers outer;

	return skb->protocol == bpf_htons(ETH_P_IP) && !bpf_skb_load_bytes(skb, ETH_HLEN, &outer, sizeof(outer)) &&
	       outer.ip.ihl == 5 && outer.ip.protocol == IPPROTO_UDP && outer.udp.dest == bpf_htons(GTPU_PORT) &&
	       outer.gtpu.type == GTPU_GPDU && outer.optional.next == GTPU_EXT_PDU_SESSION_CONTAINER;
}

/* At the gNB, from the UE. */
int gnb_uplink(struct __sk_buff *skb)
{
	struct session *session;
	u32 ue_addr;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_SHOT; /* the PDU session is of type IPv4 */
	if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, saddr), &ue_addr, sizeof(ue_addr)))
		return TC_ACT_SHOT;
	session = session_by_ue.lookup(&ue_addr);
	if (!session)
		return TC_ACT_SHOT;
	if (encapsulate(skb, session->gnb_addr, session->upf_addr, session->uplink_teid, PDU_TYPE_UPLINK, session->qfi))
		return TC_ACT_SHOT;
	return redirect_neigh(N3_IFINDEX, NULL, 0, 0);
}

/* At the gNB, from N3. */
int gnb_downlink(struct __sk_buff *skb)
{
	struct session *session;

	if (!is_gtpu(skb))
		return TC_ACT_OK;
	session = decapsulate(skb);
	if (!session || bpf_skb_store_bytes(skb, 0, session->ue_mac, ETH_ALEN, 0))
		return TC_ACT_SHOT;
	return bpf_redirect(GNB_UE_IFINDEX, 0);
}

/* At the UPF, from N3: packet detection by TEID, then plain IP for the kernel to route to N6. */
int upf_uplink(struct __sk_buff *skb)
{
	if (!is_gtpu(skb))
		return TC_ACT_OK;
	return decapsulate(skb) ? TC_ACT_OK : TC_ACT_SHOT;
}

/* At the UPF, to N3: packet detection by the UE's address. */
int upf_downlink(struct __sk_buff *skb)
{
	struct session *session;
	u32 ue_addr;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, daddr), &ue_addr, sizeof(ue_addr)))
		return TC_ACT_SHOT;
	session = session_by_ue.lookup(&ue_addr);
	if (!session)
		return TC_ACT_OK;
	if (encapsulate(skb, session->upf_addr, session->gnb_addr, session->downlink_teid, PDU_TYPE_DOWNLINK,
			session->qfi))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}
