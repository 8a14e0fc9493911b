// SPDX-License-Identifier: GPL-2.0-only
/*
 * The collector (paper, section 3.1, figure 3): XDP on the UPF's N3. Follows each flow inside the GTP-U tunnel, computes
 * the IAT in the kernel and hands every packet's fields to user space: training data, and the feed of the user-space
 * classifier.
 */
#include <uapi/linux/bpf.h>
#include "include/n3.h"
#include "include/clock.h"
#include "include/flowlock.h"
#include "include/handout.h"

typedef struct {
	u64 lock;
	u64 last_ns; /* arrival of the flow's latest packet */
} flow_value;

#include "include/flowtable.h"

/*
 * ns since the flow's previous packet, -1 for its first; a clock that went backwards counts as an IAT of zero. False when
 * the packet waited in vain for its flow's turn.
 */
static bool flow_iat(struct flow_key *key, u64 now_ns, s64 *iat_ns)
{
	flow_value *flow = flows.lookup(key);
	s64 since_ns;

	if (!flow) {
		flow_value first = { .last_ns = now_ns };

		flow = flow_enter(key, &first);
	}
	*iat_ns = -1;
	if (!flow)
		return true;
	if (!flow_acquire(&flow->lock))
		return false;
	since_ns = now_ns - flow->last_ns;
	if (since_ns > 0)
		flow->last_ns = now_ns;
	flow_release(&flow->lock);
	if (since_ns < 0)
		counters.increment(COUNTER_CLOCK_BACKWARDS);
	*iat_ns = since_ns < 0 ? 0 : since_ns;
	return true;
}

int collect(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};
	s64 iat_ns;

	if (n3_parse(ctx, &packet) && flow_iat(&packet.key, now_ns, &iat_ns))
		hand_out(ctx, &packet, now_ns, iat_ns);
	return XDP_PASS;
}
