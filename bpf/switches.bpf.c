// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts context switches exactly, by CPU and by the process that leaves it, and how long each had the CPU. At
 * sched_switch `current` is still the process that leaves. Idle CPUs are process 0.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/ptrace.h>

struct tenant {
	u32 cpu;
	u32 process;
};

struct tenancy {
	u64 switches; /* away from the process */
	u64 ran_ns; /* with the interrupts that came meanwhile */
	char name[16]; /* of the thread that left last */
};

BPF_PERCPU_ARRAY(switches, u64, 1);
BPF_PERCPU_ARRAY(switched_ns, u64, 1); /* when the CPU's last switch was */
BPF_HASH(tenancies, struct tenant, struct tenancy, 16384); /* a process beyond that counts in `switches` alone */

int count_switch(void *ctx)
{
	int zero = 0;
	u64 now_ns = bpf_ktime_get_ns();
	u64 *count = switches.lookup(&zero), *last_ns = switched_ns.lookup(&zero);
	struct tenant tenant = { .cpu = bpf_get_smp_processor_id(), .process = bpf_get_current_pid_tgid() >> 32 };
	struct tenancy none = {}, *tenancy;

	if (!count || !last_ns)
		return 0;
	*count += 1;
	tenancy = tenancies.lookup_or_try_init(&tenant, &none);
	if (tenancy) {
		tenancy->switches += 1; /* only this CPU writes it */
		if (*last_ns)
			tenancy->ran_ns += now_ns - *last_ns;
		bpf_get_current_comm(tenancy->name, sizeof(tenancy->name));
	}
	*last_ns = now_ns;
	return 0;
}
