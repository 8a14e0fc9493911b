// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast half of native.py: the collector's events out of the ring buffer, in place, and classified. It decides as
 * classify/user.py does, which says what it means that a packet is parked.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include "classifier.h"
#include "../bpf/ring.h"

#define PARKED_BEGIN 16 /* packets; the room doubles */

/*
 * A flow's packets that wait for a predecessor whose event has not come, in the order in which they came. As long as no
 * event is lost they are few, which overtook it on another CPU; else as many as come in `patience_ns`.
 */
struct parked {
	size_t count;
	size_t room;
	struct waiting {
		u64 t_ns;
		s64 iat_ns;
		u64 t_sent_ns;
	} packets[];
};

struct native {
	struct classifier classifier;
	u64 received; /* events */
	u64 overtook; /* packets whose event came before their predecessor's */
	u64 patience_ns; /* how long a packet waits once events have been lost */
	s64 (*lost)(void); /* events that will never come */
};

struct native *native_open(u64 patience_ns, s64 (*lost)(void))
{
	struct native *native = allocate(sizeof(*native));

	native->patience_ns = patience_ns;
	native->lost = lost;
	return native;
}

static void packet(struct native *native, struct flow *flow, const struct waiting *waiting, u64 t_start_ns)
{
	struct flow_step step = { .iat_ns = waiting->iat_ns };
	struct stamps stamps = { waiting->t_ns, waiting->t_sent_ns, t_start_ns };

	if (waiting->t_ns > flow->state.last_ns)
		flow->state.last_ns = waiting->t_ns;
	flow_account(&flow->state, &step);
	classifier_step(&native->classifier, flow, &step, &stamps);
}

/* Whether a packet, not the flow's first, has to wait: the one before it has not come. */
static bool is_early(const struct flow *flow, const struct waiting *waiting)
{
	return !flow->begun || (s64)waiting->t_ns - waiting->iat_ns > (s64)flow->state.last_ns;
}

static int by_time(const void *left, const void *right)
{
	const struct waiting *a = left, *b = right;

	if (a->t_ns != b->t_ns)
		return a->t_ns < b->t_ns ? -1 : 1;
	return (a->iat_ns > b->iat_ns) - (a->iat_ns < b->iat_ns);
}

/* Account for the parked packets of a flow whose turn it is; for all of them when no longer `patient`. */
static void unpark(struct native *native, struct flow *flow, bool patient)
{
	struct parked *parked = flow->parked;
	size_t done;

	qsort(parked->packets, parked->count, sizeof(*parked->packets), by_time);
	for (done = 0; done < parked->count; done++) {
		const struct waiting *waiting = &parked->packets[done];
		u64 t_start_ns = now_ns();

		if (patient && is_early(flow, waiting))
			break;
		if (flow->begun)
			packet(native, flow, waiting, t_start_ns);
		else
			flow_start(flow, waiting->t_ns);
	}
	parked->count -= done;
	memmove(parked->packets, parked->packets + done, parked->count * sizeof(*parked->packets));
	if (!parked->count) {
		free(parked);
		flow->parked = NULL;
	}
}

static void park(struct native *native, struct flow *flow, const struct waiting *waiting)
{
	struct parked *parked = flow->parked;

	native->overtook++;
	if (!parked || parked->count == parked->room) {
		size_t room = parked ? 2 * parked->room : PARKED_BEGIN;
		struct parked *larger = allocate(sizeof(*larger) + room * sizeof(*larger->packets));

		if (parked)
			memcpy(larger, parked, sizeof(*parked) + parked->count * sizeof(*parked->packets));
		larger->room = room;
		free(parked);
		flow->parked = parked = larger;
	}
	parked->packets[parked->count++] = *waiting;
	if (waiting->t_ns > parked->packets[0].t_ns + native->patience_ns && native->lost())
		unpark(native, flow, false);
}

/* Account for a packet, and classify where it calls for that. */
static void take(struct native *native, const struct packet_event *event)
{
	u64 t_start_ns = now_ns();
	struct flow *flow = flows_find(&native->classifier.flows, &event->key);
	struct waiting waiting = { event->t_ns, event->iat_ns, event->t_sent_ns };

	native->received++;
	if (event->iat_ns < 0) {
		flow_start(flow, event->t_ns);
	} else if (is_early(flow, &waiting)) {
		park(native, flow, &waiting);
		return;
	} else {
		packet(native, flow, &waiting, t_start_ns);
	}
	if (flow->parked)
		unpark(native, flow, true);
}

/* Take `count` events that have got here another way than by the ring. */
void native_take(struct native *native, const struct packet_event *events, size_t count)
{
	for (size_t i = 0; i < count; i++)
		take(native, &events[i]);
}

/* Take the events that are in a ring. */
void native_drain(struct native *native, const struct ring *ring)
{
	struct ring_reading reading = ring_begin(ring);
	const struct packet_event *event;

	while ((event = ring_next(&reading)))
		take(native, event);
	ring_release(&reading);
}

/*
 * Take events of a ring as they come, for `timeout_ns` or until a signal comes; each may wait for `delay_ns`, to be read
 * with others. `poll` is an epoll with the ring in it. 0, or the error of that.
 */
int native_wait(struct native *native, const struct ring *ring, int poll, u64 timeout_ns, u64 delay_ns)
{
	const struct timespec delay = { delay_ns / 1000000000, delay_ns % 1000000000 };
	u64 until_ns = now_ns() + timeout_ns, at_ns;

	while ((at_ns = now_ns()) < until_ns) {
		struct epoll_event readable;
		int ready = epoll_wait(poll, &readable, 1, (until_ns - at_ns + 999999) / 1000000);

		if (ready < 0)
			return errno == EINTR ? 0 : errno;
		if (!ready)
			continue;
		if (delay_ns)
			nanosleep(&delay, NULL);
		native_drain(native, ring);
	}
	return 0;
}

/* Forget all flows; packets that still wait for a predecessor wait no longer. */
void native_forget(struct native *native)
{
	struct flows *flows = &native->classifier.flows;

	for (size_t i = 0; i < flows->size; i++)
		if (flows->slots[i] && flows->slots[i]->parked)
			unpark(native, flows->slots[i], false);
	flows_forget(flows);
}

void native_close(struct native *native)
{
	native_forget(native);
	classifier_free(&native->classifier);
	free(native);
}
