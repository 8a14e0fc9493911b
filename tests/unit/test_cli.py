"""The program `upfml`, as a user meets it: help, version, completion, and what it says when something is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

import upfml
from upfml.cli import app

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("upfml")
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=os.environ | environment)


def test_help_comes_at_once_and_lists_every_command() -> None:
    before = os.times()
    said = program("--help").stdout
    after = os.times()
    took_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert took_s < 0.5, "CPU time: help must not import numpy and the like"
    listed = re.findall(r"^  (\w+)  +\S", said.partition("Commands:")[2].partition("Example:")[0], re.M)
    assert sorted(listed) == COMMANDS == ["fuzz", "kernels", "replay"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_it_takes(command: str) -> None:
    """The options of the example are options of the command."""
    said = program(command, "--help").stdout
    example = re.search(rf"Example:\n +upfml {command} (.*)", said)
    assert example
    for option in re.findall(r"--[a-z]+", example[1]):
        assert re.search(rf"^ .*{option}\b", said.partition("Options:")[2], re.M)


def test_commands_in_readme_and_makefile_are_there() -> None:
    for name in ("README.md", "Makefile"):
        called = re.findall(r"(?:^|`|\t)upfml (\w+)", (ROOT / name).read_text(), re.M)
        assert called
        assert set(called) <= set(COMMANDS)


def test_what_is_wrong_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="1"):
        app(["fuzz", "--packets", "1", "--corpus", str(tmp_path / "none")])
    assert re.fullmatch(r"error: there is no file .* \(remedy: .*\)\n", capsys.readouterr().err)


@pytest.mark.parametrize("words", [["replay", "a.pcap", "--model", "m", "--out", "o"], ["kernels"], ["fuzz"]])
def test_without_root(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    with pytest.raises(SystemExit, match="1"):
        app(words)
    assert re.fullmatch(r"error: BPF needs root \(remedy: .* as root.*\)\n", capsys.readouterr().err)


def test_an_unknown_option_is_status_2_and_no_traceback() -> None:
    done = program("fuzz", "--nothing")
    assert done.returncode == 2
    assert "No such option" in done.stderr and "Traceback" not in done.stderr


def test_bash_completes_commands() -> None:
    environment = {"_UPFML_COMPLETE": "complete_bash", "COMP_WORDS": "upfml re", "COMP_CWORD": "1"}
    assert program(**environment).stdout.split() == ["replay"]
    shown = program("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").stdout
    assert "complete -o default -F _upfml_completion upfml" in shown


def test_bash_completes_kernels() -> None:
    environment = {"_UPFML_COMPLETE": "complete_bash", "COMP_WORDS": "upfml kernels 6.", "COMP_CWORD": "2"}
    assert program(**environment).stdout.split() == ["6.1", "6.12"]


def test_one_version() -> None:
    assert program("--version").stdout == f"upfml {upfml.__version__}\n"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == upfml.__version__
