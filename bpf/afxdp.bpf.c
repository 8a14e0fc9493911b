// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP on the UPF's N3 for the arm `afxdp`: the packets of tunnels, if they are whole, leave the kernel through an AF_XDP
 * socket, for a user plane in user space (upfml/classify/afxdp.c); the rest passes. So do all while no socket is there:
 * the kernel's user plane then forwards them.
 */
#include <uapi/linux/bpf.h>
#include "include/arrival.h"
#include "include/clock.h"
#include "include/counters.h"
#include "include/n3frame.h"

BPF_XSKMAP(sockets, 1); /* by N3's queue, of which there is one */

/* In front of the packet, where the AF_XDP socket hands it on with the frame. */
static bool stamp(struct xdp_md *ctx, u64 now_ns)
{
	struct arrival *arrival;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*arrival)))
		return false;
	arrival = (void *)(long)ctx->data_meta;
	if ((void *)(arrival + 1) > (void *)(long)ctx->data)
		return false;
	arrival->t_ns = now_ns;
	arrival->t_sent_ns = step_ns(now_ns);
	return true;
}

int redirect(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct cursor cursor = cursor_start((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct n3_packet packet = {};
	enum counter outcome = n3_tunnel(&cursor, &packet);
	int verdict = XDP_PASS;

	if (outcome != COUNTER_FLOW) {
		counters.increment(outcome);
		return XDP_PASS;
	}
	if (packet.outer_first_fragment) { /* the kernel can put it together again */
		counters.increment(COUNTER_OUTER_FIRST_FRAGMENT);
		return XDP_PASS;
	}
	if (stamp(ctx, now_ns))
		verdict = sockets.redirect_map(ctx->rx_queue_index, XDP_PASS);
	if (verdict == XDP_REDIRECT)
		counters.increment(COUNTER_EVENT_SENT);
	else
		counters.increment(COUNTER_EVENT_LOST);
	return verdict;
}
