"""One SSH connection to a machine of the test bed `ssh`: commands as root, and long sessions.

asyncssh in a background thread, behind calls that wait. Whatever fails becomes a UserError that names the machine, the
cause and the remedy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar

import asyncssh

from upfml.base.errors import UserError
from upfml.testbed.host import NO_ANSWER, NOT_FOUND, RUN_PATIENCE_S
from upfml.testbed.ssh.inventory import Machine
from upfml.testbed.ssh.login import Login, reason_of

logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of every channel

CLOSE_PATIENCE_S = 3.0
_SLACK_S = 10.0  # for the machine's own timeout to be heard of
CHUNK_BYTES = 1 << 18

_Result = TypeVar("_Result")


class Connection:
    """A connection to one machine, open between `open` and `close`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = f"{machine.role} ({machine.address})"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh to {self.name}", daemon=True)
        self._login = Login(machine, self.name, self._on_lost)
        self._ssh: asyncssh.SSHClientConnection | None = None
        self._lost: UserError | None = None

    def open(self) -> None:
        """Connect, log in, and see that commands run as root. Raises UserError."""
        self._thread.start()
        try:
            self.call(self._open())
            self._try()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection. May be called twice."""
        if self._thread.is_alive():
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(2 * CLOSE_PATIENCE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSE_PATIENCE_S)
        if not self._loop.is_running() and not self._loop.is_closed():
            self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine in the connection's thread and wait for it. Failures of the connection raise UserError."""
        if not self._thread.is_alive():
            coroutine.close()
            raise UserError(f"there is no connection to {self.name}", "open it first")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except UserError:
            raise
        except (asyncssh.Error, OSError) as error:
            raise self._lost or self.lost(str(error)) from error
        except BaseException:
            future.cancel()
            raise

    def soon(self, function: Callable[..., object], *arguments: object) -> None:
        """Have a function called in the connection's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed, and the connection with it
            self._loop.call_soon_threadsafe(function, *arguments)

    def lost(self, reason: str) -> UserError:
        """What to raise when the connection is no more."""
        return UserError(
            f"the connection to {self.name} was lost: {reason}",
            "check that the machine is up and the network to it works, then run again; what was started there ends",
        )

    def command(self, argv: Sequence[str]) -> str:
        """The line for the user's shell there that runs `argv` as root."""
        return shlex.join([*(["sudo", "-n", "--"] if self.machine.sudo else []), *argv])

    def run(self, argv: Sequence[str]) -> CompletedProcess[str]:
        """Run a command as root: its status and texts, NOT_FOUND or NO_ANSWER.

        timeout(1) there ends it when it takes too long: closing a session ends nothing. Raises UserError when the
        connection is lost.
        """
        line = self.command(["timeout", "--kill-after=1", f"{RUN_PATIENCE_S:.0f}", *argv])
        status, out, err = self.call(self._run(line))
        if status == NO_ANSWER:
            err += f"{argv[0]}: no answer in {RUN_PATIENCE_S:.0f} s"
        elif status == NOT_FOUND:
            err += f"{argv[0]}: not found"
        return CompletedProcess(list(argv), status, out, err)

    def attend(self, argv: Sequence[str], log: Path) -> int:
        """Run a command as root until it ends, whatever it writes appended to `log`: its status.

        Its standard input stays open for as long and ends with the connection, or when this call is interrupted: it has
        to end then. Raises UserError when the connection is lost.
        """
        return self.call(self._attend(self.command(argv), log))

    def start(self, argv: Sequence[str]) -> asyncssh.SSHClientProcess[bytes]:
        """Start a command as root, of which the caller has input and output. Raises UserError."""
        return self.call(self._start(self.command(argv)))

    async def session(
        self, argv: Sequence[str], session: asyncssh.SSHClientSession[bytes]
    ) -> asyncssh.SSHClientChannel[bytes]:
        """Start a command as root whose input and output `session` and what is returned handle. To be `call`ed."""
        assert self._ssh is not None
        channel, _ = await self._ssh.create_session(lambda: session, self.command(argv), encoding=None)
        return channel

    async def _open(self) -> None:
        self._ssh = await self._login.connect()
        self._lost = None

    def _try(self) -> None:
        """See that commands run as root and that nothing else writes where they do."""
        user = self.machine.user
        status, out, complaint = self.call(self._run(self.command(["true"])))
        if out:
            raise UserError(
                f"the login shell of {user} on {self.name} prints {out.strip()[:80]!r} before any command",
                "have its start-up files (.bashrc, .ssh/rc) print in interactive shells only",
            )
        if status != 0:
            raise UserError(
                f"{self.name} does not let {user} become root: {' '.join(complaint.split()) or f'status {status}'}",
                f"put `{user} ALL=(root) NOPASSWD: ALL` into /etc/sudoers.d there (visudo -f), or log in as root",
            )

    async def _run(self, line: str) -> tuple[int, str, str]:
        assert self._ssh is not None
        try:
            done = await asyncio.wait_for(
                self._ssh.run(line, stdin=asyncssh.DEVNULL, encoding=None), RUN_PATIENCE_S + _SLACK_S
            )
        except TimeoutError:  # asyncio's
            return NO_ANSWER, "", ""
        return self.status(done), text(done.stdout), text(done.stderr)

    async def _attend(self, line: str, log: Path) -> int:
        assert self._ssh is not None
        process = await self._ssh.create_process(line, stderr=asyncssh.STDOUT, encoding=None)
        try:
            while data := await process.stdout.read(CHUNK_BYTES):
                with log.open("ab") as out:
                    out.write(data)
            return self.status(await process.wait())
        finally:
            process.close()

    async def _start(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        assert self._ssh is not None
        return await self._ssh.create_process(line, encoding=None)

    def status(self, done: asyncssh.SSHCompletedProcess) -> int:
        """Of a command that has ended. Raises UserError when its session was closed before that."""
        if done.returncode is None:
            raise self._lost or self.lost("the session was closed")
        return done.returncode

    async def _close(self) -> None:
        if self._ssh is not None:
            self._login.client.forget()
            self._ssh.close()
            try:
                await asyncio.wait_for(self._ssh.wait_closed(), CLOSE_PATIENCE_S)
            except TimeoutError:
                self._ssh.abort()
        await self._login.close()

    def _on_lost(self, error: Exception | None) -> None:
        self._lost = self.lost(reason_of(error) if error else "the machine closed it")


def text(data: object) -> str:
    """What a command wrote; bytes that are not UTF-8 are replaced."""
    assert isinstance(data, bytes)
    return data.decode(errors="replace")
