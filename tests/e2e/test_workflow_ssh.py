"""The workflow over SSH, whole: nothing of it but the configuration's section `testbed` is another."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.e2e.workflow import CONFIG, ROOT, snakemake
from tests.testbed.machines import ADDRESSES, Testbed

from upfml.base import files, tables

POINT = "depth10-trees10"
DECIDING = ["user", "kernel-packet-perf", "kernel"]


@pytest.fixture(scope="module")
def finished(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("ssh-workflow")
    (folder / "ssh.yaml").write_text(yaml.safe_dump({"testbed": testbed.section()}))
    for words in (["all"], ["all", "--report", "results/report.html"], ["archive"]):
        done = snakemake(folder, *words, config=[*CONFIG, str(folder / "ssh.yaml")])
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    yield folder


def test_nothing_is_left_on_the_machines(finished: Path, testbed: Testbed) -> None:
    for role in ADDRESSES:
        assert not testbed.folder(role).exists()
        pids = subprocess.run(
            ["ip", "netns", "pids", f"upfssh-{role}"], capture_output=True, text=True, check=True
        ).stdout.split()
        running = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}
        assert running <= {"sshd"}
    devices = testbed.inside("upf", "ip", "link").stdout
    assert "xdp" not in devices
    assert "tbf" not in testbed.inside("ran", "tc", "qdisc", "show").stdout


def test_every_arm_was_measured_on_the_upfs_machine(finished: Path) -> None:
    batch = finished / "results/runs" / POINT / "batch-1"
    turns = files.read(batch / "turns.parquet", tables.TURNS)
    assert set(turns["arm"]) == {"none", *DECIDING}
    assert (turns["n3_packets"] > 1000).all()
    assert (turns.loc[turns["arm"] != "none", "xdp_mode"] == "native").all()
    samples = files.read(batch / "samples.parquet", tables.TURN_SAMPLES)
    watched = set(samples.loc[samples["source"] == "pidstat", "entity"])
    assert watched == {"classifier", "meter"}  # generators and players are on other machines
    decisions = files.read(batch / "decisions.parquet", tables.TURN_DECISIONS)
    assert set(decisions["arm"]) == set(DECIDING)
    assert (decisions["label"] == -1).mean() < 0.01
    within = decisions.merge(turns, on=["arm", "trial"])
    assert within["t_packet_ns"].between(within["start_ns"], within["end_ns"]).all()


@pytest.mark.parametrize("data", ["live", "replayed"])
def test_nobody_differs_from_the_reference(finished: Path, data: str) -> None:
    exactness = json.loads((finished / "results/exactness.json").read_text())
    for arm in ("kernel", "user", "native", "sklearn"):
        assert exactness[data][arm]["windows"] > 100
        assert exactness[data][arm]["feature_differences"] == exactness[data][arm]["decision_differences"] == 0


def test_provenance_names_machines_and_clocks(finished: Path) -> None:
    record = json.loads((finished / "results/capture/provenance.json").read_text())
    assert record["testbed"]["hosts"] == ADDRESSES
    start, end = record["testbed"]["clock_offsets_ns"]
    assert set(start) == set(end) == set(ADDRESSES)
    assert record["xdp_modes"] == ["native"]
    load = json.loads((finished / "results/load/provenance.json").read_text())  # written on the UPF's machine
    assert load["git_commit"] == record["git_commit"] is not None


def test_no_key_is_in_a_result_a_log_or_the_archive(finished: Path, testbed: Testbed) -> None:
    secret = "".join(testbed.key.read_text().splitlines()[1:-1])[40:80].encode()
    with zipfile.ZipFile(finished / "results/archive.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents |= {str(path): path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert len(contents) > 100
    assert [name for name, content in contents.items() if secret in content.replace(b"\n", b"")] == []


def test_the_workflow_itself_is_the_same() -> None:
    """No rule asks for the kind of test bed."""
    for rules in (ROOT / "workflow/rules").glob("*.smk"):
        assert "ssh" not in rules.read_text(), rules
