// SPDX-License-Identifier: GPL-2.0-only
/*
 * What runs beside the UPF's own programs when packets are generated for it (upfml/traffic/injector).
 *
 * FRAMES is the number of frames that there are, FRAME_BYTES the length of each.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/pkt_cls.h>

/*
 * A slot that comes later than by so many is given up: frames sent at once to make up for it would be a burst that nobody
 * wants, and that no veth has room for (256).
 */
#define LATE_SLOTS 128

struct frame {
	u8 bytes[FRAME_BYTES];
} __attribute__((aligned(8)));

struct generator {
	u32 ifindex; /* to send to */
	u32 at; /* the next frame */
};

/*
 * Frames, each of them a flow's, by the clock. Time is cut into slots; a slot belongs to a flow, `flows` slots are a round.
 * Flow f sends `packets` times, once a round, from round f * stagger / flows on.
 */
struct schedule {
	u64 interval_ns; /* of a slot */
	u64 start_ns; /* of slot 0; 0: not begun */
	u64 slot; /* the next one */
	u64 round; /* that it is in */
	u64 rounds; /* after which all have sent */
	u64 stagger; /* rounds in which flows begin */
	u64 packets; /* of each flow */
	u64 sent;
	u32 flows; /* at most FRAMES */
	u32 at; /* the flow of the next slot */
};

BPF_ARRAY(frames, struct frame, FRAMES);
BPF_ARRAY(generators, struct generator, 1);
BPF_ARRAY(schedules, struct schedule, 1);

static int send_frame(struct xdp_md *ctx, u32 ifindex, u32 at)
{
	void *data = (void *)(long)ctx->data;
	struct frame *frame = frames.lookup(&at);

	if (!frame || data + sizeof(*frame) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	/* The page was a packet before, and the UPF has changed it. */
	__builtin_memcpy(data, frame, sizeof(*frame));
	return bpf_redirect(ifindex, 0);
}

/* XDP, in a test run with live frames: sends the next frame to the device. */
int generate(struct xdp_md *ctx)
{
	int first = 0;
	struct generator *generator = generators.lookup(&first);
	u32 at;

	if (!generator)
		return XDP_ABORTED;
	at = generator->at;
	generator->at = at + 1 < FRAMES ? at + 1 : 0;
	return send_frame(ctx, generator->ifindex, at);
}

/* XDP, in a test run with live frames: sends the frame that is due, or none. */
int generate_by_schedule(struct xdp_md *ctx)
{
	u64 now_ns = bpf_ktime_get_ns(), due_ns, begin, round;
	int first = 0;
	struct generator *generator = generators.lookup(&first);
	struct schedule *schedule = schedules.lookup(&first);
	u32 at;

	if (!generator || !schedule || schedule->round >= schedule->rounds || !schedule->flows)
		return XDP_DROP;
	if (!schedule->start_ns)
		schedule->start_ns = now_ns;
	due_ns = schedule->start_ns + schedule->slot * schedule->interval_ns;
	if (now_ns < due_ns)
		return XDP_DROP;
	at = schedule->at;
	round = schedule->round;
	schedule->slot++;
	schedule->at = at + 1 < schedule->flows ? at + 1 : 0;
	schedule->round += !schedule->at;
	begin = at * schedule->stagger / schedule->flows;
	if (round < begin || round - begin >= schedule->packets)
		return XDP_DROP;
	if (now_ns - due_ns > LATE_SLOTS * schedule->interval_ns)
		return XDP_DROP;
	schedule->sent++;
	return send_frame(ctx, generator->ifindex, at);
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
