// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast half of testrun.py: a batch of packets through an XDP program.
 */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "batch.h"

/*
 * Run the program on each record of a batch: how many it ran. When those are not all, errno says why. The time before a
 * frame is the packet's metadata or, `in_front`, the packet's own first bytes (bpf/include/clock.h).
 */
size_t testrun_batch(int program, const void *batch, size_t records, int in_front)
{
	const struct record *record = batch;
	struct xdp_md context = { .data = sizeof(record->t_ns) };
	union bpf_attr attr = { .test = { .prog_fd = program, .repeat = 1 } };
	size_t done;

	if (!in_front) {
		attr.test.ctx_in = (uintptr_t)&context;
		attr.test.ctx_size_in = sizeof(context);
	}
	for (done = 0; done < records; done++) {
		context.data_end = sizeof(record->t_ns) + record->frame_bytes;
		attr.test.data_in = (uintptr_t)&record->t_ns;
		attr.test.data_size_in = context.data_end;
		attr.test.data_size_out = 0; /* the last run's size is in it, and would be this one's limit */
		if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)))
			break;
		record = (const void *)record + record_bytes(record->frame_bytes);
	}
	return done;
}
