// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast half of capturefile.py: packets of a capture, as libpcap reads them, into a batch of Ethernet frames
 * (batch.h).
 *
 * Other link layers get an Ethernet header in place of their own. In plain mode, IP is put into the tunnel in which the
 * programs in the kernel look for it: `tunnel` before it, with the lengths that belong there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../bpf/batch.h"

#define STREAM_BUFFER_BYTES (1 << 16)

#define ETHERNET_BYTES 14
#define ETHERTYPE_AT 12
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100 /* IEEE 802.1Q */
#define ETHERTYPE_QINQ 0x88a8 /* IEEE 802.1ad */
#define VLAN_TAG_BYTES 4
/* tcpdump.org, LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2: bytes of the header, and where the EtherType is in it. */
#define COOKED_BYTES 16
#define COOKED_ETHERTYPE_AT 14
#define COOKED2_BYTES 20
#define COOKED2_ETHERTYPE_AT 0

/* Ethernet, IPv4, UDP and GTP-U without options (frames.py): the bytes, and where the lengths are in them. */
#define TUNNEL_BYTES 50
#define TUNNEL_IP_AT 14
#define TUNNEL_IP_LENGTH_AT 16
#define TUNNEL_IP_CHECKSUM_AT 24
#define TUNNEL_UDP_AT 34
#define TUNNEL_UDP_LENGTH_AT 38
#define TUNNEL_GTPU_LENGTH_AT 44

/* The pcapng format (draft-ietf-opsawg-pcapng): blocks of type, length, content, length. */
#define SECTION_HEADER 0x0a0d0d0au /* the same in either byte order */
#define SECTION_BYTE_ORDER 0x1a2b3c4du
#define INTERFACE_DESCRIPTION 1u
#define BLOCK_BYTES_MIN 12
#define BLOCK_ENDLESS UINT64_MAX

/* So far. Python reads it in place. */
struct totals {
	uint64_t file_bytes; /* read */
	uint64_t packets;
	uint64_t bytes; /* on the wire */
	uint64_t frames_cut; /* longer than frame_bytes_max */
	uint64_t frames_too_short; /* no whole link-layer header: in no batch */
	uint64_t first_ns; /* earliest arrival; valid with packets > 0, like the next */
	uint64_t last_ns; /* latest */
};

struct capture {
	struct totals totals;
	pcap_t *pcap;
	const uint8_t *tunnel; /* NULL unless in plain mode */
	uint32_t frame_bytes_max; /* what of a frame is taken */
	/* Where the file is, see next_block. */
	FILE *file;
	uint32_t block[4]; /* the first bytes of the running block */
	size_t block_at, block_end; /* those of them that libpcap has not got yet */
	uint64_t block_rest; /* bytes behind those */
	bool other_byte_order;
};

static uint32_t in_order(const struct capture *capture, uint32_t number)
{
	return capture->other_byte_order ? __builtin_bswap32(number) : number;
}

/*
 * libpcap 1.10 refuses a pcapng file whose interfaces have different snapshot lengths, as files from several sources
 * have. Nothing here depends on them, so libpcap is told that there is none (zero), for every interface.
 */
static void next_block(struct capture *capture)
{
	uint32_t *block = capture->block, bytes;

	capture->block_at = 0;
	capture->block_end = fread(block, 1, BLOCK_BYTES_MIN, capture->file);
	if (capture->block_end < BLOCK_BYTES_MIN)
		return;
	if (block[0] == SECTION_HEADER)
		capture->other_byte_order = block[2] != SECTION_BYTE_ORDER;
	else if (!capture->totals.file_bytes)
		capture->block_rest = BLOCK_ENDLESS; /* a pcap file */
	if (capture->block_rest == BLOCK_ENDLESS)
		return;
	bytes = in_order(capture, block[1]);
	if (in_order(capture, block[0]) == INTERFACE_DESCRIPTION && bytes > BLOCK_BYTES_MIN) {
		capture->block_end += fread(block + 3, 1, sizeof(*block), capture->file);
		block[3] = 0;
	}
	/* A length that cannot be is for libpcap to complain of. */
	capture->block_rest = bytes >= capture->block_end ? bytes - capture->block_end : BLOCK_ENDLESS;
}

/* What libpcap's reads become (fopencookie(3)). */
static ssize_t stream_read(void *cookie, char *to, size_t bytes)
{
	struct capture *capture = cookie;
	size_t done = 0, some;

	while (done < bytes) {
		if (capture->block_at == capture->block_end && !capture->block_rest)
			next_block(capture);
		if (capture->block_at < capture->block_end) {
			some = capture->block_end - capture->block_at;
			if (some > bytes - done)
				some = bytes - done;
			memcpy(to + done, (uint8_t *)capture->block + capture->block_at, some);
			capture->block_at += some;
		} else {
			some = bytes - done < capture->block_rest ? bytes - done : capture->block_rest;
			some = fread(to + done, 1, some, capture->file);
			if (!some)
				break;
			if (capture->block_rest != BLOCK_ENDLESS)
				capture->block_rest -= some;
		}
		done += some;
		capture->totals.file_bytes += some;
	}
	return done;
}

void capture_close(struct capture *capture)
{
	if (capture->pcap)
		pcap_close(capture->pcap); /* and with it the stream */
	if (capture->file)
		fclose(capture->file);
	free(capture);
}

/* NULL when it cannot be read or is no capture: `error`, of PCAP_ERRBUF_SIZE bytes, says why. */
struct capture *capture_open(const char *path, const uint8_t *tunnel, uint32_t frame_bytes_max, char *error)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	FILE *stream;

	capture->tunnel = tunnel;
	capture->frame_bytes_max = frame_bytes_max;
	capture->file = fopen(path, "rb");
	if (!capture->file) {
		snprintf(error, PCAP_ERRBUF_SIZE, "%s", strerror(errno));
		capture_close(capture);
		return NULL;
	}
	stream = fopencookie(capture, "rb", (cookie_io_functions_t){ .read = stream_read });
	setvbuf(stream, NULL, _IOFBF, STREAM_BUFFER_BYTES);
	capture->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!capture->pcap) {
		fclose(stream);
		capture_close(capture);
		return NULL;
	}
	return capture;
}

/* libpcap's number of the link type. */
int capture_link_type(const struct capture *capture)
{
	return pcap_datalink(capture->pcap);
}

/* 1 when link_layer knows it. */
int capture_knows(int link_type)
{
	return link_type == DLT_EN10MB || link_type == DLT_LINUX_SLL || link_type == DLT_LINUX_SLL2 ||
	       link_type == DLT_RAW || link_type == DLT_IPV4 || link_type == DLT_IPV6;
}

/* Why capture_read said -1. */
const char *capture_error(const struct capture *capture)
{
	return pcap_geterr(capture->pcap);
}

static uint16_t read16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static void write16(uint8_t *at, uint64_t value)
{
	uint16_t big_endian = htons(value < UINT16_MAX ? value : UINT16_MAX);

	memcpy(at, &big_endian, sizeof(big_endian));
}

/* What is below IP: how many bytes, and which EtherType it says. False when the packet ends before. */
static bool link_layer(int type, const uint8_t *packet, uint32_t bytes, uint32_t *link_bytes, uint16_t *ethertype)
{
	uint32_t ethertype_at;

	switch (type) {
	case DLT_EN10MB:
		*link_bytes = ETHERNET_BYTES;
		ethertype_at = ETHERTYPE_AT;
		break;
	case DLT_LINUX_SLL:
		*link_bytes = COOKED_BYTES;
		ethertype_at = COOKED_ETHERTYPE_AT;
		break;
	case DLT_LINUX_SLL2:
		*link_bytes = COOKED2_BYTES;
		ethertype_at = COOKED2_ETHERTYPE_AT;
		break;
	default: /* raw IP */
		if (!bytes)
			return false;
		*link_bytes = 0;
		*ethertype = packet[0] >> 4 == 4 ? ETHERTYPE_IPV4 : packet[0] >> 4 == 6 ? ETHERTYPE_IPV6 : 0;
		return true;
	}
	if (bytes < *link_bytes)
		return false;
	*ethertype = read16(packet + ethertype_at);
	return true;
}

/* Ones' complement (RFC 1071) of a tunnel's IPv4 header, in which it is zero. */
static uint16_t tunnel_checksum(const uint8_t *tunnel)
{
	uint32_t sum = 0;

	for (uint32_t at = TUNNEL_IP_AT; at < TUNNEL_UDP_AT; at += sizeof(uint16_t))
		sum += read16(tunnel + at);
	return (0xffff - sum % 0xffff) % 0xffff;
}

/* Make a packet a frame of at most frame_bytes_max bytes in `record`. False when it has no whole link layer. */
static bool to_frame(struct capture *capture, const struct pcap_pkthdr *header, const uint8_t *packet,
		     struct record *record)
{
	const int type = capture_link_type(capture);
	uint8_t before[TUNNEL_BYTES] = {};
	uint32_t skip, before_bytes = ETHERNET_BYTES;
	uint16_t ethertype;
	uint64_t bytes, inner_bytes;

	if (!link_layer(type, packet, header->caplen, &skip, &ethertype))
		return false;
	while (capture->tunnel && (ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ) &&
	       header->caplen >= skip + VLAN_TAG_BYTES) {
		skip += VLAN_TAG_BYTES;
		ethertype = read16(packet + skip - sizeof(ethertype));
	}
	if (capture->tunnel && (ethertype == ETHERTYPE_IPV4 || ethertype == ETHERTYPE_IPV6)) {
		inner_bytes = (header->len > header->caplen ? header->len : header->caplen) - skip;
		before_bytes = TUNNEL_BYTES;
		memcpy(before, capture->tunnel, TUNNEL_BYTES);
		write16(before + TUNNEL_IP_LENGTH_AT, TUNNEL_BYTES - TUNNEL_IP_AT + inner_bytes);
		write16(before + TUNNEL_IP_CHECKSUM_AT, 0);
		write16(before + TUNNEL_IP_CHECKSUM_AT, tunnel_checksum(before));
		write16(before + TUNNEL_UDP_LENGTH_AT, TUNNEL_BYTES - TUNNEL_UDP_AT + inner_bytes);
		write16(before + TUNNEL_GTPU_LENGTH_AT, inner_bytes);
	} else if (type == DLT_EN10MB) {
		skip = 0;
		before_bytes = 0;
	} else {
		write16(before + ETHERTYPE_AT, ethertype);
	}
	bytes = before_bytes + header->caplen - skip;
	if (bytes > capture->frame_bytes_max) {
		bytes = capture->frame_bytes_max;
		capture->totals.frames_cut++;
	}
	record->frame_bytes = bytes;
	memcpy(record->frame, before, before_bytes);
	memcpy(record->frame + before_bytes, packet + skip, bytes - before_bytes);
	return true;
}

/* The next packets, as many as surely have room: how many records. 0: end of the file. -1: see capture_error. */
int64_t capture_read(struct capture *capture, void *batch, size_t batch_bytes, int64_t records_max)
{
	const size_t record_bytes_max = record_bytes(capture->frame_bytes_max);
	struct totals *totals = &capture->totals;
	struct record *record = batch;
	int64_t records = 0;
	size_t used = 0;

	while (records < records_max && used + record_bytes_max <= batch_bytes) {
		struct pcap_pkthdr *header;
		const uint8_t *packet;
		uint64_t t_ns;
		int result = pcap_next_ex(capture->pcap, &header, &packet);

		if (result == PCAP_ERROR_BREAK)
			break;
		if (result != 1)
			return -1;
		t_ns = header->ts.tv_sec * 1000000000ULL + header->ts.tv_usec; /* ns: asked for in capture_open */
		if (!totals->packets || t_ns < totals->first_ns)
			totals->first_ns = t_ns;
		if (!totals->packets || t_ns > totals->last_ns)
			totals->last_ns = t_ns;
		totals->packets++;
		totals->bytes += header->len;
		if (!to_frame(capture, header, packet, record)) {
			totals->frames_too_short++;
			continue;
		}
		record->t_ns = t_ns;
		records++;
		used += record_bytes(record->frame_bytes);
		record = batch + used;
	}
	return records;
}
