"""A host of the test bed `ssh`: a machine of its own, reached by one SSH connection, with the keeper (keeper.py) on it.

The run's files there are in a folder of their own that goes with the run:

    FOLDER/run-ID/code     this package and bpf/, so that `python -m upfml.…` there is this very code
    FOLDER/run-ID/files    the run's files, under the absolute paths that they have here
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from upfml.base import files, provenance
from upfml.base.errors import UserError
from upfml.bpf import module
from upfml.testbed.host import NO_ANSWER, NOT_FOUND, RUN_PATIENCE_S
from upfml.testbed.ssh.clocks import ClockOffset
from upfml.testbed.ssh.connection import Connection
from upfml.testbed.ssh.inventory import Machine
from upfml.testbed.ssh.remoteprocess import RemoteProcess
from upfml.testbed.ssh.remoterun import RemoteRun
from upfml.testbed.ssh.transfer import Transfer

_PACKAGE = Path(__file__).resolve().parents[2]

# `make setup` there has put BCC's headers beside its .venv; headers.py looks for them beside the code.
_LINK_HEADERS = """
import pathlib, sys
there, here = pathlib.Path(sys.prefix).with_name(".cache") / "kernel-headers", pathlib.Path(sys.argv[1])
if there.is_dir():
    here.parent.mkdir()
    here.symlink_to(there)
"""


_State = list[tuple[Path, int, int]]
"""Of a file or folder: each file in it, its size, and when it was changed (ns)."""


class RemoteHost:
    """A `Host` that is reached by SSH, between __enter__ and __exit__."""

    def __init__(self, machine: Machine) -> None:
        self.role, self.machine, self.python = machine.role, machine.address, machine.python
        self._connection = Connection(machine)
        self.name = self._connection.name
        self._transfer = Transfer(self._connection)
        self._run = RemoteRun(self._connection)
        self._folder = f"{machine.folder.rstrip('/')}/run-{self._run.ident}"
        self._sent: dict[Path, _State] = {}

    def __enter__(self) -> RemoteHost:
        """Connect, start the keeper, and bring the code.

        Raises UserError when the machine cannot be reached or made use of, or another run uses it.
        """
        try:
            self._connection.open()
            self._run.start()
            self._send_code()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that runs there, have the commands for afterwards run, and the run's folder removed."""
        try:
            self._run.end()
        finally:
            self._connection.close()

    def path(self, local: Path) -> Path:
        """As Host.path."""
        return Path(f"{self._folder}/files{local.resolve()}")

    def send(self, *local: Path) -> None:
        """As Host.send. What has not changed since it was sent is there."""
        self._run.raise_if_lost()
        now = {path: _state(path) for path in local}
        new = [path for path, state in now.items() if self._sent.get(path) != state]
        if new:
            self._transfer.put({_name(path): path for path in new}, f"{self._folder}/files")
            self._sent |= {path: now[path] for path in new}

    def fetch(self, *local: Path) -> None:
        """As Host.fetch."""
        self._run.raise_if_lost()
        if local:
            self._transfer.get([_name(path) for path in local], f"{self._folder}/files", Path("/"))

    def run(self, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """As Host.run. Raises UserError when the host cannot be reached any more."""
        words = self._words(argv)
        try:
            process = self._start(words, log_file=None, stdin=os.devnull, talks=True)
        except FileNotFoundError as error:
            return subprocess.CompletedProcess(words, NOT_FOUND, "", str(error))
        try:
            status = process.wait(RUN_PATIENCE_S)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            return subprocess.CompletedProcess(words, NO_ANSWER, "", f"{argv[0]}: no answer in {RUN_PATIENCE_S:.0f} s")
        finally:
            self._run.forget(process)
        return subprocess.CompletedProcess(words, status, *process.texts())

    def start(
        self, argv: Sequence[str | Path], *, log: Path, stdin: Path | None = None, talks: bool = False
    ) -> RemoteProcess:
        """As Host.start; may be called from any thread. Raises UserError when it cannot be started."""
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        source = None if stdin is None else str(self.path(stdin))
        try:
            return self._start(self._words(argv), log_file=log, stdin=source, talks=talks)
        except FileNotFoundError as error:
            raise UserError(
                f"cannot start a process on {self.name}: {error}", "install it there: see `snakemake provision`"
            ) from error

    def attend(self, argv: Sequence[str | Path], log: Path) -> int:
        """Run a command until it ends, not as the keeper's child but beside it: its status. It sees the whole machine.

        The keeper's PID namespace hides other processes and the kernel's threads. Nothing but the end of its standard
        input tells it that the run has ended early: it has to watch that (elsewhere.py).
        """
        self._run.raise_if_lost()
        environment = ["env", f"PYTHONPATH={self._folder}/code/workflow", "LC_ALL=C.UTF-8"]
        return self._connection.attend([*environment, *self._words(argv)], log)

    def afterwards(self, argv: Sequence[str]) -> None:
        """Have a command run when the run ends, however it ends.

        After the loss of the connection or the controller, too; if the keeper is killed, by the next run.
        """
        self._run.afterwards(argv)

    def clock_offset(self) -> ClockOffset:
        """Compare the host's clocks with this machine's."""
        return self._run.clock_offset()

    def epoch_s(self) -> float:
        """As Host.epoch_s, by `clock_offset`."""
        offset_ns = self.clock_offset().realtime_ns
        return (time.time_ns() + offset_ns) / 1e9

    def _words(self, argv: Sequence[str | Path]) -> list[str]:
        return [str(self.path(word)) if isinstance(word, Path) else word for word in argv]

    def _start(self, words: list[str], *, log_file: Path | None, stdin: str | None, talks: bool) -> RemoteProcess:
        environment = {"PYTHONPATH": f"{self._folder}/code/workflow"}
        return self._run.process(log_file, argv=words, environment=environment, stdin=stdin, talks=talks)

    def _send_code(self) -> None:
        with TemporaryDirectory() as made:
            files.write_json(provenance.commit(), Path(made, provenance.COPIED))
            code = {
                "workflow/upfml": _PACKAGE, "bpf": module.SOURCES, provenance.COPIED: Path(made, provenance.COPIED)
            }  # fmt: skip
            self._transfer.put(code, f"{self._folder}/code", leave_out="__pycache__")
        linked = self.run([self.python, "-c", _LINK_HEADERS, f"{self._folder}/code/.cache/kernel-headers"])
        if linked.returncode != 0:
            raise self._run.refused(linked.stderr.strip())


def _name(local: Path) -> str:
    """A file's name below the folder of the run's files."""
    return str(local.resolve()).lstrip("/")


def _state(local: Path) -> _State:
    found = sorted(local.rglob("*")) if local.is_dir() else [local] if local.exists() else []
    return [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in found]
