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

typedef u64 flow_value; /* ns: arrival of the flow's latest packet */

#include "include/flowtable.h"

/* ns since the flow's previous packet, -1 for its first; a clock that went backwards counts as an IAT of zero. */
static s64 flow_iat_ns(struct flow_key *key, u64 now_ns)
{
	u64 *last_ns = flows.lookup(key);
	struct flow_lock *lock;
	s64 iat_ns;

	if (!last_ns)
		last_ns = flow_enter(key, &now_ns);
	if (!last_ns)
		return -1;
	lock = flow_lock(key);
	if (!lock)
		return -1;
	flow_acquire(lock);
	iat_ns = now_ns - *last_ns;
	if (iat_ns > 0)
		*last_ns = now_ns;
	flow_release(lock);
	if (iat_ns < 0)
		counters.increment(COUNTER_CLOCK_BACKWARDS);
	return iat_ns < 0 ? 0 : iat_ns;
}

int collect(struct xdp_md *ctx)
{
	u64 now_ns = arrival_ns(ctx);
	struct n3_packet packet = {};

	if (n3_parse(ctx, &packet))
		hand_out(ctx, &packet, now_ns, flow_iat_ns(&packet.key, now_ns));
	return XDP_PASS;
}
