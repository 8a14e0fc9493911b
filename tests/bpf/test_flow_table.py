"""The flow table: two CPUs on one flow, and more flows than there is room for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.bpf.test_classify import DEFINITION, Classifier, new_flow
from tests.forests import converted, noisy_forest

from upfml.base import tables
from upfml.base.flowkey import UDP
from upfml.bpf.testrun import TestRun
from upfml.studies import flood

_PACKETS = 1_000_000  # on each CPU
_MS = 1_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=3, depth=5), tmp_path_factory.mktemp("model"))


def on_two_cpus(work: Callable[[], object]) -> None:
    """Do it on two CPUs at the same time."""

    def pinned(cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})  # of this thread
        work()

    threads = [threading.Thread(target=pinned, args=(cpu,)) for cpu in sorted(os.sched_getaffinity(0))[:2]]
    assert len(threads) == 2, "needs two CPUs"
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def packets_counted(classifier: Classifier) -> int:
    """Packets of a window in its decision, after two CPUs put _PACKETS each into it at the same time.

    And those that waited in vain for the other CPU, which a virtual machine can stop for longer than they wait.
    """
    frame, program = new_flow(), classifier.programs[0]
    assert len(classifier(frame, [1_000 * _MS, 1_100 * _MS, 2_000 * _MS])) == 0
    on_two_cpus(lambda: TestRun(program)(frame, 2_000 * _MS, times=_PACKETS))
    (decision,) = classifier(frame, [3_000 * _MS])
    return int(decision["packets"]) - 1 + classifier.module.counters()["flow_busy"]  # less the one that opened it


def test_two_cpus_on_one_flow_count_every_packet(model: Path) -> None:
    classifier = Classifier(model, "window")
    assert packets_counted(classifier) == 2 * _PACKETS
    assert classifier.module.counters()["flow_busy"] < _PACKETS / 10


def test_without_the_lock_two_cpus_lose_packets(model: Path) -> None:
    """That the test above can fail."""
    assert packets_counted(Classifier(model, "window", also=["FLOW_UNLOCKED"])) < 2 * _PACKETS


def steady_trace(flows: int = 20, seconds: int = 5) -> pd.DataFrame:
    """A packets table of flows that send every 10 ms, more or less."""
    random = np.random.default_rng(0)
    rows = []
    for port in range(flows):
        times = 10**12 + np.cumsum(random.integers(8 * _MS, 12 * _MS, 100 * seconds))
        rows.append(pd.DataFrame({"t_ns": times, "iat_ns": np.diff(times, prepend=times[0] + 1), "src_port": port}))
    packets = pd.concat(rows).sort_values("t_ns", ignore_index=True)
    packets = packets.assign(src="10.60.0.1", dst="10.70.0.1", dst_port=5_001, protocol=UDP, length_bytes=60)
    return tables.typed(packets.reindex(columns=list(tables.PACKETS.columns), fill_value=0), tables.PACKETS)


def test_a_flood_does_not_disturb_flows_that_keep_sending(model: Path) -> None:
    poured = 1_000_000
    rows = flood.study(steady_trace(), model, DEFINITION, seed=1, flood=poured, sizes=[1_024, 65_536]).set_index(
        ["kind", "flows"]
    )
    assert (rows["decisions_undisturbed"] > 100).all()
    lru = rows.loc["lru"]
    # A table that is truly LRU would keep them all in 65,536 entries: 10 ms bring 2,000 flows.
    assert lru.loc[65_536, "restarts"] == lru.loc[65_536, "restarts_ideal"] == 0
    assert lru.loc[65_536, "unchanged"] == lru.loc[65_536, "decisions_undisturbed"]
    assert (lru["restarts"] <= lru["restarts_ideal"]).all()
    assert (lru["evicted"] >= poured + 20 - lru.index).all()
    assert (lru["table_full"] == 0).all()
    refused = rows.loc["hash"]
    assert (refused["evicted"] == 0).all()
    assert (refused["table_full"] >= poured - refused.index).all()


def test_an_ideal_lru_forgets_the_longest_silent() -> None:
    trace = [0, 1, -1, 0, -1, 1, 0]  # 1 is the longest silent when the second flow of the flood comes
    assert flood.ideal_restarts(np.array(trace), size=3) == 1
    assert flood.ideal_restarts(np.array(trace), size=4) == 0
