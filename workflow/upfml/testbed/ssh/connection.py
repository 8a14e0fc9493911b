"""One SSH connection to a machine of the test bed `ssh`: commands as root, files and folders both ways, long sessions.

asyncssh in a background thread, behind calls that wait. Whatever fails becomes a UserError that names the machine, the
cause and the remedy; no key, passphrase or password is in it. Files travel as tar archives through a session, not by
SFTP: an SFTP server is who logs in, and where that is not root, it can neither write what root's processes read nor
read what they wrote; and tar says why it failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import shlex
import shutil
import socket
import tarfile
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path, PurePosixPath
from subprocess import CompletedProcess
from typing import Any, TypeVar

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from upfml.base import files
from upfml.base.errors import UserError
from upfml.testbed.host import NO_ANSWER, NO_CONNECTION, NOT_FOUND, RUN_PATIENCE_S
from upfml.testbed.ssh.inventory import Machine

logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of every channel

CONNECT_PATIENCE_S = 10.0
LOGIN_PATIENCE_S = 20.0
KEEPALIVE_S, KEEPALIVE_COUNT = 3.0, 2
"""A machine that answers nothing is given up after KEEPALIVE_S · (KEEPALIVE_COUNT + 1), about when it gives us up: a
keeper's LIFETIME_S."""
CLOSE_PATIENCE_S = 3.0
_SLACK_S = 10.0  # for the machine's own timeout to be heard of
_CHUNK_BYTES = 1 << 18
_SSH_PORT = 22

_Result = TypeVar("_Result")


class Connection:
    """A connection to one machine, open between `open` and `close`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = f"{machine.role} ({machine.address})"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh to {self.name}", daemon=True)
        self._client = _Client(self._on_lost)
        self._ssh: asyncssh.SSHClientConnection | None = None
        self._agent: asyncssh.SSHAgentClient | None = None
        self._lost: UserError | None = None
        self._transfer = threading.Lock()  # one at a time: sshd allows ten sessions

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

    def put(self, files: Mapping[str, Path], folder: str, leave_out: str = "") -> None:
        """Copy files and folders to `folder`/NAME, with their modes and without files called `leave_out`.

        Links are followed. What is there is replaced. Raises UserError.
        """

        def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            return None if PurePosixPath(member.name).name == leave_out else member

        # Permissions as here, owners not: root's tar would keep both.
        argv = ["env", "LC_ALL=C", "tar", "-x", "-p", "--no-same-owner", "-f", "-", "-C", folder]
        with self._transfer:
            process = self.call(self._start(self.command(argv)))
            try:
                sink = _Sink(self, process)
                with tarfile.open(fileobj=sink, mode="w|", bufsize=_CHUNK_BYTES, dereference=True) as archive:
                    for name, path in files.items():
                        archive.add(path, name, filter=chosen)
            except _Stopped:
                pass  # tar has ended, and says why
            except OSError as error:
                self.soon(process.close)
                raise UserError(
                    f"cannot send {error.filename or 'a file'} to {self.name}: {error.strerror or error}",
                    "check that it exists and can be read",
                ) from error
            except BaseException:
                self.soon(process.close)
                raise
            status, complaint = self.call(self._end(process))
        if status != 0:
            raise self._cannot_write(folder, complaint)

    def get(self, names: Sequence[str], folder: str, into: Path) -> None:
        """Copy `folder`/NAME there, files or folders, to `into`/NAME here, with their modes. Raises UserError."""
        argv = ["env", "LC_ALL=C", "tar", "-c", "-h", "--hard-dereference", "-f", "-", "-C", folder, "--", *names]
        unreadable = ""
        with self._transfer:
            process = self.call(self._start(self.command(argv)))
            try:
                source = io.BufferedReader(_Source(self, process), _CHUNK_BYTES)
                with tarfile.open(fileobj=source, mode="r|", bufsize=_CHUNK_BYTES) as archive:
                    _unpack(archive, [PurePosixPath(name) for name in names], into)
                while source.read(_CHUNK_BYTES):  # tar pads what it writes
                    pass
            except tarfile.ReadError as error:  # tar has ended early, and says why
                unreadable = str(error)
            except OSError as error:
                self.soon(process.close)
                raise UserError(
                    f"cannot write {error.filename or into}: {error.strerror or error}", "free space, mend permissions"
                ) from error
            except BaseException:
                self.soon(process.close)
                raise
            status, complaint = self.call(self._end(process))
        if status not in (0, _CHANGED) or unreadable:
            raise UserError(
                f"cannot fetch from {self.name}: {complaint or unreadable}",
                f"see the logs of the run, and {folder} while it lasts",
            )

    async def session(
        self, argv: Sequence[str], session: asyncssh.SSHClientSession[bytes]
    ) -> asyncssh.SSHClientChannel[bytes]:
        """Start a command as root whose input and output `session` and what is returned handle. To be `call`ed."""
        assert self._ssh is not None
        channel, _ = await self._ssh.create_session(lambda: session, self.command(argv), encoding=None)
        return channel

    async def _open(self) -> None:
        machine = self.machine
        known = self._known_hosts()
        keys = await self._keys()
        try:
            found = await asyncio.get_running_loop().getaddrinfo(machine.address, machine.port, type=socket.SOCK_STREAM)
            self._client.address = str(found[0][4][0])
            self._ssh, _ = await asyncssh.create_connection(
                lambda: self._client,
                machine.address,
                machine.port,
                username=machine.user,
                config=None,
                known_hosts=known,
                server_host_key_algs=self._host_key_algorithms(known),
                client_keys=keys,
                agent_path=None,
                preferred_auth="publickey",
                gss_host=None,
                connect_timeout=CONNECT_PATIENCE_S,
                login_timeout=LOGIN_PATIENCE_S,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._host_key_refused(known) from error
        except asyncssh.PermissionDenied as error:
            whose = f"the key {machine.key}" if machine.key else "any key that ssh-agent holds"
            raise UserError(
                f"{self.name} does not let {machine.user} log in with {whose}",
                f"put the public key into ~{machine.user}/.ssh/authorized_keys there, or mend the machine's user or key"
                " (root also needs PermitRootLogin in sshd_config)",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self._no_way(error) from error
        self._lost = None

    def _known_hosts(self) -> asyncssh.SSHKnownHosts:
        path = self.machine.known_hosts
        try:
            return asyncssh.read_known_hosts(str(path))
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot read {path}, which must hold the host key of {self.name}: {_reason(error)}",
                self._how_to_know("mend testbed.machines.known_hosts, or make that file"),
            ) from error

    def _known(self, known: asyncssh.SSHKnownHosts) -> tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]]:
        """The machine's keys and authorities in known_hosts."""
        machine = self.machine
        port = None if machine.port == _SSH_PORT else machine.port
        keys, authorities, *_ = known.match(machine.address, self._client.address, port)
        return keys, authorities

    def _host_key_algorithms(self, known: asyncssh.SSHKnownHosts) -> list[str]:
        """Those of known keys first, then all: a machine with a new key of another type is to show it."""
        keys, authorities = self._known(known)
        certificates = get_default_certificate_algs() if authorities else []
        of_known = [algorithm for key in keys for algorithm in key.sig_algorithms]
        every = [*certificates, *of_known, *get_default_public_key_algs()]
        return list(dict.fromkeys(algorithm.decode() for algorithm in every))

    async def _keys(self) -> list[asyncssh.SSHKey] | list[asyncssh.SSHKeyPair]:
        path = self.machine.key
        if path is not None:
            try:
                return [asyncssh.read_private_key(path)]
            except OSError as error:
                raise UserError(
                    f"cannot read the key {path} for {self.name}: {_reason(error)}", "mend testbed.machines.key"
                ) from error
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                # Its text says what is wrong with the format, never what is in the file.
                encrypted = isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower()
                raise UserError(
                    f"the key {path} for {self.name} "
                    + ("has a passphrase" if encrypted else f"is not a private key: {error}"),
                    f"give it to ssh-agent (`ssh-add {path}`) and set testbed.machines.key to null"
                    if encrypted
                    else "set testbed.machines.key to the file of a private key, as ssh-keygen makes it",
                ) from error
        held: list[asyncssh.SSHKeyPair] = []
        with contextlib.suppress(OSError, ValueError):
            self._agent = await asyncssh.connect_agent()
            held = list(await self._agent.get_keys())
        if not held:
            raise UserError(
                f"there is no key for {self.name}: testbed.machines.key is null, and ssh-agent "
                + ("holds none" if os.environ.get("SSH_AUTH_SOCK") else "does not run (SSH_AUTH_SOCK is not set)"),
                "set testbed.machines.key, or start ssh-agent and give it one with ssh-add",
            )
        return held

    def _host_key_refused(self, known: asyncssh.SSHKnownHosts) -> UserError:
        machine = self.machine
        presented = f", {self._client.presented}" if self._client.presented else ""
        keys, authorities = self._known(known)
        if keys or authorities:
            return UserError(
                f"the host key of {self.name}{presented}, has changed: it is not the one in {machine.known_hosts}."
                " It may be another machine",
                self._how_to_know(
                    f"if it has a new key, `ssh-keygen -R {shlex.quote(self._entry())} -f {machine.known_hosts}`"
                    " takes the old one out"
                ),
            )
        return UserError(
            f"the host key of {self.name}{presented}, is unknown: {machine.known_hosts} does not have it",
            self._how_to_know("see that it is that machine's"),
        )

    def _entry(self) -> str:
        """How known_hosts names the machine."""
        port = self.machine.port
        return self.machine.address if port == _SSH_PORT else f"[{self.machine.address}]:{port}"

    def _how_to_know(self, first: str) -> str:
        scan = f"ssh-keyscan -p {self.machine.port} {self.machine.address}"
        return (
            f"{first}; compare `{scan} | ssh-keygen -lf -` with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`"
            f" on the machine itself; if they agree: `{scan} >> {self.machine.known_hosts}`"
        )

    def _no_way(self, error: Exception) -> UserError:
        """Why there is no connection."""
        port = self.machine.port
        cause, remedy = f"cannot connect to {self.name}, port {port}: {_reason(error)}", "see that the machine is up"
        if isinstance(error, ConnectionRefusedError):
            remedy = "start sshd there, or mend testbed.machines.port"
        elif isinstance(error, socket.gaierror):
            remedy = "mend testbed.machines.address: that name is not known here"
        elif isinstance(error, TimeoutError):
            cause = f"cannot connect to {self.name}, port {port}: no answer in {CONNECT_PATIENCE_S:.0f} s"
            remedy = "see that the machine is up and that no firewall is between, or mend testbed.machines.address"
        elif isinstance(error, OSError):
            remedy = "mend testbed.machines.address, or the network to it (`ip route get`)"
        elif isinstance(error, asyncssh.Error):
            remedy = "see that an SSH server listens there, and its log (`journalctl -u ssh`)"
        return UserError(cause, remedy)

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
        return self._status(done), _text(done.stdout), _text(done.stderr)

    async def _attend(self, line: str, log: Path) -> int:
        assert self._ssh is not None
        process = await self._ssh.create_process(line, stderr=asyncssh.STDOUT, encoding=None)
        try:
            while data := await process.stdout.read(_CHUNK_BYTES):
                with log.open("ab") as out:
                    out.write(data)
            return self._status(await process.wait())
        finally:
            process.close()

    async def _start(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        assert self._ssh is not None
        return await self._ssh.create_process(line, encoding=None)

    async def _end(self, process: asyncssh.SSHClientProcess[bytes]) -> tuple[int, str]:
        """Status and the first complaint of a tar that has had its input, or is to get no more."""
        with contextlib.suppress(OSError):
            process.stdin.write_eof()
        done = await process.wait()
        complaint = _text(done.stderr).strip().splitlines()
        return self._status(done), complaint[0].removeprefix("tar: ") if complaint else ""

    def _status(self, done: asyncssh.SSHCompletedProcess) -> int:
        if done.returncode is None:
            raise self._lost or self.lost("the session was closed")
        return done.returncode

    def _cannot_write(self, folder: str, complaint: str) -> UserError:
        free = self.run(["df", "-h", "--output=avail,size,target", folder]).stdout.splitlines()
        room = dict(zip(("free", "size", "on"), free[1].split(maxsplit=2), strict=False)) if len(free) > 1 else {}
        if "Wrote only" in complaint:  # how tar says that the disk became full within a block
            complaint = f"No space left on device: {complaint}"
        there = " ({free} free of {size} on {on})".format(**room) if len(room) == 3 else ""
        return UserError(
            f"cannot write to {folder} on {self.name}: {complaint}{there}",
            "free space there, or set testbed.machines.folder to a folder on a disk with room",
        )

    async def _close(self) -> None:
        if self._ssh is not None:
            self._client.forget()
            self._ssh.close()
            try:
                await asyncio.wait_for(self._ssh.wait_closed(), CLOSE_PATIENCE_S)
            except TimeoutError:
                self._ssh.abort()
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()

    def _on_lost(self, error: Exception | None) -> None:
        self._lost = self.lost(_reason(error) if error else "the machine closed it")


class MachineRunner:
    """A `provision.Runner` for a machine: connects when it is first called, and keeps the connection until `close`.

    A machine that cannot be reached, logged in to or made root on answers every command with NO_CONNECTION, the reason
    and the remedy on stderr.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._connection: Connection | None = None

    def __call__(self, argv: Sequence[str]) -> CompletedProcess[str]:
        """Run a command as root."""
        try:
            if self._connection is None:
                connection = Connection(self._machine)
                connection.open()
                self._connection = connection
            return self._connection.run(argv)
        except UserError as error:
            self.close()
            return CompletedProcess(list(argv), NO_CONNECTION, "", str(error))

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_CHANGED = 1
"""Status of tar when a file was being written while it was read."""


class _Stopped(Exception):
    """What was written to does not read any more."""


class _Client(asyncssh.SSHClient):
    """Hears of the connection's end, and remembers which host key was refused, of which address."""

    def __init__(self, on_lost: Callable[[Exception | None], None]) -> None:
        self.presented = ""
        self.address = ""
        self._on_lost = on_lost

    def forget(self) -> None:
        """It is to end now: no loss."""
        self._on_lost = lambda _: None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked about a key that known_hosts does not have."""
        self.address = addr
        self.presented = f"{key.get_algorithm()} {key.get_fingerprint()}"
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell why."""
        self._on_lost(exc)


class _Sink(io.RawIOBase):
    """A remote process's standard input, as a file. Raises _Stopped when it reads no more."""

    def __init__(self, connection: Connection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._connection, self._process = connection, process

    def write(self, data: Any) -> int:  # bytes, as tarfile gives them
        self._connection.call(self._write(bytes(data)))
        return len(data)

    async def _write(self, data: bytes) -> None:
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except BrokenPipeError as error:
            raise _Stopped from error


class _Source(io.RawIOBase):
    """A remote process's standard output, as a file."""

    def __init__(self, connection: Connection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._connection, self._process = connection, process

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # a memoryview of bytes
        data = self._connection.call(self._process.stdout.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def _unpack(archive: tarfile.TarFile, names: Sequence[PurePosixPath], into: Path) -> None:
    """Write the members that were asked for. A member of any other name, or that is no file or folder, is refused."""
    folders: list[tuple[Path, int]] = []
    for member in archive:
        name = PurePosixPath(member.name)
        if ".." in name.parts or not any(name.is_relative_to(asked) for asked in names):
            raise OSError(f"the machine sent {name}, which was not asked for")
        path = into / name
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            folders.append((path, member.mode))
        elif (content := archive.extractfile(member)) is not None:
            with files.whole_file(path) as partial:
                with partial.open("wb") as file:
                    shutil.copyfileobj(content, file, _CHUNK_BYTES)
                partial.chmod(member.mode)
                os.utime(partial, (member.mtime, member.mtime))
    for path, mode in reversed(folders):
        path.chmod(mode)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _text(data: object) -> str:
    assert isinstance(data, bytes)
    return data.decode(errors="replace")
