/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bpf/afxdp.bpf.c puts in front of a frame for user space (upfml/classify/afxdp.c): XDP metadata. CLOCK_MONOTONIC, ns.
 */
#pragma once

struct arrival {
	u64 t_ns; /* the packet came to N3 */
	u64 t_sent_ns; /* it went to user space (step_ns) */
};
