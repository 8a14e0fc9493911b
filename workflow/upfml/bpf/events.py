"""What the kernel sends to user space, as numpy types; the C side is bpf/include/events.h.

The C compiler compares both, member by member, whenever it compiles a program with them (base/layout.py).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd

from upfml.base import layout, tables
from upfml.base.flowkey import FIVE_TUPLE, flow_id

FLOW_KEY = np.dtype(
    [
        ("saddr", "V16"),  # network order, IPv4 addresses IPv4-mapped
        ("daddr", "V16"),
        ("sport", "<u2"),
        ("dport", "<u2"),
        ("protocol", "u1"),
        ("zero", "V3"),
    ]
)

PACKET_EVENT = np.dtype(
    [
        ("key", FLOW_KEY),
        ("t_ns", "<u8"),
        ("t_sent_ns", "<u8"),
        ("iat_ns", "<i8"),
        ("teid", "<u4"),
        ("length_bytes", "<u4"),
        ("tcp_seq", "<u4"),
        ("tcp_ack", "<u4"),
        ("tcp_window", "<u2"),
        ("qfi", "<i2"),
        ("tcp_flags", "u1"),
        ("tcp_data_offset_bytes", "u1"),
        ("zero", "V2"),
    ],
    align=True,
)

FEATURES = np.dtype([(name, "<i8") for name in tables.FEATURES])

DECISION_EVENT = np.dtype(
    [
        ("key", FLOW_KEY),
        ("window", "<u8"),
        ("features", FEATURES),
        ("t_packet_ns", "<u8"),
        ("t_start_ns", "<u8"),
        ("t_features_ns", "<u8"),
        ("t_label_ns", "<u8"),
        ("packets", "<u4"),
        ("predicted", "<i4"),
        ("untold", "<u4"),
        ("model", "<u4"),
    ],
    align=True,
)

MIRRORS: layout.Mirrors = {"packet_event": PACKET_EVENT, "decision_event": DECISION_EVENT}


def _address(raw: bytes) -> str:
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)


@lru_cache(maxsize=1 << 16)
def five_tuple(key: bytes) -> tuple[str, int, str, int, int]:
    """(src, src_port, dst, dst_port, protocol) of a flow key's 40 bytes."""
    fields = np.frombuffer(key, FLOW_KEY, count=1)[0]
    return (
        _address(fields["saddr"].tobytes()),
        int(fields["sport"]),
        _address(fields["daddr"].tobytes()),
        int(fields["dport"]),
        int(fields["protocol"]),
    )


def flow_name(key: bytes) -> str:
    """flowkey.flow_id of a flow key's 40 bytes."""
    return flow_id(*five_tuple(key))


def _by_flow(events: np.ndarray) -> tuple[np.ndarray, list[bytes]]:
    """For each event the index of its flow, and the flows' keys."""
    # A key is five words; two words' numbers at a time make one, by hashing, which is faster than sorting keys.
    index = np.zeros(len(events), np.int64)
    for word in np.ascontiguousarray(events["key"]).view("<u8").reshape(-1, FLOW_KEY.itemsize // 8).T:
        index, _ = pd.factorize(index << 32 | pd.factorize(word)[0])
    _, first = np.unique(index, return_index=True)
    return index, [key.tobytes() for key in events["key"][first]]


def packets_table(events: np.ndarray) -> pd.DataFrame:
    """Packet events (shape (n,), PACKET_EVENT) as rows of the packets table."""
    index, keys = _by_flow(events)
    tuples = pd.DataFrame([five_tuple(key) for key in keys], columns=FIVE_TUPLE).astype({"src": "str", "dst": "str"})
    rows = tuples.iloc[index].reset_index(drop=True)
    for name in tables.PACKETS.columns:
        if name not in rows:
            rows[name] = events[name]
    return tables.typed(rows, tables.PACKETS)


def decisions_table(
    events: np.ndarray, t_delivered_ns: np.ndarray, untold_after: Mapping[bytes, int] | None = None
) -> pd.DataFrame:
    """Decision events (shape (n,)) and the times at which user space got them, as rows of the decisions table.

    An event says how many decisions before it were not sent, as they changed nothing; `untold_after` says it of those
    after a flow's last event, by flow key. The true class is not known here: `label` is -1.
    """
    index, keys = _by_flow(events)
    names = pd.Series([flow_name(key) for key in keys], dtype="str")
    rows = pd.DataFrame({"flow": names.iloc[index].reset_index(drop=True)})
    same = ["window", "packets", "predicted", "model", "t_packet_ns", "t_start_ns", "t_features_ns", "t_label_ns"]
    rows = rows.assign(**{name: events[name] for name in same})
    rows = rows.assign(**{name: events["features"][name] for name in tables.FEATURES})
    last = np.array([(untold_after or {}).get(key, 0) for key in keys], np.int64)
    before_next = pd.Series(events["untold"].astype(np.int64)).groupby(index).shift(-1)
    rows["repeats"] = before_next.fillna(pd.Series(last[index])).astype(np.int64)
    rows["label"] = -1
    rows["t_sent_ns"] = rows["t_packet_ns"]
    rows["t_delivered_ns"] = t_delivered_ns
    return tables.typed(rows, tables.DECISIONS)
