/* URLLC traffic: the sender of control messages, and the sink that takes them.
 *
 *	control send ACCOUNT	sends until SIGTERM, then writes its own account as JSON to the file ACCOUNT
 *	control sink		listens on every destination port of the plan, reads and discards
 *
 * Both read the plan on stdin, one flow a line:
 *
 *	protocol source port destination port spacing period_ns jitter_ns payload_bytes phase_ns seed
 *
 * protocol is IANA's number (6 or 17), addresses are numeric, spacing is "periodic" or "events". A periodic flow sends
 * its message k at t0 + phase + k * period + a jitter drawn uniformly from [-jitter, jitter]. Events begin at t0 + phase
 * and follow each other after times drawn from an exponential distribution whose mean is the period. Deadlines are
 * absolute, so a late message does not move the next one and periods do not drift. When they can work, `send` says "sending" and
 * `sink` says "ready" on stdout.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FLOWS 1024
#define MAX_PAYLOAD 1400 /* what fits the UE's MTU; a longer message would be two packets */
#define NS_PER_S 1000000000ULL
#define LEAD_NS 10000000ULL /* from "sending" to t0, so that no first deadline is in the past */
#define LATE_BUCKETS 100000 /* of 1 us; what is later than 100 ms is counted in the last one */
#define SINK_PAUSE_NS 2000000L /* see sink() */
#define SINK_BATCH 64 /* datagrams a system call */

/* What a message begins with, in network byte order. */
struct header {
	uint32_t flow;
	uint64_t sequence;
} __attribute__((packed));

struct flow {
	int protocol;
	struct sockaddr_storage source, destination;
	socklen_t address_size;
	bool events; /* period_ns is the mean of their distances */
	uint64_t period_ns, jitter_ns, phase_ns;
	size_t payload_bytes;
	uint64_t random; /* state of the generator of jitter and distances */
	uint64_t sequence; /* k of the message that is due next */
	uint64_t deadline_ns; /* of that message, CLOCK_MONOTONIC */
	int socket;
	char name[160]; /* for error messages */
};

static struct flow flows[MAX_FLOWS];
static unsigned int flow_count;
static volatile sig_atomic_t asked_to_end;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("control: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static socklen_t parse_address(const char *host, const char *port, struct sockaddr_storage *address)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	socklen_t size;

	if (getaddrinfo(host, port, &hints, &found))
		fail("not a numeric address and port: %s %s", host, port);
	size = found->ai_addrlen;
	memcpy(address, found->ai_addr, size);
	freeaddrinfo(found);
	return size;
}

static void read_plan(void)
{
	char line[512], source[64], destination[64], source_port[8], destination_port[8], spacing[16];

	while (fgets(line, sizeof(line), stdin)) {
		struct flow *flow = &flows[flow_count];

		if (flow_count == MAX_FLOWS)
			fail("more than %d flows", MAX_FLOWS);
		if (sscanf(line, "%d %63s %7s %63s %7s %15s %" SCNu64 " %" SCNu64 " %zu %" SCNu64 " %" SCNu64,
			   &flow->protocol, source, source_port, destination, destination_port, spacing,
			   &flow->period_ns, &flow->jitter_ns, &flow->payload_bytes, &flow->phase_ns,
			   &flow->random) != 11)
			fail("not a flow: %s", line);
		if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
			fail("neither TCP (6) nor UDP (17): %s", line);
		flow->events = !strcmp(spacing, "events");
		if (!flow->events && strcmp(spacing, "periodic"))
			fail("neither periodic nor events: %s", line);
		if (!flow->period_ns)
			fail("a period of zero: %s", line);
		if (flow->payload_bytes < sizeof(struct header) || flow->payload_bytes > MAX_PAYLOAD)
			fail("a payload outside %zu to %d bytes: %s", sizeof(struct header), MAX_PAYLOAD, line);
		parse_address(source, source_port, &flow->source);
		flow->address_size = parse_address(destination, destination_port, &flow->destination);
		snprintf(flow->name, sizeof(flow->name), "flow %u, %s %s:%s > %s:%s", flow_count,
			 flow->protocol == IPPROTO_TCP ? "TCP" : "UDP", source, source_port, destination,
			 destination_port);
		flow_count++;
	}
	if (!flow_count)
		fail("the plan on stdin has no flow");
}

static int new_socket(const struct flow *flow)
{
	const int on = 1;
	int fd = socket(flow->source.ss_family, flow->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		fail("%s: socket: %s", flow->name, strerror(errno));
	return fd;
}

/* send */

static void on_sigterm(int signal)
{
	(void)signal;
	asked_to_end = 1;
}

/* xorshift64* (Vigna 2016): small, and the same on every machine. The state must not be zero. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1DULL;
}

/* Drawn uniformly from (0, 1]: the upper 53 bits of a draw, which a double holds exactly. */
static double draw_share(uint64_t *state)
{
	return (double)((draw(state) >> 11) + 1) / (double)(1ULL << 53);
}

static void set_periodic_deadline(struct flow *flow, uint64_t t0_ns)
{
	/* Moved by jitter_ns, so that the sum below cannot fall under zero. */
	uint64_t shift_ns = draw(&flow->random) % (2 * flow->jitter_ns + 1);
	uint64_t due_ns = t0_ns + flow->phase_ns + flow->sequence * flow->period_ns + shift_ns - flow->jitter_ns;

	/* Jitter above half a period could put a message before the previous one: they keep their order. */
	if (due_ns > flow->deadline_ns)
		flow->deadline_ns = due_ns;
}

static void set_deadline(struct flow *flow, uint64_t t0_ns)
{
	if (!flow->events)
		set_periodic_deadline(flow, t0_ns);
	else if (!flow->sequence)
		flow->deadline_ns = t0_ns + flow->phase_ns;
	else
		flow->deadline_ns += (uint64_t)(-log(draw_share(&flow->random)) * (double)flow->period_ns);
}

static void open_flow(struct flow *flow)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	const int on = 1;

	flow->socket = new_socket(flow);
	if (flow->protocol == IPPROTO_TCP) {
		setsockopt(flow->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		/* A reset at the end, also after a kill: in TIME_WAIT the next run could not use the same ports. */
		setsockopt(flow->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	if (bind(flow->socket, (struct sockaddr *)&flow->source, flow->address_size))
		fail("%s: bind: %s", flow->name, strerror(errno));
	if (connect(flow->socket, (struct sockaddr *)&flow->destination, flow->address_size))
		fail("%s: connect: %s", flow->name, strerror(errno));
}

/* Restores the heap of flows, the earliest deadline at the root, after the root's deadline has grown. */
static void sift_down(struct flow **heap, unsigned int root)
{
	for (;;) {
		unsigned int child = 2 * root + 1;
		struct flow *moved = heap[root];

		if (child >= flow_count)
			return;
		if (child + 1 < flow_count && heap[child + 1]->deadline_ns < heap[child]->deadline_ns)
			child++;
		if (moved->deadline_ns <= heap[child]->deadline_ns)
			return;
		heap[root] = heap[child];
		heap[child] = moved;
		root = child;
	}
}

static uint32_t late_us[LATE_BUCKETS];

static unsigned int late_quantile_us(double share, uint64_t total)
{
	uint64_t seen = 0;
	unsigned int us;

	for (us = 0; us < LATE_BUCKETS - 1; us++) {
		seen += late_us[us];
		if ((double)seen >= share * (double)total)
			break;
	}
	return us;
}

static void send_until_asked(const char *account_path)
{
	static unsigned char message[MAX_PAYLOAD];
	static struct flow *heap[MAX_FLOWS];
	/* No SA_RESTART: the signal must end the sleep. */
	const struct sched_param first = { .sched_priority = 1 };
	const struct sigaction end = { .sa_handler = on_sigterm };
	uint64_t packets = 0, blocked = 0, max_ns = 0, begin_ns, end_ns;
	double sum_us = 0, squares_us = 0, mean_us;
	struct rusage used;
	FILE *account;
	bool realtime;

	for (unsigned int f = 0; f < flow_count; f++)
		open_flow(&flows[f]);
	sigaction(SIGTERM, &end, NULL);
	/* The default slack of 50 us is as long as the delays that URLLC is about. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	/* In the paper the sender has a machine of its own; here it goes before the players and everything measured.
	 * In five interleaved pairs of 14 s beside six players, p99 of the lateness was 0.2 to 0.5 ms instead of 1 to
	 * 4 ms. It does not help against a hypervisor that takes the CPU away.
	 */
	realtime = !sched_setscheduler(0, SCHED_FIFO, &first);
	puts("sending");
	fflush(stdout);

	begin_ns = now_ns() + LEAD_NS;
	for (unsigned int f = 0; f < flow_count; f++) {
		set_deadline(&flows[f], begin_ns);
		heap[f] = &flows[f];
	}
	for (unsigned int f = flow_count; f-- > 0;)
		sift_down(heap, f);

	while (!asked_to_end) {
		struct flow *due = heap[0];
		const struct timespec deadline = { .tv_sec = (time_t)(due->deadline_ns / NS_PER_S),
						   .tv_nsec = (long)(due->deadline_ns % NS_PER_S) };
		struct header header = { .flow = htonl((uint32_t)(due - flows)), .sequence = htobe64(due->sequence) };
		uint64_t woken_ns = now_ns(), late_ns;
		ssize_t sent;

		if (woken_ns < due->deadline_ns) {
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
			woken_ns = now_ns();
			if (woken_ns < due->deadline_ns)
				continue; /* woken by a signal */
		}
		memcpy(message, &header, sizeof(header));
		/* A control loop does not wait for its network: a message that finds no room is lost, and counted. */
		sent = send(due->socket, message, due->payload_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			fail("%s: send: %s", due->name, strerror(errno));
		if (sent == (ssize_t)due->payload_bytes)
			packets++;
		else
			blocked++;

		late_ns = woken_ns - due->deadline_ns;
		late_us[late_ns / 1000 < LATE_BUCKETS ? late_ns / 1000 : LATE_BUCKETS - 1]++;
		sum_us += (double)late_ns / 1e3;
		squares_us += ((double)late_ns / 1e3) * ((double)late_ns / 1e3);
		if (late_ns > max_ns)
			max_ns = late_ns;
		due->sequence++;
		set_deadline(due, begin_ns);
		sift_down(heap, 0);
	}
	end_ns = now_ns();

	getrusage(RUSAGE_SELF, &used);
	account = fopen(account_path, "w");
	if (!account)
		fail("%s: %s", account_path, strerror(errno));
	mean_us = packets + blocked ? sum_us / (double)(packets + blocked) : 0;
	squares_us = packets + blocked ? squares_us / (double)(packets + blocked) : 0;
	fprintf(account,
		"{\"packets\": %" PRIu64 ", \"blocked\": %" PRIu64
		", \"duration_s\": %.3f, \"cpu_s\": %.3f, \"realtime\": %s,\n"
		" \"late_us\": {\"median\": %u, \"p99\": %u, \"max\": %.1f, \"mean\": %.1f, \"std\": %.1f}}\n",
		packets, blocked, end_ns > begin_ns ? (double)(end_ns - begin_ns) / 1e9 : 0,
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
		realtime ? "true" : "false", late_quantile_us(0.5, packets + blocked),
		late_quantile_us(0.99, packets + blocked), (double)max_ns / 1e3, mean_us,
		sqrt(fmax(squares_us - mean_us * mean_us, 0)));
	if (fclose(account))
		fail("%s: %s", account_path, strerror(errno));
}

/* sink */

enum role { LISTENER, DATAGRAMS, STREAM };

/* What a socket is travels beside it in its event, in the upper half of the 64 bits. */
static void watch(int epoll, int fd, enum role role)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)role << 32 | (uint32_t)fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll_ctl: %s", strerror(errno));
}

static void discard_datagrams(int fd)
{
	/* No buffer: what does not fit is dropped by the kernel without a copy. */
	static struct mmsghdr messages[SINK_BATCH];

	while (recvmmsg(fd, messages, SINK_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL) == SINK_BATCH)
		;
}

static void discard_stream(int fd)
{
	/* With MSG_TRUNC TCP takes the bytes off the queue without a copy (tcp(7)). */
	ssize_t taken = recv(fd, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);

	if (taken == 0 || (taken < 0 && errno != EAGAIN))
		close(fd); /* the sender has gone */
}

/* Reads for ever. The pause after each round of reading makes it at most 500 wake-ups a second instead of one a
 * message: in the paper the receiver is another machine, here its cost would be measured with the classifier's. It
 * halves the sink's CPU (2.7 instead of 5.4% of a core) and, on an idle link, leaves the numbers of messages and of
 * ACKs as they are. 2 ms of the fastest flow are two messages; a socket's buffer holds hundreds.
 */
static void __attribute__((noreturn)) sink(void)
{
	const struct timespec pause = { .tv_nsec = SINK_PAUSE_NS };
	int epoll = epoll_create1(0);

	if (epoll < 0)
		fail("epoll_create1: %s", strerror(errno));
	for (unsigned int f = 0; f < flow_count; f++) {
		struct flow *flow = &flows[f];
		bool tcp = flow->protocol == IPPROTO_TCP;

		flow->socket = new_socket(flow);
		if (bind(flow->socket, (struct sockaddr *)&flow->destination, flow->address_size))
			fail("%s: bind: %s", flow->name, strerror(errno));
		if (tcp && listen(flow->socket, 4))
			fail("%s: listen: %s", flow->name, strerror(errno));
		watch(epoll, flow->socket, tcp ? LISTENER : DATAGRAMS);
	}
	puts("ready");
	fflush(stdout);

	for (;;) {
		struct epoll_event events[MAX_FLOWS];
		int count = epoll_wait(epoll, events, MAX_FLOWS, -1);

		for (int e = 0; e < count; e++) {
			int fd = (int)(uint32_t)events[e].data.u64;

			switch ((enum role)(events[e].data.u64 >> 32)) {
			case LISTENER:
				fd = accept(fd, NULL, NULL);
				if (fd >= 0)
					watch(epoll, fd, STREAM);
				break;
			case DATAGRAMS:
				discard_datagrams(fd);
				break;
			case STREAM:
				discard_stream(fd);
				break;
			}
		}
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	bool sends = argc == 3 && !strcmp(argv[1], "send");

	if (!sends && !(argc == 2 && !strcmp(argv[1], "sink")))
		fail("usage: control send ACCOUNT | control sink, the plan on stdin");
	read_plan();
	if (!sends)
		sink();
	send_until_asked(argv[2]);
	return EXIT_SUCCESS;
}
