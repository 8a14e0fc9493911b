/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When a packet arrived, ns. Live: CLOCK_MONOTONIC now. Replayed through BPF_PROG_TEST_RUN with REPLAY_CLOCK defined:
 * the recorded time, which travels in the packet's 8 bytes of XDP metadata.
 */
#pragma once

static __always_inline u64 arrival_ns(struct xdp_md *ctx)
{
#ifdef REPLAY_CLOCK
	u64 *recorded = (void *)(long)ctx->data_meta;

	return (void *)(recorded + 1) > (void *)(long)ctx->data ? 0 : *recorded;
#else
	return bpf_ktime_get_ns();
#endif
}
