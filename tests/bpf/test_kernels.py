"""The kernel matrix: one of Debian's kernels in QEMU for real, and that what goes wrong there is found and said."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.forests import converted, noisy_forest
from tests.waiting import until

from upfml.base.errors import UserError
from upfml.bpf import testrun
from upfml.bpf.flowtable import FlowTable
from upfml.checks.kernels import images, judge, machine, matrix
from upfml.checks.kernels.plan import Plan
from upfml.cli import app
from upfml.model.synthetic import trace
from upfml.packets.features import Definition
from upfml.reference.forest import Forest
from upfml.replay import feed
from upfml.studies import exactness

TARGETS = (
    "http://mirror/debian bookworm\nhttp://mirror/debian bookworm-updates\nhttp://mirror/security bookworm-security\n"
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(tmp_path_factory.mktemp("plan"), short=True, old=False)


@pytest.fixture(scope="module")
def reported(plan: Plan) -> dict[str, Any]:
    """What the running kernel says of the plan."""
    (plan.folder / "tests.json").write_text("[]")
    subprocess.run([sys.executable, "-m", "upfml.checks.kernels.guest", plan.folder], check=True, timeout=120)
    return json.loads((plan.folder / "guest/result.json").read_text())


def kernels(*words: str) -> int:
    """The command's exit status."""
    with pytest.raises(SystemExit) as ended:
        app(["kernels", *words])
    return int(ended.value.code or 0)


def test_debians_6_1_loads_every_program_and_decides_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels("6.1", "--short", "-o", str(tmp_path / "kernels.json")) == 0
    found = json.loads((tmp_path / "kernels.json").read_text())["kernels"]
    assert found["6.1"]["release"].startswith("6.1.")
    assert (found["6.1"]["loaded"], found["6.1"]["refused"], found["6.1"]["differences"]) == (8, 0, 0)
    assert found["6.1"]["windows_compared"] == found["running"]["windows_compared"] > 1_000
    assert found["6.1"]["abilities"]["xdp_native"]["passed"]
    assert found["6.1"]["release"] in capsys.readouterr().out
    assert not (images.IMAGES / "run").exists()


def test_time_in_front_of_a_packet_gives_the_same_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forest, definition = noisy_forest(trees=3, depth=5), Definition(500_000_000, 1_000)
    monkeypatch.setattr(testrun, "takes_metadata", lambda: False)
    packets, model = trace(), converted(forest, tmp_path, engine="inline")
    decisions, (program, *_), _ = feed.classify(packets, model, definition, "window", FlowTable())
    assert program.time_in_front
    wanted = exactness.expected(packets, definition, "window", Forest(forest, "soft"))
    counted = exactness.differences(wanted, decisions)
    assert (counted["feature_differences"], counted["decision_differences"]) == (0, 0)
    assert counted["windows"] > 400


def test_the_running_kernel_takes_metadata() -> None:
    assert testrun.takes_metadata()
    assert testrun.replay_defines() == {"REPLAY_CLOCK": None}


def test_nothing_is_wrong_with_the_running_kernel(plan: Plan, reported: dict[str, Any]) -> None:
    judged = judge.judge("running", reported, plan)
    assert judged["problems"] == []
    assert judged["differences"] == 0
    assert judge.judge("6.1", reported, plan, judged)["problems"] == []


def test_a_decision_that_differs_is_a_problem(plan: Plan, reported: dict[str, Any]) -> None:
    before = judge.judge("running", reported, plan)
    events = plan.folder / "guest/classify-table-ring-lru.npy"
    sent = np.load(events)
    other = sent.copy()
    other["predicted"][7] ^= 1
    np.save(events, other)
    try:
        judged = judge.judge("6.1", reported, plan, before)
    finally:
        np.save(events, sent)
    assert judged["differences"] == 1
    assert judged["problems"] == [
        "classify table ring lru: 1 differences, 0 events lost",
        "classify table ring lru: decisions_sha256 differs from the running kernel's",
    ]


@pytest.mark.parametrize(
    ("kernel", "reason", "second", "problems"),
    [
        ("5.10", "BPF_STX uses reserved fields; processed 0 insns", True, []),
        ("5.10", "another", True, ["refused: another"]),
        ("6.1", "BPF_STX uses reserved fields", True, ["refused: BPF_STX uses reserved fields"]),
        ("5.10", "BPF_STX uses reserved fields", False, ["refused without the lock, too: none"]),
    ],
)
def test_a_refusal_is_a_problem_unless_it_is_expected(
    plan: Plan, reported: dict[str, Any], kernel: str, reason: str, second: bool, problems: list[str]
) -> None:
    name, result = "classify inline ring lru", copy.deepcopy(reported)
    loaded = result["subjects"][name]["file"]
    result["subjects"][name] = {
        "file": {"loaded": False, "reason": reason},
        "old": loaded if second else {"loaded": False, "reason": "none"},
    }
    judged = judge.judge(kernel, result, plan)
    assert judged["problems"] == [f"{name}: {problem}" for problem in problems]
    assert judged["subjects"][name]["outcome"] == ("without lock" if second else "refused")


def test_a_subject_that_is_missing_is_a_problem(plan: Plan, reported: dict[str, Any]) -> None:
    judged = judge.judge("6.1", reported | {"subjects": {}}, plan)
    assert len(judged["problems"]) == len(plan.subjects)


def test_an_ability_that_is_missing_is_a_problem_unless_the_kernel_cannot(plan: Plan, reported: dict[str, Any]) -> None:
    failing = copy.deepcopy(reported)
    failing["abilities"]["test_run"] |= {"passed": False, "found": "Invalid argument"}
    assert judge.judge("6.1", failing, plan)["problems"] == ["ability test_run: Invalid argument"]
    failing["abilities"]["veth"] |= {"passed": False, "found": "no veth"}
    problems = judge.judge("5.10", failing, plan)["problems"]
    assert "ability veth: no veth" in problems and not any("test_run" in problem for problem in problems)


def test_code_that_could_not_be_compared_is_no_problem_other_code_is(plan: Plan, reported: dict[str, Any]) -> None:
    assert judge.judge("6.1", reported | {"bcc_same_code": None}, plan)["problems"] == []
    (problem,) = judge.judge("6.1", reported | {"bcc_same_code": False}, plan)["problems"]
    assert "BCC makes other code" in problem


def test_a_test_that_fails_is_a_problem(plan: Plan, reported: dict[str, Any]) -> None:
    judged = judge.judge("6.1", reported | {"tests": {"passed": False, "summary": "1 failed"}}, plan)
    assert judged["problems"] == ["tests: 1 failed"]


def test_problems_are_printed_and_make_the_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = {
        "release": "6.1.0",
        **dict.fromkeys(("loaded", "without_lock", "refused", "windows_compared", "packets_compared"), 0),
        "differences": 1,
        "problems": ["1 differences"],
    }
    monkeypatch.setattr(matrix, "matrix", lambda *_, **__: {"kernels": {"6.1": kernel}})
    assert kernels("6.1", "-o", str(tmp_path / "kernels.json")) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "6.1: 1 differences"


def test_an_unknown_kernel_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels("2.6") == 2
    assert "no such kernel: 2.6; there are 5.10, 6.1, 6.12" in capsys.readouterr().err


def test_two_at_a_time_are_refused() -> None:
    with matrix.own_folder(), pytest.raises(UserError, match="already"), matrix.own_folder():
        pass


# What boots nothing: a stand-in for QEMU.


@pytest.fixture
def image(tmp_path: Path) -> images.KernelImage:
    folder = tmp_path / "6.1"
    (folder / "modules").mkdir(parents=True)
    (folder / "vmlinuz").touch()
    return images.KernelImage("6.1", folder)


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A share for a guest; QEMU is a shell script."""
    qemu = tmp_path / "qemu"
    qemu.write_text(f"#!/bin/sh\n{script}\n")
    qemu.chmod(0o755)
    monkeypatch.setattr(machine, "QEMU", str(qemu))
    share = tmp_path / "share"
    share.mkdir()
    return share


def test_a_guest_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: images.KernelImage
) -> None:
    said: list[str] = []
    share = stand_in(tmp_path, monkeypatch, "echo upfml: booted; echo a last word; exec sleep 60")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"did not end within 1 s; its last output: upfml: booted \| a last word"):
        machine.run(image, "upfml.checks.kernels.guest", share, said.append, patience_s=1)
    assert time.monotonic() - began < 10
    assert said == ["6.1: booted after 0 s"]


def test_a_guest_is_heard_by_one_who_has_many_files_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: images.KernelImage
) -> None:
    share = stand_in(tmp_path, monkeypatch, "echo upfml: loaded all")
    with ExitStack() as stack:
        for _ in range(1_100):
            stack.enter_context(Path("/dev/null").open())
        said: list[str] = []
        machine.run(image, "upfml.checks.kernels.guest", share, said.append, patience_s=10)
    assert said == ["6.1: loaded all"]


def test_a_guest_that_says_nothing_more_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: images.KernelImage
) -> None:
    share = stand_in(tmp_path, monkeypatch, "echo upfml: loaded all; echo Kernel panic")
    said: list[str] = []
    machine.run(image, "upfml.checks.kernels.guest", share, said.append, patience_s=10)
    assert said == ["6.1: loaded all"]
    assert "Kernel panic" in machine.last_words(image)
    assert list(share.iterdir()) == []


def test_qemu_ends_with_who_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: images.KernelImage
) -> None:
    share = stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    script = f"""
from pathlib import Path
from upfml.checks.kernels import images, machine
machine.QEMU = {str(tmp_path / "qemu")!r}
machine.run(images.KernelImage("6.1", Path({str(image.folder)!r})), "none", Path({str(share)!r}), print)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as run:
        pid = until(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else "", 60)
        assert pid
        run.kill()
    assert until(lambda: not Path(f"/proc/{pid.strip()}").exists(), 60)


def test_missing_qemu_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: images.KernelImage) -> None:
    monkeypatch.setattr(machine, "QEMU", "qemu-of-nobody")
    with pytest.raises(UserError, match="qemu-of-nobody is not there"):
        machine.run(image, "upfml.checks.kernels.guest", tmp_path, print)


# Images


def test_sources_are_the_machines_own_with_another_suite() -> None:
    assert images.sources("5.10", TARGETS) == (
        "deb http://mirror/debian bullseye main\ndeb http://mirror/security bullseye-security main\n"
    )
    assert images.sources("6.12", TARGETS) == "deb http://mirror/debian bookworm-backports main\n"


def test_a_third_partys_source_is_not_debians() -> None:
    others = "https://third.example/debian bookworm-pgdg\nhttps://third.example/linux bookworm\n"
    assert images.sources("6.12", others + TARGETS) == "deb http://mirror/debian bookworm-backports main\n"


def test_a_machine_without_sources_is_told() -> None:
    with pytest.raises(UserError, match="apt has no source"):
        images.sources("6.1", "")


def test_an_image_that_cannot_be_had_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "IMAGES", tmp_path / "kernels")
    monkeypatch.setattr(images, "SUITES", {"6.1": ("no-such-suite",)})
    monkeypatch.setattr(images, "sources", lambda *_: f"deb file:{tmp_path}/nowhere no-such-suite main\n")
    with pytest.raises(UserError, match=r"6\.1: `apt-"):
        images.get("6.1", print)
    assert list((tmp_path / "kernels").iterdir()) == []


def test_a_missing_file_of_the_plan_is_no_silence(plan: Plan, tmp_path: Path) -> None:
    shutil.copytree(plan.folder, tmp_path / "plan", ignore=shutil.ignore_patterns("guest", "upf.json"))
    done = subprocess.run(
        [sys.executable, "-m", "upfml.checks.kernels.guest", tmp_path / "plan"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert not (tmp_path / "plan/guest/result.json").exists()
