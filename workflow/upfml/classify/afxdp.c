// SPDX-License-Identifier: GPL-2.0-only
/*
 * A user plane in user space, as kernel-bypass UPFs are, for the uplink: packets of tunnels come from N3 through an AF_XDP
 * socket (bpf/afxdp.bpf.c), are parsed and classified, lose their tunnel, and go to N6's next hop through another
 * (Documentation/networking/af_xdp.rst). Both sockets share one memory, so that nothing is copied here: a packet is
 * decapsulated where it lies. Downlink, and all that is no G-PDU, stays with the kernel.
 *
 * FRAMES is the number of frames and of places in each ring, so a ring always has room for a frame: the one place where
 * packets get lost before they are seen is the kernel, when no frame is left (rx_dropped).
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/xsk.h>
#include "classifier.h"
#include "include/cursor.h"
#include "include/n3frame.h"
#include "include/arrival.h"

#define FRAMES 4096
#define FRAME_BYTES 2048 /* XDP's headroom of 256, and a frame of N3: 1,514 */
#define BATCH 64 /* packets between looking after the rings */
#define RETRY_MS 1 /* when the kernel would not send all that it was given */

struct port {
	struct xsk_socket *socket;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct xsk_ring_prod fill; /* frames for the kernel to receive into */
	struct xsk_ring_cons sent; /* frames that it has sent */
};

struct afxdp {
	struct classifier classifier;
	u64 received; /* packets */
	u64 forwarded;
	u64 unknown_teid; /* dropped, like those down to ttl_expired */
	u64 not_ipv4; /* the PDU session is of type IPv4 */
	u64 malformed;
	u64 ttl_expired;
	u64 rx_dropped; /* by the kernel; of the sockets before the present ones, like rx_ring_full */
	u64 rx_ring_full;
	struct ether_header to_next_hop;
	u32 *teids; /* of the uplink's sessions */
	size_t sessions;
	void *memory;
	struct xsk_umem *umem;
	struct port n3, n6;
};

struct afxdp *afxdp_new(const u32 *teids, size_t sessions)
{
	struct afxdp *afxdp = allocate(sizeof(*afxdp));

	afxdp->teids = allocate(sessions * sizeof(*teids));
	afxdp->sessions = sessions;
	memcpy(afxdp->teids, teids, sessions * sizeof(*teids));
	return afxdp;
}

/* A frame that holds nothing any more goes back to where N3 receives. `refill` counts those that are yet to be shown. */
static void recycle(struct afxdp *afxdp, u64 address, u32 *refill)
{
	u32 at;

	if (xsk_ring_prod__reserve(&afxdp->n3.fill, 1, &at)) { /* always: see FRAMES */
		*xsk_ring_prod__fill_addr(&afxdp->n3.fill, at) = address;
		++*refill;
	}
}

/* Packets that the kernel dropped since the beginning: as no frame was left, and as the ring was full. */
void afxdp_dropped(const struct afxdp *afxdp, u64 *rx_dropped, u64 *rx_ring_full)
{
	struct xdp_statistics statistics = {};
	socklen_t bytes = sizeof(statistics);

	if (afxdp->n3.socket)
		getsockopt(xsk_socket__fd(afxdp->n3.socket), SOL_XDP, XDP_STATISTICS, &statistics, &bytes);
	*rx_dropped = afxdp->rx_dropped + statistics.rx_dropped;
	*rx_ring_full = afxdp->rx_ring_full + statistics.rx_ring_full;
}

void afxdp_close(struct afxdp *afxdp)
{
	afxdp_dropped(afxdp, &afxdp->rx_dropped, &afxdp->rx_ring_full);
	xsk_socket__delete(afxdp->n6.socket);
	xsk_socket__delete(afxdp->n3.socket);
	xsk_umem__delete(afxdp->umem);
	if (afxdp->memory)
		munmap(afxdp->memory, FRAMES * FRAME_BYTES);
	afxdp->n3 = afxdp->n6 = (struct port){};
	afxdp->umem = NULL;
	afxdp->memory = NULL;
}

static int open_sockets(struct afxdp *afxdp, const char *n3, const char *n6)
{
	const struct xsk_umem_config frames = { FRAMES, FRAMES, FRAME_BYTES, 0, 0 };
	const struct xsk_socket_config rings = {
		.rx_size = FRAMES,
		.tx_size = FRAMES,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP, /* veth cannot do without the copy */
	};
	struct port *in = &afxdp->n3, *out = &afxdp->n6;
	int error;

	afxdp->memory = mmap(NULL, FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (afxdp->memory == MAP_FAILED) {
		afxdp->memory = NULL;
		return -errno;
	}
	error = xsk_umem__create(&afxdp->umem, afxdp->memory, FRAMES * FRAME_BYTES, &in->fill, &in->sent, &frames);
	if (!error)
		error = xsk_socket__create(&in->socket, n3, 0, afxdp->umem, &in->rx, NULL, &rings);
	if (!error)
		error = xsk_socket__create_shared(&out->socket, n6, 0, afxdp->umem, NULL, &out->tx, &out->fill,
						  &out->sent, &rings);
	return error;
}

/*
 * Open the sockets on the two devices, and put that of N3 where the XDP program finds it; packets come from then on. `mac`
 * has N6's next hop, then N6 itself. 0, or a negative error; then nothing is open.
 */
int afxdp_open(struct afxdp *afxdp, const char *n3, const char *n6, const u8 *mac, int sockets)
{
	int error = open_sockets(afxdp, n3, n6);
	u32 refill = 0;

	if (!error) {
		memcpy(afxdp->to_next_hop.ether_dhost, mac, ETH_ALEN);
		memcpy(afxdp->to_next_hop.ether_shost, mac + ETH_ALEN, ETH_ALEN);
		afxdp->to_next_hop.ether_type = bpf_htons(ETHERTYPE_IP);
		for (u64 address = 0; address < FRAMES * FRAME_BYTES; address += FRAME_BYTES)
			recycle(afxdp, address, &refill);
		xsk_ring_prod__submit(&afxdp->n3.fill, refill);
		error = xsk_socket__update_xskmap(afxdp->n3.socket, sockets);
	}
	if (error)
		afxdp_close(afxdp);
	return error;
}

static bool has_session(const struct afxdp *afxdp, u32 teid)
{
	for (size_t i = 0; i < afxdp->sessions; i++)
		if (afxdp->teids[i] == teid)
			return true;
	return false;
}

/* What a router does to the packet of `bytes` (RFC 1812): its length, to be sent to N6's next hop, or 0: dropped. */
static u32 route(struct afxdp *afxdp, struct iphdr *ip, u32 bytes, u32 teid)
{
	u32 length, check;

	if (!has_session(afxdp, teid)) {
		afxdp->unknown_teid++;
		return 0;
	}
	if (bytes < sizeof(*ip) || ip->version != 4) {
		afxdp->not_ipv4++;
		return 0;
	}
	length = bpf_ntohs(ip->tot_len);
	if (ip->ihl < 5 || length < ip->ihl * 4U || length > bytes) {
		afxdp->malformed++;
		return 0;
	}
	if (ip->ttl <= 1) {
		afxdp->ttl_expired++;
		return 0;
	}
	ip->ttl--;
	check = ip->check + bpf_htons(1 << 8); /* the checksum of one less in the upper byte, RFC 1141 */
	ip->check = check + (check >= 0xffff);
	afxdp->forwarded++;
	return length;
}

static void classify(struct classifier *classifier, const struct n3_packet *packet, const struct stamps *stamps)
{
	struct flow *flow = flows_find(&classifier->flows, &packet->key);
	struct flow_step step = {};

	if (!flow->begun) {
		classifier->counters[COUNTER_FLOW_NEW]++;
		flow_start(flow, stamps->t_packet_ns);
		return;
	}
	flow_packet(&flow->state, stamps->t_packet_ns, &step);
	classifier_step(classifier, flow, &step, stamps);
}

/* Classify the packet in a frame, and take it out of its tunnel: what is to be sent, of length 0 when nothing is. */
static struct xdp_desc packet(struct afxdp *afxdp, const struct xdp_desc *frame)
{
	u8 *data = xsk_umem__get_data(afxdp->memory, frame->addr);
	const struct arrival *arrival = (const void *)(data - sizeof(*arrival));
	struct stamps stamps = { arrival->t_ns, arrival->t_sent_ns, now_ns() };
	struct cursor cursor = cursor_start(data, data + frame->len);
	struct n3_packet packet = {};
	enum counter outcome = n3_tunnel(&cursor, &packet);
	u8 *inner = cursor.at;
	s64 bytes = data + frame->len - inner;
	struct xdp_desc out = { .addr = inner - sizeof(afxdp->to_next_hop) - (u8 *)afxdp->memory };

	if (outcome != COUNTER_FLOW) { /* never: the XDP program has looked */
		afxdp->malformed++;
		return out;
	}
	if (cursor.announced < bytes)
		bytes = cursor.announced;
	outcome = n3_user_packet(&cursor, &packet);
	afxdp->classifier.counters[outcome]++;
	afxdp->classifier.counters[COUNTER_INNER_FIRST_FRAGMENT] += packet.inner_first_fragment;
	if (outcome == COUNTER_FLOW)
		classify(&afxdp->classifier, &packet, &stamps);
	out.len = route(afxdp, (struct iphdr *)inner, bytes, packet.gtpu.teid);
	if (out.len) {
		memcpy(inner - sizeof(afxdp->to_next_hop), &afxdp->to_next_hop, sizeof(afxdp->to_next_hop));
		out.len += sizeof(afxdp->to_next_hop);
	}
	return out;
}

/* Take some packets, and give N6 what is to be sent: how many were taken. */
static u32 receive(struct afxdp *afxdp, u32 *refill)
{
	u32 from, to, sent = 0, received = xsk_ring_cons__peek(&afxdp->n3.rx, BATCH, &from);

	for (u32 i = 0; i < received; i++) {
		const struct xdp_desc *frame = xsk_ring_cons__rx_desc(&afxdp->n3.rx, from + i);
		struct xdp_desc out = packet(afxdp, frame);

		if (out.len && xsk_ring_prod__reserve(&afxdp->n6.tx, 1, &to)) {
			*xsk_ring_prod__tx_desc(&afxdp->n6.tx, to) = out;
			sent++;
		} else {
			recycle(afxdp, frame->addr, refill);
		}
	}
	xsk_ring_cons__release(&afxdp->n3.rx, received);
	xsk_ring_prod__submit(&afxdp->n6.tx, sent);
	afxdp->received += received;
	return received;
}

static u32 unsent(struct afxdp *afxdp)
{
	return FRAMES - xsk_prod_nb_free(&afxdp->n6.tx, FRAMES);
}

/* Have the kernel send what N6 was given, as far as it will now: 0, or an error that does not go away. */
static int transmit(struct afxdp *afxdp)
{
	u32 before, left = unsent(afxdp);

	do {
		before = left;
		if (!left || !xsk_ring_prod__needs_wakeup(&afxdp->n6.tx))
			break;
		if (sendto(xsk_socket__fd(afxdp->n6.socket), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY && errno != ENOBUFS && errno != EINTR)
			return errno;
		left = unsent(afxdp);
	} while (left < before);
	return 0;
}

static void reap(struct afxdp *afxdp, u32 *refill)
{
	u32 at, sent;

	while ((sent = xsk_ring_cons__peek(&afxdp->n6.sent, BATCH, &at))) {
		for (u32 i = 0; i < sent; i++)
			recycle(afxdp, *xsk_ring_cons__comp_addr(&afxdp->n6.sent, at + i), refill);
		xsk_ring_cons__release(&afxdp->n6.sent, sent);
	}
}

/* Take what is there, and send it on. 0, or an error. */
int afxdp_drain(struct afxdp *afxdp)
{
	u32 received;
	int error;

	do {
		u32 refill = 0;

		received = receive(afxdp, &refill);
		error = transmit(afxdp);
		reap(afxdp, &refill);
		xsk_ring_prod__submit(&afxdp->n3.fill, refill);
	} while (received && !error);
	return error;
}

/* Take packets as they come, for `timeout_ns` or until a signal comes. 0, or an error. */
int afxdp_wait(struct afxdp *afxdp, u64 timeout_ns)
{
	struct pollfd readable = { .fd = xsk_socket__fd(afxdp->n3.socket), .events = POLLIN };
	u64 until_ns = now_ns() + timeout_ns, at_ns;
	int error = 0;

	while (!error && (at_ns = now_ns()) < until_ns) {
		int timeout_ms = unsent(afxdp) ? RETRY_MS : (until_ns - at_ns + 999999) / 1000000;

		if (poll(&readable, 1, timeout_ms) < 0)
			return errno == EINTR ? 0 : errno;
		error = afxdp_drain(afxdp);
	}
	return error;
}

/* Forget all flows. */
void afxdp_forget(struct afxdp *afxdp)
{
	flows_forget(&afxdp->classifier.flows);
}

void afxdp_free(struct afxdp *afxdp)
{
	afxdp_close(afxdp);
	classifier_free(&afxdp->classifier);
	free(afxdp->teids);
	free(afxdp);
}
