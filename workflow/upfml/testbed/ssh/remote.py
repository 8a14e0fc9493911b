"""A host of the test bed `ssh`: a machine of its own, reached by one SSH connection, with the keeper (keeper.py) on it.

The run's files there are in a folder of their own that goes with the run:

    FOLDER/run-ID/code     this package and bpf/, so that `python -m upfml.…` there is this very code
    FOLDER/run-ID/files    the run's files, under the absolute paths that they have here
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import itertools
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import asyncssh

from upfml.base import files, provenance
from upfml.base.errors import UserError
from upfml.bpf import module
from upfml.testbed.host import NO_ANSWER, NOT_FOUND, RUN_PATIENCE_S
from upfml.testbed.ssh import keeper
from upfml.testbed.ssh.connection import Connection
from upfml.testbed.ssh.inventory import Machine

log = logging.getLogger(__name__)

BEAT_S = 2.0
READY_PATIENCE_S = 60.0
"""For the keeper's first word: it clears up after killed runs first."""
ANSWER_PATIENCE_S = 15.0
END_PATIENCE_S = 10.0
CLOCK_ROUND_TRIPS = 20
_PACKAGE = Path(__file__).resolve().parents[2]

# The keeper comes by standard input: no folder for it is there yet, and a command line is no place for a program.
_BOOTSTRAP = """
import os, sys
source = b""
while len(source) < int(sys.argv[-1]):
    source += os.read(0, int(sys.argv[-1]) - len(source)) or sys.exit("the keeper did not come")
exec(compile(source, "keeper.py", "exec"))
"""
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


@dataclass(frozen=True)
class ClockOffset:
    """How far a host's clocks are ahead of this machine's, in nanoseconds, give or take `uncertainty_ns`."""

    realtime_ns: int
    monotonic_ns: int
    uncertainty_ns: int


class RemoteProcess:
    """A `Process` on a remote host. `pid` is what it is for the other processes of the run there."""

    pid = 0

    def __init__(self, host: RemoteHost, ident: int, log_file: Path | None) -> None:
        self._host = host
        self._ident = ident
        self._log_file = log_file
        self._status: int | None = None
        self._said: deque[str] = deque()  # lines
        self._begun: list[str] = []  # parts of the next one
        self._logged: list[str] = []
        self._unwritten: OSError | None = None

    def poll(self) -> int | None:
        """As Process.poll."""
        with self._host.news:
            self._raise_if_unwritten()
            if self._status is None:
                self._host.raise_if_lost()
            return self._status

    def wait(self, timeout_s: float | None = None) -> int:
        """As Process.wait."""
        with self._host.news:
            self._host.news.wait_for(lambda: self._status is not None or self._host.is_lost(), timeout_s)
            status = self.poll()
        if status is None:
            raise TimeoutError(f"process {self.pid} on {self._host.name} runs after {timeout_s} s")
        return status

    def send_signal(self, by: signal.Signals) -> None:
        """As Process.send_signal."""
        if self.poll() is None:
            self._host.request("signal", ident=self._ident, by=int(by))

    def tell(self, line: str) -> None:
        """As Process.tell."""
        if self.poll() is None:
            self._host.request("tell", ident=self._ident, line=line)

    def hear(self, patience_s: float) -> str | None:
        """As Process.hear. There will be no more lines when the process has ended."""
        with self._host.news:
            self._host.news.wait_for(
                lambda: self._said or self._status is not None or self._host.is_lost(), max(0.0, patience_s)
            )
            if self._said:
                return _readable(self._said.popleft())
            return None if self.poll() is None else ""

    def texts(self) -> tuple[str, str]:
        """What it has said, and what it has logged where it has no log file."""
        with self._host.news:
            return _readable("".join(self._said)), _readable("".join(self._logged))

    def on_event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take what the keeper tells of it. Called with the host's `news` held."""
        if event == "said":
            *lines, rest = fields["text"].split("\n")
            for line in lines:
                self._said.append("".join([*self._begun, line, "\n"]))
                self._begun = []
            self._begun.append(rest)
        elif event == "exit":
            self._status = fields["status"]
            if last := "".join(self._begun):
                self._said.append(last)
        elif self._log_file is None:
            self._logged.append(fields["text"])
        else:
            try:
                with self._log_file.open("ab") as file:
                    file.write(fields["text"].encode("utf-8", "surrogateescape"))
            except OSError as error:
                self._unwritten = error

    def on_end(self) -> None:
        """The run there is over: what had not ended has been killed."""
        if self._status is None:
            self._status = -signal.SIGKILL

    def _raise_if_unwritten(self) -> None:
        if self._unwritten is not None:
            raise UserError(
                f"cannot write {self._log_file}: {self._unwritten.strerror}", "free space or mend permissions"
            ) from self._unwritten


class RemoteHost:
    """A `Host` that is reached by SSH, between __enter__ and __exit__."""

    def __init__(self, machine: Machine) -> None:
        self.role, self.machine, self.python = machine.role, machine.address, machine.python
        self.news = threading.Condition()
        self._described = machine
        self._connection = Connection(machine)
        self.name = self._connection.name
        run = secrets.token_hex(4)
        self._run = run
        self._folder = f"{machine.folder.rstrip('/')}/run-{run}"
        self._numbers = itertools.count(1)
        self._processes: dict[int, RemoteProcess] = {}
        self._sent: dict[Path, _State] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._session: _KeeperSession | None = None
        self._beats: asyncio.Task[None] | None = None
        self._lost: UserError | None = None

    def __enter__(self) -> RemoteHost:
        """Connect, start the keeper, and bring the code.

        Raises UserError when the machine cannot be reached or made use of, or another run uses it.
        """
        try:
            self._connection.open()
            self._connection.call(self._start_keeper())
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
            if self._channel is not None:
                with contextlib.suppress(UserError):  # the connection is lost: the keeper ends by itself
                    self._connection.call(self._end_keeper())
        finally:
            self._connection.close()

    def path(self, local: Path) -> Path:
        """As Host.path."""
        return Path(f"{self._folder}/files{local.resolve()}")

    def send(self, *local: Path) -> None:
        """As Host.send. What has not changed since it was sent is there."""
        self.raise_if_lost()
        now = {path: _state(path) for path in local}
        new = [path for path, state in now.items() if self._sent.get(path) != state]
        if new:
            self._connection.put({_name(path): path for path in new}, f"{self._folder}/files")
            self._sent |= {path: now[path] for path in new}

    def fetch(self, *local: Path) -> None:
        """As Host.fetch."""
        self.raise_if_lost()
        if local:
            self._connection.get([_name(path) for path in local], f"{self._folder}/files", Path("/"))

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
            self._forget(process)
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
        self.raise_if_lost()
        environment = ["env", f"PYTHONPATH={self._folder}/code/workflow", "LC_ALL=C.UTF-8"]
        return self._connection.attend([*environment, *self._words(argv)], log)

    def afterwards(self, argv: Sequence[str]) -> None:
        """Have a command run when the run ends, however it ends.

        After the loss of the connection or the controller, too; if the keeper is killed, by the next run.
        """
        self.raise_if_lost()
        answer = self._connection.call(self._ask("afterwards", argv=list(argv)))
        if answer["event"] == "failed":
            raise self._refused(answer["reason"])

    def clock_offset(self) -> ClockOffset:
        """Compare the host's clocks with this machine's.

        Cristian's algorithm (1989): the host's answer is taken for the middle of a round trip, the shortest of
        CLOCK_ROUND_TRIPS; so it is off by half of that at most.
        """
        self.raise_if_lost()
        return self._connection.call(self._compare_clocks())

    def epoch_s(self) -> float:
        """As Host.epoch_s, by `clock_offset`."""
        offset_ns = self.clock_offset().realtime_ns
        return (time.time_ns() + offset_ns) / 1e9

    def is_lost(self) -> bool:
        """Whether the keeper cannot be reached any more."""
        return self._lost is not None

    def raise_if_lost(self) -> None:
        """Raise UserError when the keeper cannot be reached any more."""
        if self._lost is not None:
            raise self._lost

    def request(self, do: str, **fields: Any) -> None:
        """Send the keeper a request that it does not answer."""
        self.raise_if_lost()
        self._connection.soon(self._write, do, fields)

    def _words(self, argv: Sequence[str | Path]) -> list[str]:
        return [str(self.path(word)) if isinstance(word, Path) else word for word in argv]

    def _start(self, words: list[str], *, log_file: Path | None, stdin: str | None, talks: bool) -> RemoteProcess:
        """Raises FileNotFoundError when the program is not there, UserError when it cannot be started otherwise."""
        self.raise_if_lost()
        process = RemoteProcess(self, next(self._numbers), log_file)
        self._processes[process._ident] = process
        environment = {"PYTHONPATH": f"{self._folder}/code/workflow"}
        try:
            answer = self._connection.call(
                self._ask("start", process._ident, argv=words, environment=environment, stdin=stdin, talks=talks)
            )
            if answer["event"] == "failed":
                if answer["missing"]:
                    raise FileNotFoundError(answer["reason"])
                raise self._refused(answer["reason"])
        except BaseException:
            self._forget(process)
            raise
        process.pid = answer["pid"]
        return process

    def _forget(self, process: RemoteProcess) -> None:
        self._processes.pop(process._ident, None)

    def _refused(self, reason: str) -> UserError:
        return UserError(f"cannot start a process on {self.name}: {reason}", "see `snakemake provision`")

    def _send_code(self) -> None:
        with TemporaryDirectory() as made:
            files.write_json(provenance.code(), Path(made, provenance.COPIED))
            code = {
                "workflow/upfml": _PACKAGE, "bpf": module.SOURCES, provenance.COPIED: Path(made, provenance.COPIED)
            }  # fmt: skip
            self._connection.put(code, f"{self._folder}/code", leave_out="__pycache__")
        linked = self.run([self.python, "-c", _LINK_HEADERS, f"{self._folder}/code/.cache/kernel-headers"])
        if linked.returncode != 0:
            raise self._refused(linked.stderr.strip())

    # What follows runs in the connection's thread.

    async def _start_keeper(self) -> None:
        source = Path(keeper.__file__).read_bytes()
        holder = f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}, run-{self._run}"
        argv = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", self.python, "-u", "-c", _BOOTSTRAP]
        session = self._session = _KeeperSession(self)
        self._channel = await self._connection.session(
            [*argv, self._described.folder, self._run, holder, str(len(source))], session
        )
        self._channel.write(source)
        try:
            async with asyncio.timeout(READY_PATIENCE_S):
                first = await session.first
        except TimeoutError as error:
            raise UserError(
                f"{self.name}: the keeper of the run did not start in {READY_PATIENCE_S:.0f} s",
                "see whether that machine is busy, and run again",
            ) from error
        if first["event"] == "refused":
            raise UserError(f"{self.name}: {first['reason']}", first["remedy"])
        self._beats = asyncio.get_running_loop().create_task(self._beat())

    async def _beat(self) -> None:
        while not self.is_lost():
            self._write("beat", {})
            await asyncio.sleep(BEAT_S)

    async def _end_keeper(self) -> None:
        assert self._channel is not None and self._session is not None
        if self._beats is not None:
            self._beats.cancel()
        self._session.ending = True
        self._write("end", {})
        try:
            async with asyncio.timeout(END_PATIENCE_S):
                await self._session.closed.wait()
        except TimeoutError:
            log.warning("%s: the run's end there was not seen in %.0f s", self.name, END_PATIENCE_S)
        self.on_closed()

    def _write(self, do: str, fields: Mapping[str, Any]) -> None:
        assert self._channel is not None
        with contextlib.suppress(OSError):  # closed: `on_closed` tells everybody
            self._channel.write(json.dumps({"do": do, **fields}).encode() + b"\n")

    async def _ask(self, do: str, ident: int | None = None, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for the event that answers it."""
        self.raise_if_lost()
        ident = next(self._numbers) if ident is None else ident
        answer = self._answers[ident] = asyncio.get_running_loop().create_future()
        try:
            self._write(do, {"ident": ident, **fields})
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                fields = await answer
        except TimeoutError as error:
            raise self._connection.lost(f"no answer in {ANSWER_PATIENCE_S:.0f} s") from error
        finally:
            del self._answers[ident]
        return fields

    async def _compare_clocks(self) -> ClockOffset:
        best: ClockOffset | None = None
        for _ in range(CLOCK_ROUND_TRIPS):
            realtime_before_ns, before_ns = time.time_ns(), time.monotonic_ns()
            there = await self._ask("clock")
            realtime_after_ns, after_ns = there["heard_realtime_ns"], there["heard_monotonic_ns"]
            half_ns = (after_ns - before_ns + 1) // 2
            if best is None or half_ns < best.uncertainty_ns:
                best = ClockOffset(
                    there["realtime_ns"] - (realtime_before_ns + realtime_after_ns) // 2,
                    there["monotonic_ns"] - (before_ns + after_ns) // 2,
                    half_ns,
                )
        assert best is not None
        return best

    def on_event(self, fields: dict[str, Any]) -> None:
        """Take what the keeper tells."""
        event, ident = fields["event"], fields.get("ident")
        if event == "clock":
            fields.update(heard_realtime_ns=time.time_ns(), heard_monotonic_ns=time.monotonic_ns())
        if event in ("started", "failed", "clock", "noted"):
            answer = self._answers.get(ident) if ident is not None else None
            if answer is not None and not answer.done():
                answer.set_result(fields)
        elif (process := self._processes.get(ident) if ident is not None else None) is not None:
            with self.news:
                process.on_event(event, fields)
                self.news.notify_all()

    def on_closed(self, why: UserError | None = None) -> None:
        """The keeper is gone, or cannot be reached: `why`; without that, the run is over."""
        with self.news:
            if why is None and self._lost is None:
                for process in list(self._processes.values()):
                    process.on_end()
            self._lost = self._lost or why or UserError(f"the run on {self.name} is over", "start another")
            self.news.notify_all()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._lost)

    def why_closed(self, error: Exception | None, status: int | None, complaints: str) -> UserError:
        """The reason why the keeper's session was closed before its time."""
        if error is not None or status is None:
            return self._connection.lost(str(error) if error else "the machine closed it")
        return UserError(
            f"the keeper of the run on {self.name} ended with status {status}"
            + (f": {complaints}" if complaints else ", and with it all that ran there"),
            "see that machine's log (`journalctl -k`: was there memory enough?), and run again",
        )

    def why_not_started(self, status: int | None, complaints: str) -> UserError:
        """The reason why the keeper never spoke."""
        if "failed to execute" in complaints:
            return UserError(
                f"{self.name}: there is no Python at {self.python}: {complaints}",
                f"mend testbed.machines.{self.role}.python",
            )
        return UserError(
            f"{self.name}: cannot start the keeper of the run: {complaints or f'status {status}'}",
            "it needs root, unshare (util-linux 2.32 or later), and Python 3.8 or later as testbed.machines.python",
        )


class _KeeperSession(asyncssh.SSHClientSession[bytes]):
    """The keeper's end of the channel."""

    def __init__(self, host: RemoteHost) -> None:
        self.first: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        self.ending = False
        self._host = host
        self._begun: list[bytes] = []  # parts of a line
        self._complaints = ""
        self._status: int | None = None

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Take events from stdout, complaints from stderr."""
        if datatype is not None:
            text = data.decode(errors="replace")
            self._complaints = (self._complaints + text)[-2000:]
            if self.first.done():
                log.warning("%s: %s", self._host.name, text.strip())
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._on_event(json.loads(b"".join([*self._begun, line])))
            self._begun = []
        self._begun.append(rest)

    def _on_event(self, fields: dict[str, Any]) -> None:
        if self.first.done():
            self._host.on_event(fields)
        else:
            self.first.set_result(fields)

    def exit_status_received(self, status: int) -> None:
        """Remember how the keeper ended."""
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """The same, by a signal."""
        self._complaints += f"ended by SIG{signal}"
        self._status = -1

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed, with or without the connection."""
        complaints = " ".join(self._complaints.split())
        if not self.first.done():
            why = self._host.why_closed(exc, None, "") if exc else self._host.why_not_started(self._status, complaints)
            self.first.set_exception(why)
            self._host.on_closed(why)
        elif not self.ending or exc is not None:
            self._host.on_closed(self._host.why_closed(exc, self._status, complaints))
        self.closed.set()


def _name(local: Path) -> str:
    """A file's name below the folder of the run's files."""
    return str(local.resolve()).lstrip("/")


def _state(local: Path) -> _State:
    found = sorted(local.rglob("*")) if local.is_dir() else [local] if local.exists() else []
    return [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in found]


def _readable(text: str) -> str:
    """Bytes that were not UTF-8, which the keeper writes as lone surrogates, replaced as everywhere in this project."""
    return text.encode("utf-8", "surrogateescape").decode(errors="replace")
