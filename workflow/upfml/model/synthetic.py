"""Made-up packets and forests, from a seed: what programs are tried on where no real traffic is needed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.base.flowkey import TCP, UDP
from upfml.model.kinds import TreeModel, round_shares, untrained

_MS = 1_000_000


def trace(flows: int = 30, packets: int = 600) -> pd.DataFrame:
    """A packets table of flows of many kinds: steady, bursty, with pauses of seconds, over IPv4 and IPv6."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(flows):
        gaps = random.gamma(*[(100, 0.1), (1, 10), (0.1, 100)][number % 3], packets) * _MS
        gaps[random.random(packets) < 0.01] = 3_000 * _MS
        times = 10**12 + np.cumsum(gaps).astype("int64")
        flow = pd.DataFrame({"t_ns": times, "iat_ns": np.diff(times, prepend=times[0] + 1), "src_port": number})
        src, dst = ("10.60.0.1", "10.70.0.1") if number % 5 else ("2001:db8::1", "2001:db8::2")
        rows.append(flow.assign(src=src, dst=dst, protocol=(UDP, TCP)[number % 2], length_bytes=100))
    packets_table = pd.concat(rows).sort_values("t_ns", kind="stable", ignore_index=True)
    return tables.typed(packets_table.reindex(columns=list(tables.PACKETS.columns), fill_value=0), tables.PACKETS)


def noisy_forest(*, trees: int, depth: int, rows: int = 3_000, seed: int = 0) -> TreeModel:
    """A forest on features of the size that windows have (times up to 50 ms in us, variances to match)."""
    random = np.random.default_rng(seed)
    bounds = [10**9 if name.endswith("_var") else 50_000 for name in tables.FEATURES]
    features = random.integers(0, bounds, (rows, len(bounds)))
    forest = untrained("random_forest", n_estimators=trees, max_depth=depth, min_samples_leaf=5, seed=seed)
    return round_shares(forest.fit(features, random.integers(0, 2, rows)))
