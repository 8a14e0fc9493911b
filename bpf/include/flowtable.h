/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table, from a flow's key to its flow_value: a type that the program names before it includes this.
 * FLOW_TABLE_TYPE and FLOW_TABLE_SIZE come from the configuration (upfml/bpf/flowtable.py).
 */
#pragma once

#include <uapi/linux/errno.h>
#include "counters.h"
#include "flow.h"

BPF_TABLE(FLOW_TABLE_TYPE, struct flow_key, flow_value, flows, FLOW_TABLE_SIZE);

/* Enter a flow that was not there: what another CPU entered meanwhile, NULL when it is `first` now, or found no room. */
static flow_value *flow_enter(struct flow_key *key, flow_value *first)
{
	int error = flows.insert(key, first);

	if (error == -EEXIST)
		return flows.lookup(key);
	counters.increment(error ? COUNTER_FLOW_TABLE_FULL : COUNTER_FLOW_NEW);
	return NULL;
}
