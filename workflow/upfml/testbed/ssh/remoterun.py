"""A run on a machine of the test bed `ssh`, by its keeper (keeper.py), which is all that a run starts there itself.

Here is the other end of the keeper's requests and events; how they look is in keeper.py.
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
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from upfml.base.errors import UserError
from upfml.testbed.ssh import keeper
from upfml.testbed.ssh.clocks import ClockOffset, compare
from upfml.testbed.ssh.connection import Connection
from upfml.testbed.ssh.remoteprocess import RemoteProcess

log = logging.getLogger(__name__)

BEAT_S = 2.0
READY_PATIENCE_S = 60.0
"""For the keeper's first word: it clears up after killed runs first."""
ANSWER_PATIENCE_S = 15.0
END_PATIENCE_S = 10.0

# The keeper comes by standard input: no folder for it is there yet, and a command line is no place for a program.
_BOOTSTRAP = """
import os, sys
source = b""
while len(source) < int(sys.argv[-1]):
    source += os.read(0, int(sys.argv[-1]) - len(source)) or sys.exit("the keeper did not come")
exec(compile(source, "keeper.py", "exec"))
"""


class RemoteRun:
    """The run on one machine as its keeper has it: requests to it, and what it tells, between `start` and `end`.

    `news` is notified of whatever its processes say, of their ends, and of the end of it all.
    """

    def __init__(self, connection: Connection) -> None:
        self.name = connection.name
        self.ident = secrets.token_hex(4)
        self.news = threading.Condition()
        self._connection = connection
        self._numbers = itertools.count(1)
        self._processes: dict[int, RemoteProcess] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._session: _KeeperSession | None = None
        self._beats: asyncio.Task[None] | None = None
        self._lost: UserError | None = None

    def start(self) -> None:
        """Start the keeper. Raises UserError when it cannot, or another run uses the machine."""
        self._connection.call(self._start())

    def end(self) -> None:
        """End all that runs there, have the commands for afterwards run, and the run's folder removed."""
        if self._channel is not None:
            with contextlib.suppress(UserError):  # the connection is lost: the keeper ends by itself
                self._connection.call(self._end())

    def process(self, log_file: Path | None, **request: Any) -> RemoteProcess:
        """Start a process.

        Raises FileNotFoundError when the program is not there, UserError when it cannot be started otherwise.
        """
        self.raise_if_lost()
        process = RemoteProcess(self, next(self._numbers), log_file)
        self._processes[process.ident] = process
        try:
            answer = self._connection.call(self._ask("start", process.ident, **request))
            if answer["event"] == "failed":
                if answer["missing"]:
                    raise FileNotFoundError(answer["reason"])
                raise self.refused(answer["reason"])
        except BaseException:
            self.forget(process)
            raise
        process.pid = answer["pid"]
        return process

    def forget(self, process: RemoteProcess) -> None:
        """Of a process nothing more is wanted."""
        self._processes.pop(process.ident, None)

    def afterwards(self, argv: Sequence[str]) -> None:
        """As RemoteHost.afterwards."""
        self.raise_if_lost()
        answer = self._connection.call(self._ask("afterwards", argv=list(argv)))
        if answer["event"] == "failed":
            raise self.refused(answer["reason"])

    def clock_offset(self) -> ClockOffset:
        """How far the machine's clocks are from ours now."""
        self.raise_if_lost()
        return self._connection.call(compare(lambda: self._ask("clock")))

    def request(self, do: str, **fields: Any) -> None:
        """Send the keeper a request that it does not answer."""
        self.raise_if_lost()
        self._connection.soon(self._write, do, fields)

    def is_lost(self) -> bool:
        """Whether the keeper cannot be reached any more."""
        return self._lost is not None

    def raise_if_lost(self) -> None:
        """Raise UserError when the keeper cannot be reached any more."""
        if self._lost is not None:
            raise self._lost

    def refused(self, reason: str) -> UserError:
        """What to raise when the keeper could not do as it was asked."""
        return UserError(f"cannot start a process on {self.name}: {reason}", "see `snakemake provision`")

    # What follows runs in the connection's thread.

    async def _start(self) -> None:
        machine = self._connection.machine
        source = Path(keeper.__file__).read_bytes()
        holder = f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}, run-{self.ident}"
        argv = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", machine.python, "-u", "-c", _BOOTSTRAP]
        session = self._session = _KeeperSession(self)
        self._channel = await self._connection.session(
            [*argv, machine.folder, self.ident, holder, str(len(source))], session
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

    async def _end(self) -> None:
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
                f"{self.name}: there is no Python at {self._connection.machine.python}: {complaints}",
                f"mend testbed.machines.{self._connection.machine.role}.python",
            )
        return UserError(
            f"{self.name}: cannot start the keeper of the run: {complaints or f'status {status}'}",
            "it needs root, unshare (util-linux 2.32 or later), and Python 3.8 or later as testbed.machines.python",
        )


class _KeeperSession(asyncssh.SSHClientSession[bytes]):
    """The keeper's end of the channel."""

    def __init__(self, run: RemoteRun) -> None:
        self.first: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        self.ending = False
        self._run = run
        self._begun: list[bytes] = []  # parts of a line
        self._complaints = ""
        self._status: int | None = None

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Take events from stdout, complaints from stderr."""
        if datatype is not None:
            text = data.decode(errors="replace")
            self._complaints = (self._complaints + text)[-2000:]
            if self.first.done():
                log.warning("%s: %s", self._run.name, text.strip())
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._on_event(json.loads(b"".join([*self._begun, line])))
            self._begun = []
        self._begun.append(rest)

    def _on_event(self, fields: dict[str, Any]) -> None:
        if self.first.done():
            self._run.on_event(fields)
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
            why = self._run.why_closed(exc, None, "") if exc else self._run.why_not_started(self._status, complaints)
            self.first.set_exception(why)
            self._run.on_closed(why)
        elif not self.ending or exc is not None:
            self._run.on_closed(self._run.why_closed(exc, self._status, complaints))
        self.closed.set()
