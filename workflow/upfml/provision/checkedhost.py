"""A host as the checks see it: a way to run a command there, and the checks that it has to pass."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from upfml.provision.finding import Finding, Verdict
from upfml.testbed.host import NO_ANSWER, NOT_FOUND, RUN_PATIENCE_S

Runner = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
"""Runs a command on a host. Returns its status (127, as in a shell: no such command) and what it printed."""

SET_UP = "run `make setup` as root"


def run_here(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The Runner for this machine."""
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=RUN_PATIENCE_S
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, NOT_FOUND, "", f"{argv[0]}: not found")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, NO_ANSWER, "", f"{argv[0]}: no answer in {RUN_PATIENCE_S:.0f} s")


@dataclass(frozen=True)
class CheckedHost:
    """One host. The first check is whether it answers. If it does not, the other checks are left out."""

    name: str
    run: Runner
    checks: Sequence[Check] = ()
    python: str = sys.executable

    def findings(self) -> Iterator[Finding]:
        """What each check finds."""
        answer = self.run(["true"])
        if answer.returncode != 0:
            found, _, remedy = answer.stderr.strip().partition("\n  remedy: ")
            found = found or f"status {answer.returncode}"
            yield self.finding("runs commands", found, "yes", False, remedy or "repair the connection to that host")
            return
        for check in self.checks:
            yield from check(self)

    def through(self, run: Runner) -> CheckedHost:
        """The same host, whose commands `run` runs."""
        return replace(self, run=run)

    def finding(
        self, check: str, found: str, wanted: str, ok: bool, remedy: str, otherwise: Verdict = "failed"
    ) -> Finding:
        """A finding that is ok or `otherwise`."""
        return Finding(self.name, check, found, wanted, "ok" if ok else otherwise, "" if ok else remedy)

    def ask(self, *argv: str) -> str | None:
        """What a command prints, stripped; None when it fails."""
        done = self.run(argv)
        return done.stdout.strip() if done.returncode == 0 else None

    def ask_json(self, *argv: str) -> Any:
        """The JSON that a command prints; None when it fails or prints something else."""
        try:
            return json.loads(self.ask(*argv) or "")
        except ValueError:
            return None


Check = Callable[[CheckedHost], Iterator[Finding]]
