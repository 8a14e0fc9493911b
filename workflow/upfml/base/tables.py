"""The tables between stages: their columns, types, units and meanings. files.py writes and reads them.

The manual's page of outputs is made of these descriptions. Times in columns `t_…_ns` are CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pandera.pandas as pa

from upfml.base import xdpmode
from upfml.base.classes import APPLICATIONS, CLASS_NAMES, NEITHER

FEATURES = ["iat_mean", "iat_var", "prev_iat_mean", "prev_iat_var"]
"""The model's inputs in order: integers, in units of `features.iat_unit` and its square (paper, section 3.2)."""


def _whole(meaning: str, least: int | None = None, most: int | None = None, kind: str = "int64") -> pa.Column:
    """A column of integers within bounds."""
    if most is not None:
        return pa.Column(kind, pa.Check.in_range(least, most), description=meaning)
    return pa.Column(kind, None if least is None else pa.Check.ge(least), description=meaning)


def _real(meaning: str) -> pa.Column:
    return pa.Column("float64", description=meaning)


def _real_or_null(meaning: str) -> pa.Column:
    return pa.Column("float64", nullable=True, description=meaning)


def _text(meaning: str, allowed: Sequence[str] | None = None, *, unique: bool = False) -> pa.Column:
    check = None if allowed is None else pa.Check.isin(allowed)
    return pa.Column("str", check, unique=unique, description=meaning)


def _class(meaning: str, *, or_neither: bool = False) -> pa.Column:
    names = {NEITHER: "neither"} if or_neither else {}
    words = ", ".join(f"{label} {name}" for label, name in (names | CLASS_NAMES).items())
    return pa.Column("int8", pa.Check.isin([*names, *CLASS_NAMES]), description=f"{meaning}: {words}")


def _table(
    name: str, description: str, columns: Mapping[str, pa.Column], unique: Sequence[str] | None = None
) -> pa.DataFrameSchema:
    """A table of exactly these columns. `unique`: columns that together name a row."""
    return pa.DataFrameSchema(
        dict(columns), unique=None if unique is None else list(unique), strict=True, name=name, description=description
    )


_FIVE_TUPLE = {
    "src": _text("source address of the inner packet"),
    "dst": _text("destination address of the inner packet"),
    "src_port": _whole("source port", 0, 65535, "int32"),
    "dst_port": _whole("destination port", 0, 65535, "int32"),
    "protocol": _whole("IP protocol number: 6 TCP, 17 UDP", 0, 255, "int16"),
}
_FLOW = _text("the flow's name, made of its 5-tuple")
_TRUE_CLASS = _class("true class of the flow, written by its generator", or_neither=True)
_APPLICATION = _text("what made the flow", APPLICATIONS)
_XDP_MODE = _text("XDP mode of the program on N3; empty where there is none", [*xdpmode.MODES, xdpmode.NONE])
_OF_TURN = {"arm": _text("the arm whose turn it was"), "trial": _whole("number of the trial, from 1", 1)}
_FEATURES = {
    name: _whole(
        f"feature of the {'window that closed before' if name.startswith('prev_') else 'window'}, "
        "in units of features.iat_unit; a variance in their square",
        0,
    )
    for name in FEATURES
}

PACKETS = _table(
    "packets",
    "A row is a packet seen on N3.",
    {
        "t_ns": _whole("when XDP saw the packet"),
        "iat_ns": _whole("time since the flow's previous packet; −1: the flow's first packet", -1),
        "teid": _whole("number of the tunnel", 0, 2**32 - 1),
        "qfi": _whole("QoS flow; −1: no PDU Session Container", -1, 63, "int16"),
        **_FIVE_TUPLE,
        "length_bytes": _whole("length of the inner IP packet", 0, kind="int32"),
        "tcp_flags": _whole("flags of the inner TCP header, FIN is bit 0; zero without TCP", kind="int16"),
        "tcp_window": _whole("window of the inner TCP header, unscaled; zero without TCP", kind="int32"),
        "tcp_seq": _whole("sequence number; zero without TCP"),
        "tcp_ack": _whole("acknowledgement number; zero without TCP"),
        "tcp_data_offset_bytes": _whole("length of the inner TCP header; zero without TCP", kind="int16"),
    },
)

_FLOW_COLUMNS = {
    **_FIVE_TUPLE,
    "label": _TRUE_CLASS,
    "application": _APPLICATION,
    "period_ms": _real_or_null("the flow's period; null where the application has none"),
    "payload_bytes": _real_or_null("payload of a packet; null where it varies"),
}
FLOWS = _table(
    "flows",
    "A row is a flow and its true class, written by the generator that made it or by the label of a capture.",
    {"flow": _text("the flow's name, made of its 5-tuple", unique=True), **_FLOW_COLUMNS},
)

CLOSED_WINDOWS = _table(
    "closed_windows",
    "A row is a closed window that can be classified.",
    {
        "flow": _FLOW,
        "window": _whole("number of the window on the flow's own clock, from 0", 0),
        "t_close_ns": _whole("arrival of the packet that closed it"),
        "packets": _whole("packets in the window", 1),
        **_FEATURES,
    },
)

_SIDES = ["train", "test", "unused"]
WINDOWS = _table(
    "windows",
    "A row is a closed window of the training trace.",
    {
        **CLOSED_WINDOWS.columns,
        "label": _class("true class of the flow"),
        "split_random": _text("side of the random split, the paper's", _SIDES),
        "split_grouped": _text("side of the split by flow: no flow is on both sides", _SIDES),
    },
)

DECISIONS = _table(
    "decisions",
    "A row is a classification. Its times are in the order in which they happen.",
    {
        "flow": _FLOW,
        "window": _whole("number of the window on the flow's own clock, from 0", 0),
        "packets": _whole("packets in the window when it was classified", 1),
        **_FEATURES,
        "predicted": _class("the classifier's answer"),
        "model": _whole("version of a model that can be swapped; 0: any other", 0),
        "repeats": _whole("earlier decisions that said the same and were not sent (arms -change)", 0),
        "label": _TRUE_CLASS,
        "t_packet_ns": _whole("XDP saw the packet that called for the classification"),
        "t_sent_ns": _whole("the collector sent its event to user space; in arms kernel as t_packet_ns"),
        "t_start_ns": _whole("the classifier began to work on it; in arms kernel it was parsed"),
        "t_features_ns": _whole("the features were ready, the inference began"),
        "t_label_ns": _whole("the classifier knew the class"),
        "t_delivered_ns": _whole("user space knew the class; in arms of user space as t_label_ns"),
    },
)

UPF = "upf"
"""Entity of what the UPF's CPUs did together."""
SAMPLES = _table(
    "samples",
    "A row is one second of one CPU, some CPUs or a process. Shares are of all CPUs for cpu-all, of the UPF's for upf, "
    "else of one.",
    {
        "source": _text("what was read", ["mpstat", "pidstat", "procstat", "sched_switch"]),
        "second": _whole("since the measured part began", 0, kind="int32"),
        "entity": _text("cpu-all, upf, cpu-0, cpu-1, … or a process: classifier, nginx, …"),
        "usr_pct": _real_or_null("share of time in user mode"),
        "sys_pct": _real_or_null("share of time in the kernel, without softirq"),
        "soft_pct": _real_or_null("share of time in softirq"),
        "steal_pct": _real_or_null("share of time that the hypervisor took"),
        "busy_pct": _real_or_null(
            "share of time neither idle nor stolen, from procstat, whose idle time is exact to 10 ms"
        ),
        "total_pct": _real_or_null("usr + sys + soft, as the paper adds them"),
        "context_switches_per_s": _real_or_null(
            "context switches: of the whole machine for cpu-all; of the UPF's CPUs for upf; away from the process, by "
            "sched_switch on the UPF's CPUs"
        ),
    },
)

TURN_DECISIONS = _table(
    "turn_decisions", "Decisions of several turns: their arm and trial beside them.", {**_OF_TURN, **DECISIONS.columns}
)
TURN_SAMPLES = _table(
    "turn_samples",
    "Samples of several turns: their arm and trial beside them. `second` begins anew in each turn.",
    {**_OF_TURN, **SAMPLES.columns},
)

TRIAL_FLOWS = _table(
    "trial_flows",
    "A row is a flow of a trial's traffic and its true class.",
    {"trial": _OF_TURN["trial"], "flow": _FLOW, **_FLOW_COLUMNS},
    unique=["trial", "flow"],
)

TURNS = _table(
    "turns",
    "A row is a turn of an arm. The measured part is the turn without its warm-up.",
    {
        **_OF_TURN,
        "xdp_mode": _XDP_MODE,
        "place": _whole("the turn's place in the trial's order of arms, from 0", 0),
        "start_ns": _whole("begin of the measured part"),
        "end_ns": _whole("end of the measured part"),
        "n3_rate_mbit_s": _real_or_null("rate limit of N3; null: none"),
        "idle_before_pct": _real("share of time that the machine was idle before the trial's traffic"),
        "steal_pct": _real("share of all CPUs that the hypervisor took, in the measured part"),
        "cpu_mhz": _real_or_null("clock of the CPUs, in the measured part"),
        "n3_packets": _whole("uplink packets on N3, in the measured part", 0),
        "agent_cpu_ns": _whole("time that the classifier's process had a CPU, in the measured part", 0),
        "agent_wait_ns": _whole("time that it waited for one, in the measured part", 0),
        "upf_cpus": _whole("CPUs of the UPF's own; all of the machine's where it has none", 1),
        "upf_idle_ns": _whole("time that the UPF's CPUs were idle, exactly, in the measured part", 0),
        "agent_slices": _whole("times that it got one, in the measured part", 0),
        "received": _whole("events that were read, in the whole turn", 0),
        "lost": _whole("events that were sent and never read, in the whole turn"),
        "decided_untold": _whole("decisions that were not sent (arms -change), in the whole turn", 0),
        "run_time_ns": _whole("run time of the program on N3 by the kernel's account, in the whole turn", 0),
        "run_cnt": _whole("runs of the program on N3 by the kernel's account, in the whole turn", 0),
        "noise": _text("why the turn is to be doubted; empty when it is not"),
    },
    unique=["arm", "trial"],
)

RUNGS = _table(
    "rungs",
    "A row is a video segment that a player fetched.",
    {
        "t_s": _real("since the traffic began"),
        "client": _text("the player"),
        "rung": _whole("place on the ladder, from 0, the lowest bitrate", 0, kind="int16"),
        "bitrate_mbit_s": _real("bitrate of the rung"),
        "segment": _text("the file"),
        "bytes": _whole("size of the file"),
        "duration_s": _real("how long the transfer took"),
    },
)

SWEEP = _table(
    "sweep",
    "A row is a point of the sweep: a forest of one depth and number of trees.",
    {
        "max_depth": _whole("largest depth of its trees"),
        "n_estimators": _whole("number of trees"),
        "nodes": _whole("nodes of all trees"),
        "programs": _whole("tail-called parts"),
        "status": _text("whether the kernel took it", ["loaded", "refused"]),
        "refused_reason": _text("the verifier's last line; empty when loaded"),
        "instructions": _real_or_null("BPF instructions of all parts after verification"),
        "verified_instructions": _real_or_null("instructions that the verifier walked through"),
        "jited_bytes": _real_or_null("size of the machine code"),
        "accuracy_sklearn": _real("accuracy of scikit-learn on held-out windows, a share"),
        "accuracy_user": _real("the same of the model as C in user space"),
        "accuracy_kernel": _real_or_null("the same of the model in the kernel"),
        "accuracy_majority": _real("the same of naming the larger class each time"),
        "accuracy_one_threshold": _real("the same of one threshold on one feature"),
        "test_windows": _whole("held-out windows"),
        "inference_kernel_median_ns": _real_or_null("an inference in the kernel, median"),
        "inference_kernel_p99_ns": _real_or_null("an inference in the kernel, 99th percentile"),
        "inference_user_median_ns": _real("an inference in user space, median"),
        "inference_user_p99_ns": _real("an inference in user space, 99th percentile"),
    },
)

FLOOD = _table(
    "flood",
    "A row is a flow table into which new flows of one packet were poured beside the training trace.",
    {
        "kind": _text("kind of the flow table", ["lru", "hash"]),
        "flows": _whole("flows that the table holds"),
        "flood": _whole("flows that were poured in"),
        "trace_flows": _whole("flows of the trace"),
        "evicted": _whole("flows that made room for others"),
        "table_full": _whole("packets of flows that found no room"),
        "restarts": _whole("times that a flow of the trace went on after it had been evicted", 0),
        "restarts_ideal": _whole("the same in a table that is truly LRU", 0),
        "decisions": _whole("decisions with the flood"),
        "decisions_undisturbed": _whole("decisions without the flood"),
        "unchanged": _whole("of those without the flood: made with it, too, and the same"),
    },
)

JUDGED = _table(
    "judged",
    "A row is a closed window of a scenario, and what the classifiers say of it.",
    {
        "scenario": _text("name of the scenario"),
        **CLOSED_WINDOWS.columns,
        "application": _APPLICATION,
        "label": _TRUE_CLASS,
        "forest": _class("answer of the deployed forest"),
        "one_threshold": _class("answer of one threshold on one feature"),
        "majority": _class("the class that is larger in training"),
    },
)

LOAD = _table(
    "load",
    "A row is a turn under load. The steady part is the turn without its begin and end.",
    {
        "sweep": _text("what is raised", ["rate", "flows", "period"]),
        "value": _real("packets a second, flows, or a flow's period in ms"),
        "arm": _text("the arm whose turn it was"),
        "turn": _whole("number of the arm's turn at this value, from 0", 0),
        "xdp_mode": _XDP_MODE,
        "flows": _whole("number of flows", 0),
        "wanted_packets_per_s": _real("packets a second that the schedule calls for"),
        "packets_wanted": _whole("packets that the schedule calls for, in the whole turn", 0),
        "packets_offered": _whole("packets that the generator sent in time, in the whole turn", 0),
        "packets_forwarded": _whole("packets that arrived at the data network, in the whole turn", 0),
        "events_made": _whole("events that the program on N3 made, in the whole turn", 0),
        "events_lost": _whole("events that were made and never read"),
        "decisions_expected": _real_or_null("decisions that follow from the schedule; null where none do"),
        "decisions_made": _whole("decisions that user space knows of, in the whole turn", 0),
        "upf_busy_pct": _real("share of the UPF's CPUs that was busy, whoever had them, in the steady part"),
        "thread_cpu_ns_per_packet": _real_or_null("time that the UPF's receiving thread had a CPU, in the steady part"),
        "agent_cpu_ns_per_packet": _real_or_null("time that the agent's process had a CPU, in the steady part"),
        "upf_cpu_pct": _real("both, as a share of the UPF's CPUs"),
        "program_ns": _real_or_null("a run of the program on N3 by the kernel's account"),
        "latency_p50_ns": _real_or_null("from packet arrival to class in user space, median"),
        "latency_p99_ns": _real_or_null("from packet arrival to class in user space, 99th percentile"),
    },
    unique=["sweep", "value", "arm", "turn"],
)

METRICS = _table(
    "metrics",
    "A row is one number of an arm in a trial.",
    {
        "arm": _text("the arm, or sklearn"),
        "trial": _whole("number of the trial; 0: not from a trial"),
        "metric": _text("name of the number"),
        "value": _real("the number"),
        "unit": _text("its unit"),
        "xdp_mode": _XDP_MODE,
    },
)


def empty(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A table of no rows with the schema's columns and types."""
    return typed(pd.DataFrame(columns=list(schema.columns)), schema)


def typed(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The schema's columns of `frame`, in the schema's order and types."""
    types = {name: str(column.dtype) for name, column in schema.columns.items()}
    return frame[list(types)].astype(types)
