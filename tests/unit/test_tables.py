"""Tables are whole, and checked on both sides."""

from __future__ import annotations

import errno
import ipaddress
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.base.flowkey import TCP, UDP, flow_id
from upfml.bpf import events


def flow_key(src: str, src_port: int, dst: str, dst_port: int, protocol: int) -> bytes:
    """The 40 bytes of a flow key: the inverse of events.five_tuple."""
    key = np.zeros(1, events.FLOW_KEY)
    for field, text in (("saddr", src), ("daddr", dst)):
        address = ipaddress.ip_address(text)
        raw = address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
        key[field] = np.void(raw)
    key["sport"], key["dport"], key["protocol"] = src_port, dst_port, protocol
    return key.tobytes()


def test_every_schema_has_an_empty_table(tmp_path: Path) -> None:
    schemas = [value for value in vars(tables).values() if isinstance(value, pa.DataFrameSchema)]
    assert len(schemas) == 16
    for schema in schemas:
        path = tmp_path / f"{schema.name}.parquet"
        files.write(tables.empty(schema), path, schema)
        assert list(files.read(path, schema).columns) == list(schema.columns)


def test_wrong_rows_are_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.parquet"
    wrong = pd.DataFrame({"arm": ["kernel"]})
    with pytest.raises(UserError, match="metrics"):
        files.write(wrong, path, tables.METRICS)
    assert list(tmp_path.iterdir()) == []
    wrong.to_parquet(path)
    with pytest.raises(UserError, match="metrics"):
        files.read(path, tables.METRICS)


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sweep.parquet"
    files.write(tables.empty(tables.SWEEP), path, tables.SWEEP)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"sweep\.parquet"):
        files.read(path, tables.SWEEP)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_json({"old": True}, path)
    with pytest.raises(UserError, match="No space left"), files.whole_file(path) as partial:
        partial.write_text("{")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert files.read_json(path) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "five_tuple", [("10.60.0.1", 80, "10.70.0.1", 41_000, TCP), ("2001:db8::1", 0, "fe80::2", 65_535, UDP)]
)
def test_flow_keys_and_names(five_tuple: tuple[str, int, str, int, int]) -> None:
    key = flow_key(*five_tuple)
    assert len(key) == events.FLOW_KEY.itemsize
    assert events.five_tuple(key) == five_tuple
    assert events.flow_name(key) == flow_id(*five_tuple)


def test_packet_events_become_rows() -> None:
    raw = np.zeros(3, events.PACKET_EVENT)
    keys = [
        flow_key("10.60.0.1", 80, "10.70.0.1", port, TCP) for port in (41_000, 256, 41_000)
    ]  # 256: a key whose last bytes are zero
    raw["key"] = np.frombuffer(b"".join(keys), events.FLOW_KEY)
    raw["iat_ns"], raw["qfi"], raw["teid"] = [-1, -1, 7], 9, 2**32 - 1
    rows = tables.PACKETS.validate(events.packets_table(raw))
    assert rows["dst_port"].tolist() == [41_000, 256, 41_000]
    assert rows["iat_ns"].tolist() == [-1, -1, 7]
    assert set(rows["src"]) == {"10.60.0.1"}
