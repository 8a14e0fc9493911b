// SPDX-License-Identifier: GPL-2.0-only
/*
 * N3's wire where the UPF has CPUs of its own: what one side sends leaves at the other. Each side is received on the
 * CPUs of the peer (RPS), so the hop from CPU to CPU is made here, as a network card's interrupt makes it, before the
 * UPF's N3 and its XDP program see the packet.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/pkt_cls.h>

int wire(struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex == GNB_SIDE ? UPF_SIDE : GNB_SIDE, 0);
}
