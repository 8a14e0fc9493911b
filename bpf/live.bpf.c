// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the benchmark of the live UPF (upfml/bench/live.py) runs beside the UPF's own programs.
 *
 * FRAMES is the number of frames that are sent in turn, FRAME_BYTES the length of each.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/pkt_cls.h>

struct frame {
	u8 bytes[FRAME_BYTES];
} __attribute__((aligned(8)));

struct generator {
	u32 ifindex; /* to send to */
	u32 at; /* the next frame */
};

BPF_ARRAY(frames, struct frame, FRAMES);
BPF_ARRAY(generators, struct generator, 1);

/* XDP, in a test run with live frames: sends the next frame to the device. */
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	int first = 0;
	struct generator *generator = generators.lookup(&first);
	struct frame *frame;
	u32 at;

	if (!generator)
		return XDP_ABORTED;
	at = generator->at;
	generator->at = at + 1 < FRAMES ? at + 1 : 0;
	frame = frames.lookup(&at);
	if (!frame || data + sizeof(*frame) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	/* The page was a packet before, and the UPF has changed it. */
	__builtin_memcpy(data, frame, sizeof(*frame));
	return bpf_redirect(generator->ifindex, 0);
}

/* XDP, on the UPF's N3: what all others are compared with. */
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* tc, where the data network takes packets from N6: they are counted by then, and nobody is to answer them. */
int discard(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IP) ? TC_ACT_SHOT : TC_ACT_OK;
}
