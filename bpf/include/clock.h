/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When a packet arrived, ns. Live: CLOCK_MONOTONIC now. Replayed through BPF_PROG_TEST_RUN with REPLAY_CLOCK defined:
 * the recorded time, which travels in the packet's 8 bytes of XDP metadata; with REPLAY_IN_FRONT, too, as the packet's own
 * first 8 bytes, which are taken off here: for kernels whose test runs take no metadata (upfml/bpf/testrun.py).
 */
#pragma once

static __always_inline u64 arrival_ns(struct xdp_md *ctx)
{
#ifdef REPLAY_IN_FRONT
	u64 *recorded = (void *)(long)ctx->data, t_ns;

	if ((void *)(recorded + 1) > (void *)(long)ctx->data_end)
		return 0;
	t_ns = *recorded;
	bpf_xdp_adjust_head(ctx, sizeof(t_ns));
	return t_ns;
#elif defined(REPLAY_CLOCK)
	u64 *recorded = (void *)(long)ctx->data_meta;

	return (void *)(recorded + 1) > (void *)(long)ctx->data ? 0 : *recorded;
#else
	return bpf_ktime_get_ns();
#endif
}

/*
 * When the way of a packet that arrived at `now_ns` has come so far. The clock is read with STAMP_STEPS only, in live runs
 * (some 35 ns, results/timer.json); else a step is taken to be at the packet's arrival.
 */
static __always_inline u64 step_ns(u64 now_ns)
{
#ifdef STAMP_STEPS
	return bpf_ktime_get_ns();
#else
	return now_ns;
#endif
}
