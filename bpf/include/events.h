/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What goes to user space. upfml/bpf/events.py has the same layouts as numpy types; a member that is elsewhere there
 * stops the compiler (upfml/base/layout.py). Times are CLOCK_MONOTONIC, ns.
 */
#pragma once

#include "flow.h"
#include "window.h"

/* A packet seen on N3 (handout.h). */
struct packet_event {
	struct flow_key key;
	u64 t_ns;
	u64 t_sent_ns; /* the event went to its buffer (step_ns) */
	s64 iat_ns; /* -1: the flow's first packet */
	u32 teid;
	u32 length_bytes; /* inner IP packet */
	u32 tcp_seq;
	u32 tcp_ack;
	u16 tcp_window;
	s16 qfi; /* -1: no PDU Session Container */
	u8 tcp_flags;
	u8 tcp_data_offset_bytes;
	u8 zero[2];
};

/* From classify.bpf.c: a classification. */
struct decision_event {
	struct flow_key key;
	u64 window;
	struct features features;
	u64 t_packet_ns; /* the packet that triggered it arrived */
	u64 t_start_ns; /* it was parsed (step_ns) */
	u64 t_features_ns; /* its features were ready */
	u64 t_label_ns; /* its class was known */
	u32 packets; /* in the window */
	s32 predicted;
	u32 untold; /* decisions on the flow since its last event, which said the same as that */
	u32 model; /* its version (engines/table.h); 0: of an engine that has none */
};
