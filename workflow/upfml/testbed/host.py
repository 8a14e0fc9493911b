"""A host of the test bed, and the processes that the experiment starts on it.

The one thing that traffic, capture and classification know of a test bed: a place that has files, runs commands, and
starts processes that end with the run. `Host` says what such a place can do; `LocalHost` is this machine, or a network
namespace of it; remote.py has the machines that are reached by SSH.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

RUN_PATIENCE_S = 60.0
"""What `Host.run` waits for a command."""
NOT_FOUND, NO_ANSWER, NO_CONNECTION = 127, 124, 255
"""Status of a command that is not there, as a shell says it, of one that took too long, as timeout(1) does, and of one
that could not be tried, as ssh(1) does."""


class Process(Protocol):
    """A process that was started on a host."""

    pid: int  # on its host

    def poll(self) -> int | None:
        """Its exit status (minus the signal's number, if one ended it); None while it runs.

        Raises UserError when its host cannot be reached any more.
        """

    def wait(self, timeout_s: float | None = None) -> int:
        """Its exit status, after waiting for it. Raises TimeoutError, and UserError as `poll` does."""

    def send_signal(self, by: signal.Signals) -> None:
        """Send a signal, if it runs."""

    def tell(self, line: str) -> None:
        """Write a line to its standard input, if it still reads (see `Host.start`: talks)."""

    def hear(self, patience_s: float) -> str | None:
        """The next line of its standard output; "" when there will be none any more, None when none came in time."""


class Host(Protocol):
    """A machine of the test bed."""

    role: str
    machine: str  # the same for hosts that share CPUs, processes and files
    python: str  # the interpreter there that has this package

    def path(self, local: Path) -> Path:
        """Where a file of the run is on the host."""

    def send(self, *local: Path) -> None:
        """Copy files and folders of the run to the host, unless it has them. Raises UserError when it cannot."""

    def fetch(self, *local: Path) -> None:
        """Bring back what a process on the host has written, unless it is here. Raises UserError when it cannot."""

    def run(self, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end: its status and texts, NOT_FOUND or NO_ANSWER. A `Path` is a file of the run."""

    def start(
        self, argv: Sequence[str | Path], *, log: Path, stdin: Path | None = None, talks: bool = False
    ) -> Process:
        """Start a process; a `Path` in `argv`, and `stdin`, are files of the run.

        What it writes is appended to `log`, on this machine. One that `talks` has its standard input and output for
        `Process.tell` and `hear` instead; only its stderr is logged. It ends when the run ends, however that ends.
        Call from the main thread only: Linux ties a process's death signal to the thread that forked it.
        """

    def epoch_s(self) -> float:
        """The host's wall clock, in seconds."""


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class LocalProcess:
    """A `Process` of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        """As Process.poll."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """As Process.wait."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(str(error)) from error

    def send_signal(self, by: signal.Signals) -> None:
        """As Process.send_signal."""
        self._process.send_signal(by)

    def tell(self, line: str) -> None:
        """As Process.tell."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended, which whoever waits for it will see
            self._process.wait()

    def hear(self, patience_s: float) -> str | None:
        """As Process.hear. What talks says one line for each that it is told, so none waits in the pipe's buffer."""
        pipe = self._process.stdout
        assert pipe is not None
        poll = select.poll()  # select.select takes no descriptor above 1,023
        poll.register(pipe, select.POLLIN)
        return pipe.readline().decode() if poll.poll(1e3 * patience_s) else None


class LocalHost:
    """A `Host` that is this machine, or the network namespace `namespace` of it."""

    machine = ""
    python = sys.executable

    def __init__(self, role: str, namespace: str | None = None, cpus: Collection[int] = ()) -> None:
        """`cpus`: those that what is started here runs on; none named: those of whoever starts it."""
        self.role, self.namespace, self._cpus = role, namespace, cpus

    def path(self, local: Path) -> Path:
        """As Host.path: the same, whatever folder a process is in."""
        return local.resolve()

    def send(self, *local: Path) -> None:
        """As Host.send: it has them."""

    def fetch(self, *local: Path) -> None:
        """As Host.fetch: they are here."""

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs `argv` on this host.

        nsenter rather than `ip netns exec`, which remounts /sys and so hides bpffs.
        """
        words = [str(self.path(word)) if isinstance(word, Path) else word for word in argv]
        if self.namespace is None:
            return words
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *words]

    def run(self, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """As Host.run."""
        command = self.command(argv)
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=RUN_PATIENCE_S,
            )  # fmt: skip
        except FileNotFoundError:
            return subprocess.CompletedProcess(command, NOT_FOUND, "", f"{argv[0]}: not found")
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(
                command, NO_ANSWER, "", f"{argv[0]}: no answer in {RUN_PATIENCE_S:.0f} s"
            )

    def start(
        self, argv: Sequence[str | Path], *, log: Path, stdin: Path | None = None, talks: bool = False
    ) -> LocalProcess:
        """As Host.start."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out, (stdin or Path("/dev/null")).open("rb") as source:
            return LocalProcess(
                subprocess.Popen(
                    self.command(argv),
                    stdin=subprocess.PIPE if talks else source,
                    stdout=subprocess.PIPE if talks else out,
                    stderr=out,
                    preexec_fn=self._begin,
                )
            )

    def _begin(self) -> None:
        """Runs in the new process."""
        die_with_parent()
        if self._cpus:
            os.sched_setaffinity(0, self._cpus)

    def epoch_s(self) -> float:
        """As Host.epoch_s."""
        return time.time()


def stop(process: Process, *, grace_s: float = 3.0, by: signal.Signals = signal.SIGTERM) -> int:
    """Ask a process to end, insist after `grace_s` seconds, and return its exit status."""
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(grace_s)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
    return process.wait()
