/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The GTP-U header: 3GPP TS 29.281, section 5.1 (optional fields) and 5.2 (extension headers); the PDU Session
 * Container with the QFI: TS 38.415, section 5.5.2.
 */
#pragma once

#define GTPU_PORT 2152 /* destination of all but responses, which come from it; some senders' G-PDUs, too */
#define GTPU_VERSION_1 (1 << 5)
#define GTPU_VERSION_MASK (7 << 5)
#define GTPU_PROTOCOL_TYPE (1 << 4) /* GTP, not GTP' */
#define GTPU_E (1 << 2) /* extension headers follow */
#define GTPU_S (1 << 1) /* sequence number is valid */
#define GTPU_PN (1 << 0) /* N-PDU number is valid */
#define GTPU_END_MARKER_TYPE 254
#define GTPU_GPDU 255
#define GTPU_EXT_NONE 0
#define GTPU_EXT_PDU_SESSION_CONTAINER 0x85
#define GTPU_PDU_TYPE_SHIFT 4
#define GTPU_PDU_TYPE_MAX 1 /* downlink and uplink; where other types would have a QFI is not defined */
#define GTPU_QFI_MASK 0x3f
/* TS 29.281 defines eight types; a G-PDU carries one or two. Bounds the loop for the verifier. */
#define GTPU_EXTENSIONS_MAX 4
#define QFI_NONE (-1)

struct gtpu_header {
	u8 flags;
	u8 type;
	u16 length; /* bytes behind this header, optional fields included */
	u32 teid;
};

/* There, all of it, when any of E, S and PN is set. */
struct gtpu_optional {
	u16 sequence;
	u8 npdu;
	u8 next; /* type of the first extension header; valid with E */
};

struct gtpu_layer {
	u32 teid;
	s16 qfi; /* QFI_NONE without a PDU Session Container */
};

enum gtpu_outcome { GTPU_OK, GTPU_TRUNCATED, GTPU_VERSION, GTPU_END_MARKER, GTPU_NOT_GPDU, GTPU_EXTENSIONS };

/* An extension header's length counts 4-byte units and includes its own length and next-type bytes. */
static __always_inline enum gtpu_outcome gtpu_extensions(struct cursor *cursor, struct gtpu_layer *gtpu, u8 type)
{
#pragma unroll
	for (int i = 0; i < GTPU_EXTENSIONS_MAX; i++) {
		u8 *first4, *last;
		u32 units;

		if (type == GTPU_EXT_NONE)
			return GTPU_OK;
		first4 = cursor_take(cursor, 4);
		if (!first4)
			return GTPU_TRUNCATED;
		units = first4[0];
		if (!units)
			return GTPU_EXTENSIONS;
		if (type == GTPU_EXT_PDU_SESSION_CONTAINER && first4[1] >> GTPU_PDU_TYPE_SHIFT <= GTPU_PDU_TYPE_MAX)
			gtpu->qfi = first4[2] & GTPU_QFI_MASK;
		if (!cursor_skip(cursor, (units - 1) * 4))
			return GTPU_TRUNCATED;
		last = cursor->at - 1;
		type = *last;
		cursor_meet(cursor);
	}
	return type == GTPU_EXT_NONE ? GTPU_OK : GTPU_EXTENSIONS;
}

static __always_inline enum gtpu_outcome gtpu_parse(struct cursor *cursor, struct gtpu_layer *gtpu)
{
	struct gtpu_header *header = cursor_take(cursor, sizeof(*header));
	struct gtpu_optional *optional;

	if (!header)
		return GTPU_TRUNCATED;
	if ((header->flags & (GTPU_VERSION_MASK | GTPU_PROTOCOL_TYPE)) != (GTPU_VERSION_1 | GTPU_PROTOCOL_TYPE))
		return GTPU_VERSION;
	if (header->type != GTPU_GPDU)
		return header->type == GTPU_END_MARKER_TYPE ? GTPU_END_MARKER : GTPU_NOT_GPDU;
	cursor_announce(cursor, bpf_ntohs(header->length));
	gtpu->teid = bpf_ntohl(header->teid);
	gtpu->qfi = QFI_NONE;
	if (!(header->flags & (GTPU_E | GTPU_S | GTPU_PN)))
		return GTPU_OK;
	optional = cursor_take(cursor, sizeof(*optional));
	if (!optional)
		return GTPU_TRUNCATED;
	return header->flags & GTPU_E ? gtpu_extensions(cursor, gtpu, optional->next) : GTPU_OK;
}
