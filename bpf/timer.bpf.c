// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a reading of the clock takes in the kernel: two programs that differ by TIMER_READINGS of them
 * (upfml/studies/timer.py).
 */
#include <uapi/linux/bpf.h>

int timer_read(struct xdp_md *ctx)
{
#pragma unroll
	for (int i = 0; i < TIMER_READINGS; i++)
		bpf_ktime_get_ns();
	return XDP_PASS;
}

int timer_not(struct xdp_md *ctx)
{
	return XDP_PASS;
}
