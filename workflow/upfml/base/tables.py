"""The tables between stages: their columns, types and units. files.py writes and reads them."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from upfml.base import xdpmode
from upfml.base.classes import APPLICATIONS, CLASS_NAMES, NEITHER

FEATURES = ["iat_mean", "iat_var", "prev_iat_mean", "prev_iat_var"]
"""The model's inputs in order: integers, in units of `features.iat_unit` and its square (paper, section 3.2)."""

_label = pa.Column("int8", pa.Check.isin(list(CLASS_NAMES)))
_label_or_neither = pa.Column("int8", pa.Check.isin([NEITHER, *CLASS_NAMES]))
_port = pa.Column("int32", pa.Check.in_range(0, 65535))
_protocol = pa.Column("int16", pa.Check.in_range(0, 255))
_xdp_mode = pa.Column("str", pa.Check.isin([*xdpmode.MODES, xdpmode.NONE]))  # of the program on N3
_feature_columns = {name: pa.Column("int64", pa.Check.ge(0)) for name in FEATURES}

PACKETS = pa.DataFrameSchema(
    {
        "t_ns": pa.Column("int64"),  # CLOCK_MONOTONIC when XDP saw the packet
        "iat_ns": pa.Column("int64", pa.Check.ge(-1)),  # -1: the flow's first packet
        "teid": pa.Column("int64", pa.Check.in_range(0, 2**32 - 1)),
        "qfi": pa.Column("int16", pa.Check.in_range(-1, 63)),  # -1: no PDU Session Container
        "src": pa.Column("str"),
        "dst": pa.Column("str"),
        "src_port": _port,
        "dst_port": _port,
        "protocol": _protocol,
        "length_bytes": pa.Column("int32", pa.Check.ge(0)),  # inner IP packet
        "tcp_flags": pa.Column("int16"),  # zero, like the four below, unless the inner protocol is TCP
        "tcp_window": pa.Column("int32"),
        "tcp_seq": pa.Column("int64"),
        "tcp_ack": pa.Column("int64"),
        "tcp_data_offset_bytes": pa.Column("int16"),
    },
    strict=True,
    name="packets",
)

FLOWS = pa.DataFrameSchema(
    {
        "flow": pa.Column("str", unique=True),  # flowkey.flow_id of the 5-tuple
        "src": pa.Column("str"),
        "dst": pa.Column("str"),
        "src_port": _port,
        "dst_port": _port,
        "protocol": _protocol,
        "label": _label_or_neither,
        "application": pa.Column("str", pa.Check.isin(APPLICATIONS)),
        "period_ms": pa.Column("float64", nullable=True),  # null where the application has no period
        "payload_bytes": pa.Column("float64", nullable=True),  # null where it varies
    },
    strict=True,
    name="flows",
)

CLOSED_WINDOWS = pa.DataFrameSchema(
    {
        "flow": pa.Column("str"),
        "window": pa.Column("int64", pa.Check.ge(0)),  # k of the flow's own clock
        "t_close_ns": pa.Column("int64"),  # arrival of the packet that closed it
        "packets": pa.Column("int64", pa.Check.ge(1)),
        **_feature_columns,
    },
    strict=True,
    name="closed_windows",
)

WINDOWS = pa.DataFrameSchema(
    {
        **CLOSED_WINDOWS.columns,
        "label": _label,
        "split_random": pa.Column("str", pa.Check.isin(["train", "test", "unused"])),
        "split_grouped": pa.Column("str", pa.Check.isin(["train", "test", "unused"])),
    },
    strict=True,
    name="windows",
)

DECISIONS = pa.DataFrameSchema(
    {
        "flow": pa.Column("str"),
        "window": pa.Column("int64", pa.Check.ge(0)),
        "packets": pa.Column("int64", pa.Check.ge(1)),
        **_feature_columns,
        "predicted": _label,
        "model": pa.Column("int64", pa.Check.ge(0)),  # version of a model that can be swapped; 0: any other
        # Further decisions on the flow that said the same, and were not sent to user space (arms `-change`):
        "repeats": pa.Column("int64", pa.Check.ge(0)),
        "label": _label_or_neither,
        # CLOCK_MONOTONIC on both sides, in the order in which they happen:
        "t_packet_ns": pa.Column("int64"),  # XDP saw the packet that triggered the classification
        "t_sent_ns": pa.Column("int64"),  # the collector sent its event to user space (kernel arm: = t_packet_ns)
        "t_start_ns": pa.Column("int64"),  # the classifier began to work on it (kernel arm: it was parsed)
        "t_features_ns": pa.Column("int64"),  # features ready, inference begins
        "t_label_ns": pa.Column("int64"),  # class known to the classifier
        "t_delivered_ns": pa.Column("int64"),  # class known to user space (user arm: = t_label_ns)
    },
    strict=True,
    name="decisions",
)

SAMPLES = pa.DataFrameSchema(
    {
        "source": pa.Column("str", pa.Check.isin(["mpstat", "pidstat", "procstat"])),
        "second": pa.Column("int32", pa.Check.ge(0)),  # since the measured part of the run began
        "entity": pa.Column("str"),  # cpu-all, cpu-0, cpu-1, … or a process: classifier, nginx, …
        "usr_pct": pa.Column("float64", nullable=True),  # of all CPUs for cpu-all, else of one
        "sys_pct": pa.Column("float64", nullable=True),
        "soft_pct": pa.Column("float64", nullable=True),
        "steal_pct": pa.Column("float64", nullable=True),
        "busy_pct": pa.Column("float64", nullable=True),  # not idle, nor stolen; procstat's, whose idle time is exact
        "total_pct": pa.Column("float64", nullable=True),  # usr + sys + soft, as the paper adds them
        "context_switches_per_s": pa.Column("float64", nullable=True),  # system-wide for cpu-all
    },
    strict=True,
    name="samples",
)

_of_turn = {"arm": pa.Column("str"), "trial": pa.Column("int64", pa.Check.ge(1))}
TURN_DECISIONS = pa.DataFrameSchema({**_of_turn, **DECISIONS.columns}, strict=True, name="turn_decisions")
TURN_SAMPLES = pa.DataFrameSchema({**_of_turn, **SAMPLES.columns}, strict=True, name="turn_samples")
"""The same of several turns; `second` begins anew in each."""

TRIAL_FLOWS = pa.DataFrameSchema(
    {"trial": _of_turn["trial"], **FLOWS.columns, "flow": pa.Column("str")},
    unique=["trial", "flow"],
    strict=True,
    name="trial_flows",
)

_count = pa.Column("int64", pa.Check.ge(0))
TURNS = pa.DataFrameSchema(
    {
        **_of_turn,
        "xdp_mode": _xdp_mode,
        "place": _count,  # in the trial's order of arms
        "start_ns": pa.Column("int64"),  # of the measured part, CLOCK_MONOTONIC
        "end_ns": pa.Column("int64"),
        "n3_rate_mbit_s": pa.Column("float64", nullable=True),  # null: not limited
        "idle_before_pct": pa.Column("float64"),  # of the machine, before the trial's traffic
        "steal_pct": pa.Column("float64"),  # of all CPUs, in the measured part, like all down to agent_slices
        "cpu_mhz": pa.Column("float64", nullable=True),
        "n3_packets": _count,  # uplink
        "agent_cpu_ns": _count,  # that the classifier's process had a CPU
        "agent_wait_ns": _count,  # that it waited for one
        "agent_slices": _count,  # times that it got one
        "received": _count,  # events of the whole turn, like all that follow
        "lost": pa.Column("int64"),
        "decided_untold": _count,  # decisions that were not sent (arms `-change`)
        "run_time_ns": _count,  # of the program on N3, by the kernel's account (kernel.bpf_stats_enabled)
        "run_cnt": _count,
        "noise": pa.Column("str"),  # why the turn is to be doubted; empty when it is not
    },
    unique=["arm", "trial"],
    strict=True,
    name="turns",
)

RUNGS = pa.DataFrameSchema(
    {
        "t_s": pa.Column("float64"),  # since the traffic began
        "client": pa.Column("str"),
        "rung": pa.Column("int16", pa.Check.ge(0)),
        "bitrate_mbit_s": pa.Column("float64"),
        "segment": pa.Column("str"),
        "bytes": pa.Column("int64"),
        "duration_s": pa.Column("float64"),
    },
    strict=True,
    name="rungs",
)

SWEEP = pa.DataFrameSchema(
    {
        "max_depth": pa.Column("int64"),
        "n_estimators": pa.Column("int64"),
        "nodes": pa.Column("int64"),
        "programs": pa.Column("int64"),  # tail-called parts
        "status": pa.Column("str", pa.Check.isin(["loaded", "refused"])),
        "refused_reason": pa.Column("str"),  # the verifier's last line; empty when loaded
        "instructions": pa.Column("float64", nullable=True),  # BPF instructions of all parts after verification
        "verified_instructions": pa.Column("float64", nullable=True),  # that the verifier walked through
        "jited_bytes": pa.Column("float64", nullable=True),
        "accuracy_sklearn": pa.Column("float64"),
        "accuracy_user": pa.Column("float64"),
        "accuracy_kernel": pa.Column("float64", nullable=True),
        "accuracy_majority": pa.Column("float64"),  # of the baselines (baselines.py), on the same windows
        "accuracy_one_threshold": pa.Column("float64"),
        "test_windows": pa.Column("int64"),
        "inference_kernel_median_ns": pa.Column("float64", nullable=True),
        "inference_kernel_p99_ns": pa.Column("float64", nullable=True),
        "inference_user_median_ns": pa.Column("float64"),
        "inference_user_p99_ns": pa.Column("float64"),
    },
    strict=True,
    name="sweep",
)

FLOOD = pa.DataFrameSchema(
    {
        "kind": pa.Column("str", pa.Check.isin(["lru", "hash"])),  # of flow table
        "flows": pa.Column("int64"),  # that it holds
        "flood": pa.Column("int64"),  # flows of one packet that were poured in
        "trace_flows": pa.Column("int64"),
        "evicted": pa.Column("int64"),  # flows that made room for others
        "table_full": pa.Column("int64"),  # packets of flows that found no room
        "restarts": pa.Column("int64", pa.Check.ge(0)),  # flows of the trace that had been evicted when they went on
        "restarts_ideal": pa.Column("int64", pa.Check.ge(0)),  # the same in a table that is truly LRU
        "decisions": pa.Column("int64"),
        "decisions_undisturbed": pa.Column("int64"),  # without the flood
        "unchanged": pa.Column("int64"),  # of those, made with the flood, too, and the same
    },
    strict=True,
    name="flood",
)

JUDGED = pa.DataFrameSchema(
    {
        "scenario": pa.Column("str"),
        **CLOSED_WINDOWS.columns,
        "application": pa.Column("str", pa.Check.isin(APPLICATIONS)),
        "label": _label_or_neither,
        "forest": _label,  # what the deployed forest says, then the baselines
        "one_threshold": _label,
        "majority": _label,
    },
    strict=True,
    name="judged",
)

LOAD = pa.DataFrameSchema(
    {
        "sweep": pa.Column("str", pa.Check.isin(["rate", "flows", "period"])),
        "value": pa.Column("float64"),  # packets/s, flows, or a flow's period in ms
        "arm": pa.Column("str"),
        "turn": _count,  # of the arm at this value
        "xdp_mode": _xdp_mode,
        "flows": _count,
        "wanted_packets_per_s": pa.Column("float64"),
        "packets_wanted": _count,  # in the whole turn, like all down to decisions_made
        "packets_offered": _count,  # that the generator sent in time
        "packets_forwarded": _count,  # that arrived at the data network
        "events_made": _count,  # by the program on N3
        "events_lost": pa.Column("int64"),  # of those, never read
        "decisions_expected": pa.Column("float64", nullable=True),  # by the schedule; null: of packets, or none at all
        "decisions_made": _count,  # that user space knows of
        "upf_busy_pct": pa.Column("float64"),  # of the UPF's CPUs, whoever had them; in the steady part, like the rest
        "thread_cpu_ns_per_packet": pa.Column("float64", nullable=True),  # that the UPF's thread had a CPU
        "agent_cpu_ns_per_packet": pa.Column("float64", nullable=True),  # the agent's process likewise
        "upf_cpu_pct": pa.Column("float64"),  # both, of the UPF's CPUs
        "program_ns": pa.Column("float64", nullable=True),  # a run of the program on N3 by the kernel's account
        "latency_p50_ns": pa.Column("float64", nullable=True),  # packet arrival -> label in user space
        "latency_p99_ns": pa.Column("float64", nullable=True),
    },
    unique=["sweep", "value", "arm", "turn"],
    strict=True,
    name="load",
)

METRICS = pa.DataFrameSchema(
    {
        "arm": pa.Column("str"),  # as in arms.py, or sklearn
        "trial": pa.Column("int64"),  # 0: not from a trial (offline scores)
        "metric": pa.Column("str"),
        "value": pa.Column("float64"),
        "unit": pa.Column("str"),
        "xdp_mode": _xdp_mode,
    },
    strict=True,
    name="metrics",
)


def empty(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A table of no rows with the schema's columns and types."""
    return typed(pd.DataFrame(columns=list(schema.columns)), schema)


def typed(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The schema's columns of `frame`, in the schema's order and types."""
    types = {name: str(column.dtype) for name, column in schema.columns.items()}
    return frame[list(types)].astype(types)
